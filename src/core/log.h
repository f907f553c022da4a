#pragma once
// Messages to people. Code logs with spdlog::info, spdlog::warn and so on; this sets spdlog up once.

#include <string>

namespace outsole {

/// Starts logging to standard error: rank 0 at `level` (trace|debug|info|warn|error|off), other ranks from warn on,
/// each line with its rank where there are several. Throws UsageError for an unknown level.
void start_log(const std::string& level, int rank, int ranks);

}  // namespace outsole
