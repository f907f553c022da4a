#pragma once
// What made a result: kept beside it, never in it, so that results have the same bytes wherever they were made.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace outsole {

/// NAME.provenance.json beside a store NAME.h5; NAME.json.provenance.json beside an evaluation NAME.json, which may lie
/// beside the store of the same name.
std::filesystem::path provenance_path(const std::filesystem::path& output);

/// Writes it: time, host, command line, ranks, version, and `details`. Rank 0 calls it after the output is in place. A
/// run that found the output finished (`was_finished`) only completes what is missing, because the one that made it was
/// killed just before the end, and the record says so. Throws EnvironmentError.
void write_provenance(const std::filesystem::path& output, const std::vector<std::string>& command_line, int ranks,
                      const nlohmann::json& details, bool was_finished = false);

}  // namespace outsole
