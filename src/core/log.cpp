#include "core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "core/errors.h"

namespace outsole {

void start_log(const std::string& level, int rank, int ranks) {
  static const std::array<std::string, 6> kLevels = {"trace", "debug", "info", "warn", "error", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) {
    throw UsageError("--log-level " + level + ": not one of trace, debug, info, warn, error, off");
  }
  auto logger = std::make_shared<spdlog::logger>("outsole", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern(ranks > 1 ? "%H:%M:%S [rank " + std::to_string(rank) + "] %^%l%$ %v" : "%H:%M:%S %^%l%$ %v");
  const auto wanted = spdlog::level::from_str(level);
  logger->set_level(rank == 0 ? wanted : std::max(wanted, spdlog::level::warn));
  spdlog::set_default_logger(logger);
}

}  // namespace outsole
