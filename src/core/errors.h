#pragma once
// Errors by cause. What a person can mend is an Error with the exit code of its cause; a bug in outsole is a Bug.

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace outsole {

/// Exit codes of every job: a contract with scripts.
enum class ExitCode : int { kDone = 0, kUsage = 2, kData = 3, kEnvironment = 4, kBug = 70, kStopped = 75 };

/// Something outside the program is wrong. The message names the culprit and, where there is one, the way out.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

  /// True when every rank has thrown this error, so that they may leave in good order; otherwise the job is aborted.
  bool known_to_all_ranks() const { return known_to_all_ranks_; }
  void set_known_to_all_ranks() { known_to_all_ranks_ = true; }

 private:
  ExitCode code_;
  bool known_to_all_ranks_ = false;
};

/// The command line or a configuration file asks for something impossible.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};

/// A file's content is wrong: names the file, and the data set, row or column where it can.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::kData, message) {}
};

/// The machine does not give what is needed: disk, memory, device, MPI.
class EnvironmentError : public Error {
 public:
  explicit EnvironmentError(const std::string& message) : Error(ExitCode::kEnvironment, message) {}
};

/// A signal asked the job to stop. All finished work is saved; the same command carries on.
class StopRequested : public Error {
 public:
  explicit StopRequested(const std::string& message) : Error(ExitCode::kStopped, message) {}
};

/// A broken invariant of outsole itself.
class Bug : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws Bug with the place of the call unless `condition` holds.
void ensure(bool condition, std::string_view what, std::source_location where = std::source_location::current());

/// Throws the class of Error that belongs to `code` (kBug: a Bug), marked as known to all ranks: how an error of
/// another rank is raised here too.
[[noreturn]] void throw_shared_error(ExitCode code, const std::string& message);

}  // namespace outsole
