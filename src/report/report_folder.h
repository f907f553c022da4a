#pragma once
// The folder of a report: there whole or not at all, and later checked against what it was made of.

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/file_lock.h"

namespace outsole::report {

/// A report in the making: NAME.part beside the folder NAME that it becomes. One rank.
class ReportFolder {
 public:
  /// Looks at what is there. What an interrupted run has left in NAME.part is kept if it was `made_of` the same, else
  /// removed. Throws UsageError where `output` is something else than a report of ours, or holds files besides it, and
  /// while another job makes the report; EnvironmentError.
  ReportFolder(std::filesystem::path output, nlohmann::json made_of);

  /// The report is there, made of the same: nothing needs doing.
  bool is_finished() const { return is_finished_; }
  const std::filesystem::path& part() const { return part_; }

  /// Writes manifest.json, `files` being the SHA-256 of every file by its path, and puts the folder in place, instead
  /// of an older report. Returns the manifest's SHA-256.
  std::string finish(const nlohmann::json& files);

 private:
  std::filesystem::path output_, part_;
  nlohmann::json made_of_;
  std::unique_ptr<FileLock> lock_;
  bool is_finished_ = false;
};

/// All files of a folder and below, by their paths in it, sorted; without manifest.json and what varies between runs.
std::vector<std::string> files_of_report(const std::filesystem::path& folder);

/// Where to look for what a report was made of, if not where it was then.
struct VerifyOptions {
  std::filesystem::path folder;
  std::filesystem::path results;
  std::vector<std::filesystem::path> exemplars, indexes, marks;
};

struct Verified {
  std::string manifest_sha256;
  std::int64_t files = 0, stores = 0, marks = 0;  // that were checked
  std::vector<std::string> complaints;            // each names its file; empty: all is as it was
};

/// Holds a report's files against its manifest, and against it the stores (reading all of them) and marks that it was
/// made of. One rank. Throws DataError where there is no manifest, or a broken one.
Verified verify_report(const VerifyOptions& options);

}  // namespace outsole::report
