#pragma once
// The exclusive right to write somewhere: two jobs must not write one output.

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

namespace outsole {

struct FileLockOptions {
  bool uses_flock = true;                     // false: as where the file system has no locks
  std::chrono::milliseconds heartbeat{5000};  // there the holder shows that often that it lives,
  std::chrono::milliseconds patience{30000};  // and is taken for gone when it has not for so long
};

/// Holds an exclusive flock on a file of its own, which is made for it and removed at the end. It is released, too,
/// when the process dies. Where the file system has no locks the file itself is the lock: it names the holder, whose
/// beats it counts, and one that a dead process left is found out by waiting for a beat.
class FileLock {
 public:
  /// `what` is written under this lock ("this store"). Throws UsageError when another process holds it,
  /// EnvironmentError when the file cannot be made.
  FileLock(std::filesystem::path path, const std::string& what, const FileLockOptions& options = {});
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  class Heart;
  bool try_lock(const std::string& what, const FileLockOptions& options);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::unique_ptr<Heart> heart_;  // where there are no locks
};

}  // namespace outsole
