#pragma once
// NAME.status.json beside an output: how far its job is, for scripts and people that watch from outside.

#include <cstdint>
#include <filesystem>
#include <string>

namespace outsole {

/// What a watcher wants to know of a running job.
struct Status {
  std::string phase;      // "searching"
  std::string unit;       // what is counted: "marks"
  std::int64_t done = 0;  // units
  std::int64_t total = 0;
  double seconds_left = -1;  // -1: not known yet
};

/// Keeps the status file of this process: {"job", "phase", "unit", "done", "total", "seconds_left", "started_utc",
/// "updated_utc", "host", "process"}. It appears with the first report and goes when the job leaves in order, so a file
/// whose `updated_utc` is minutes old tells of a job that was killed. One per process, on rank 0.
class StatusFile {
 public:
  /// `output` is the job's --output, a file or a folder.
  StatusFile(const std::filesystem::path& output, std::string job);
  ~StatusFile();
  StatusFile(const StatusFile&) = delete;
  StatusFile& operator=(const StatusFile&) = delete;
};

/// Writes the status file, if this process keeps one, at most every few seconds. A disk that refuses is no reason to
/// stop the job: the file then stays as it was.
void report_status(const Status& status);

}  // namespace outsole
