#include "core/file_lock.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/errors.h"

namespace outsole {

namespace fs = std::filesystem;

FileLock::FileLock(fs::path path, const std::string& what) : path_(std::move(path)) {
  while (!try_lock(what)) {
  }
}

FileLock::~FileLock() {
  std::error_code ignored;
  fs::remove(path_, ignored);
  ::close(descriptor_);
}

/// False when a job that just ended removed the file between our opening and locking it: the lock then means nothing.
bool FileLock::try_lock(const std::string& what) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw EnvironmentError(path_.string() + ": cannot be created: " + std::strerror(errno));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    if (reason == EWOULDBLOCK) {
      ::close(descriptor_);
      throw UsageError(path_.string() + ": another job is writing " + what +
                       "; wait for it or choose another --output");
    }
    spdlog::warn("{}: this file system has no locks ({}): make sure that only one job writes {}", path_.string(),
                 std::strerror(reason), what);
    return true;
  }
  struct stat ours {
  }, there{};
  const bool same =
      ::fstat(descriptor_, &ours) == 0 && ::stat(path_.c_str(), &there) == 0 && ours.st_ino == there.st_ino;
  if (!same) ::close(descriptor_);
  return same;
}

}  // namespace outsole
