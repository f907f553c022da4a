#pragma once
// What --memory-gib has to hold beside a job's own arrays.

#include <cstdint>
#include <string>

namespace outsole::machine {

/// Taken by the program and its libraries.
inline constexpr std::int64_t kProcessBytes = std::int64_t{448} << 20;

/// Throws EnvironmentError naming the least `option` that will do for `what` when `memory_bytes` does not hold
/// `needed_bytes`.
void ensure_memory(std::int64_t memory_bytes, std::int64_t needed_bytes, const std::string& what,
                   const std::string& option = "memory_gib");

}  // namespace outsole::machine
