#pragma once
// How far a long job is: a bar on a terminal, at most a line a minute in a batch log, and the status file.

#include <chrono>
#include <cstdint>
#include <string>

namespace outsole {

/// Counts finished units of work and tells rank 0's reader about them with an estimate of the time left. Not
/// thread-safe.
class Progress {
 public:
  /// `label` says what is done ("searching"), `unit` what is counted ("marks"); `done` units were finished by an
  /// earlier run and do not count for the estimate. A disabled one (other ranks) tells nothing.
  Progress(std::string label, std::string unit, std::int64_t total, bool enabled, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t units = 1);

 private:
  void print(const std::string& time);

  using Clock = std::chrono::steady_clock;
  std::string label_, unit_;
  std::int64_t total_, done_, done_before_;
  bool enabled_, terminal_, printed_ = false;
  Clock::time_point start_, last_print_;
};

/// "3 s", "4 min 10 s", "2 h 05 min".
std::string format_duration(double seconds);

/// "12.3 MiB".
std::string format_bytes(double bytes);

}  // namespace outsole
