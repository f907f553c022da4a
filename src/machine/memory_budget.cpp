#include "machine/memory_budget.h"

#include <cmath>
#include <cstdio>

#include "core/errors.h"

namespace outsole::machine {

void ensure_memory(std::int64_t memory_bytes, std::int64_t needed_bytes, const std::string& what,
                   const std::string& option) {
  if (memory_bytes >= needed_bytes) return;
  char least_gib[32];
  std::snprintf(least_gib, sizeof least_gib, "%.2f",
                std::ceil(static_cast<double>(needed_bytes) / (1 << 30) * 100) / 100);
  throw EnvironmentError("`" + option + "` is too small for " + what + ": a rank needs at least " + least_gib);
}

}  // namespace outsole::machine
