#include "core/files.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>

#include "core/errors.h"

namespace outsole {

namespace fs = std::filesystem;

void throw_system_error(const fs::path& path, const char* what) {
  throw EnvironmentError(path.string() + ": " + what + ": " + std::strerror(errno));
}

namespace {

/// What file systems answer that cannot sync such a thing (CIFS, VirtualBox and some FUSE: folders). A disk that fails
/// or is full answers otherwise.
bool means_no_sync(int reason) {
  return reason == EINVAL || reason == ENOTSUP || reason == EOPNOTSUPP || reason == ENOSYS || reason == ENOTTY ||
         reason == EBADF;
}

/// Once a process: every file that it writes would say the same.
void warn_of_no_sync(const fs::path& path, const char* what, int reason) {
  static std::once_flag warned;
  std::call_once(warned, [&] {
    spdlog::warn("{}: the file system does not sync {} ({}): what is written may be lost when the machine fails",
                 path.string(), what, std::strerror(reason));
  });
}

void sync_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error(path, "cannot be opened for syncing");
  const int reason = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  errno = reason;
  if (means_no_sync(reason)) return warn_of_no_sync(path, "files", reason);
  if (reason != 0) throw_system_error(path, "cannot be synced to disk");
}

/// So that the name of a new file outlasts a failure. A folder may let one write to it and not read it; then nobody can
/// sync it, either.
void sync_folder(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    const bool may_not = errno == EACCES || errno == EPERM || errno == EISDIR || means_no_sync(errno);
    if (may_not) return warn_of_no_sync(path, "folders", errno);
    throw_system_error(path, "cannot be opened for syncing");
  }
  const int reason = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  errno = reason;
  if (means_no_sync(reason)) return warn_of_no_sync(path, "folders", reason);
  if (reason != 0) throw_system_error(path, "cannot be synced to disk");
}

/// Throws when there is such a file already: a link that someone puts there must not lead the writing elsewhere.
void write_new_file(const fs::path& path, std::string_view content) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) throw_system_error(path, "cannot be created");
  while (!content.empty()) {
    const ssize_t step = ::write(descriptor, content.data(), content.size());
    if (step < 0 && errno == EINTR) continue;
    if (step < 0) {
      const int reason = errno;
      ::close(descriptor);
      errno = reason;
      throw_system_error(path, "cannot be written");
    }
    content.remove_prefix(static_cast<std::size_t>(step));
  }
  if (::close(descriptor) != 0) throw_system_error(path, "cannot be written");
}

}  // namespace

void publish_file(const fs::path& temporary, const fs::path& path) {
  sync_file(temporary);
  if (std::rename(temporary.c_str(), path.c_str()) != 0) throw_system_error(path, "cannot be renamed into place");
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  const fs::path temporary = path.string() + ".part";
  std::error_code ignored;
  fs::remove(temporary, ignored);  // of a run that was killed
  try {
    write_new_file(temporary, content);
    publish_file(temporary, path);
  } catch (const EnvironmentError&) {
    fs::remove(temporary, ignored);
    throw;
  }
}

std::string read_text_file(const fs::path& path, std::size_t limit_bytes) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) throw DataError(path.string() + ": cannot be read: " + error.message());
  if (size > limit_bytes) throw DataError(path.string() + ": larger than " + std::to_string(limit_bytes) + " bytes");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) throw DataError(path.string() + ": cannot be read");
  return content.str();
}

fs::path beside_output(const fs::path& output, const std::string& ending) {
  fs::path path = output.has_filename() ? output : output.parent_path();
  if (path.extension() == ".h5") path.replace_extension();  // and nothing else: lr0.001 is a name of its own
  return path += ending;
}

std::string file_stamp(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "";
  std::ostringstream stamp;
  stamp << status.st_size;
  // st_ctim, too: tools that copy set st_mtim back.
  for (const timespec& time : {status.st_mtim, status.st_ctim}) stamp << " " << time.tv_sec << "." << time.tv_nsec;
  return stamp.str();
}

std::string id_of(const fs::path& path) { return path.stem().string(); }

}  // namespace outsole
