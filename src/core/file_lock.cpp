#include "core/file_lock.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "core/errors.h"
#include "core/files.h"

namespace outsole {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const fs::path& path, const std::string& holder, const std::string& what) {
  throw UsageError(path.string() + ": another job" + holder + " is writing " + what +
                   "; wait for it or choose another `output`");
}

/// The file at `path`, and whether it was made now.
struct Opened {
  int descriptor = -1;
  bool is_new = false;
};

Opened open_or_create(const fs::path& path) {
  constexpr int kFlags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
  while (true) {
    if (const int made = ::open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0666); made >= 0) return {made, true};
    if (errno != EEXIST) throw_system_error(path, "cannot be created");
    if (const int found = ::open(path.c_str(), kFlags); found >= 0) return {found, false};
    if (errno != ENOENT) throw_system_error(path, "cannot be opened");
  }
}

/// Whether `path` is the file that is open.
bool is_at(const fs::path& path, int descriptor) {
  struct stat ours {
  }, there{};
  return ::fstat(descriptor, &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
         ours.st_ino == there.st_ino;
}

/// What the file says of its holder; opened anew, because network file systems look at the server then. Nothing when
/// there is none.
std::optional<std::string> read_beat(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::array<char, 512> text{};
  const ssize_t size = ::read(descriptor, text.data(), text.size());
  ::close(descriptor);
  return std::string(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
}

/// " (process 7 on host a)".
std::string holder_of(const std::string& beat) {
  const std::size_t end = beat.find(", beat ");
  return end == std::string::npos ? "" : " (" + beat.substr(0, end) + ")";
}

/// Waits for a beat; throws UsageError when there is one.
void wait_for_beat(const fs::path& path, const std::string& what, const FileLockOptions& options) {
  const std::string first = read_beat(path).value_or("");
  spdlog::info("{}: the lock of a job that may be gone{}: looking for a sign of life", path.string(), holder_of(first));
  const auto end = std::chrono::steady_clock::now() + options.patience;
  while (std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(options.heartbeat / 4);
    const auto beat = read_beat(path);
    if (!beat) return;
    if (*beat != first) refuse(path, holder_of(*beat), what);
  }
}

/// Takes the file of a holder that is gone away. Two jobs may do so at once: if it is another file by now, it is put
/// back.
void take_away(const fs::path& path, int descriptor) {
  const fs::path aside = path.string() + "." + std::to_string(getpid());
  if (std::rename(path.c_str(), aside.c_str()) != 0) return;
  if (!is_at(aside, descriptor)) ::link(aside.c_str(), path.c_str());
  ::unlink(aside.c_str());
}

}  // namespace

/// Counts the holder's beats in the file, as long as it lives.
class FileLock::Heart {
 public:
  Heart(int descriptor, std::chrono::milliseconds interval) : descriptor_(descriptor) {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    holder_ = "process " + std::to_string(getpid()) + " on host " + host.data();
    beat(0);
    thread_ = std::thread([this, interval] {
      std::unique_lock lock(mutex_);
      for (std::int64_t number = 1; !wake_.wait_for(lock, interval, [this] { return ending_; }); ++number) beat(number);
    });
  }
  ~Heart() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  Heart(const Heart&) = delete;
  Heart& operator=(const Heart&) = delete;

 private:
  void beat(std::int64_t number) const {
    const std::string text = holder_ + ", beat " + std::to_string(number) + "\n";
    if (::pwrite(descriptor_, text.data(), text.size(), 0) == std::ssize(text)) ::fsync(descriptor_);
  }

  int descriptor_;
  std::string holder_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

FileLock::FileLock(fs::path path, const std::string& what, const FileLockOptions& options) : path_(std::move(path)) {
  while (!try_lock(what, options)) {
  }
}

FileLock::~FileLock() {
  heart_.reset();
  std::error_code ignored;
  if (is_at(path_, descriptor_)) fs::remove(path_, ignored);
  ::close(descriptor_);
}

/// False when the file turned out to mean nothing, being that of a job that has ended: then there may be a new one.
bool FileLock::try_lock(const std::string& what, const FileLockOptions& options) try {
  const Opened opened = open_or_create(path_);
  descriptor_ = opened.descriptor;
  const bool is_locked = options.uses_flock && ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (options.uses_flock && !is_locked && errno == EWOULDBLOCK) refuse(path_, "", what);
  const bool was_left = !opened.is_new && (!is_locked || !read_beat(path_).value_or("").empty());
  if (was_left) {
    wait_for_beat(path_, what, options);
    take_away(path_, descriptor_);
  }
  if (was_left || !is_at(path_, descriptor_)) {
    ::close(descriptor_);
    return false;
  }
  if (!is_locked) heart_ = std::make_unique<Heart>(descriptor_, options.heartbeat);
  return true;
} catch (const Error&) {
  if (descriptor_ >= 0) ::close(descriptor_);
  throw;
}

}  // namespace outsole
