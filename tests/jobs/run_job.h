#pragma once
// Runs `outsole` as a person or a batch script does, and ends it when it hangs.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace outsole::testing {

struct JobResult {
  int exit_code = -1;      // -1 when a signal ended it
  int signal = 0;          // that ended it
  bool timed_out = false;  // and was killed
  std::string output;      // standard output
  std::string errors;      // standard error
};

/// A job that runs in the background, in a folder. The destructor kills it.
class RunningJob {
 public:
  /// `arguments` follow `outsole`. With ranks = 0 it is started without mpirun. `environment`: NAME=VALUE, besides
  /// ours.
  RunningJob(const std::filesystem::path& folder, const std::vector<std::string>& arguments, int ranks = 0,
             const std::vector<std::string>& environment = {});
  ~RunningJob();
  RunningJob(const RunningJob&) = delete;
  RunningJob& operator=(const RunningJob&) = delete;

  /// Process ids of the ranks: mpirun's children, or the one process.
  std::vector<pid_t> rank_processes() const;
  void send(int signal) const;  // to the ranks

  /// Waits until `path` exists or the job has ended; false if it ended first or the time is over.
  bool wait_for(const std::filesystem::path& path, std::chrono::seconds limit = std::chrono::seconds(60));

  /// Waits for the end; kills the job after `limit`.
  JobResult wait(std::chrono::seconds limit = std::chrono::seconds(60));

 private:
  bool has_ended();
  void kill_all();

  std::filesystem::path output_, errors_;
  bool under_mpirun_;
  pid_t process_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

/// Runs a job to its end.
JobResult run_job(const std::filesystem::path& folder, const std::vector<std::string>& arguments, int ranks = 0,
                  std::chrono::seconds limit = std::chrono::seconds(60));

}  // namespace outsole::testing
