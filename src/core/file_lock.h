#pragma once
// The exclusive right to write somewhere: two jobs must not write one output.

#include <filesystem>
#include <string>

namespace outsole {

/// Holds an exclusive flock on a file of its own, which is made for it and removed at the end. It is released, too,
/// when the process dies.
class FileLock {
 public:
  /// `what` is written under this lock ("this store"). Throws UsageError when another process holds it,
  /// EnvironmentError when the file cannot be made; where the file system has no locks it only warns.
  FileLock(std::filesystem::path path, const std::string& what);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  bool try_lock(const std::string& what);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace outsole
