#pragma once
// What an earlier run left where this one wants to write.

#include <filesystem>
#include <nlohmann/json.hpp>

namespace outsole::jobs {

/// An evaluation of other inputs is somebody's finding: it is not replaced, and its figures do not get mixed with
/// others. Throws UsageError when `output` exists and its provenance names another of `inputs`, which are SHA-256 by
/// name. The same inputs may be evaluated again, with other options. Rank 0 calls it.
void refuse_other_run(const std::filesystem::path& output, const nlohmann::json& inputs);

}  // namespace outsole::jobs
