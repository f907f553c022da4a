#pragma once
// What made a result: kept beside it, never in it, so that results have the same bytes wherever they were made.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace outsole {

/// Writes NAME.provenance.json beside `output` (NAME.h5): time, host, user, command line, ranks, version, and
/// `details`. Rank 0 calls it after the output is in place. Throws EnvironmentError.
void write_provenance(const std::filesystem::path& output, const std::vector<std::string>& command_line, int ranks,
                      const nlohmann::json& details);

}  // namespace outsole
