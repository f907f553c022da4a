#include "store/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/errors.h"
#include "store/io_thread.h"

namespace outsole::store {

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) {
  throw EnvironmentError(std::string("cannot check a file in a child process: ") + what + ": " + std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
};

/// Memory beyond `more_bytes` than the process has now is refused to it.
void limit_memory(std::int64_t more_bytes) {
  long long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");  // the sixth number: pages of data and stack
  const bool is_known = file != nullptr && std::fscanf(file, "%*d %*d %*d %*d %*d %lld", &pages) == 1;
  if (file != nullptr) std::fclose(file);
  if (!is_known) return;
  const auto bytes = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + more_bytes);
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_DATA, &limit);
}

/// The child's life: the answer, led by the exit code of its error or 0, goes into the pipe. Signals act as if nobody
/// had installed handlers (MPI prints stack traces), no core is dumped, and the C library's last words go nowhere: the
/// parent reports.
[[noreturn]] void answer_and_exit(int pipe_end, const std::filesystem::path& path,
                                  const std::function<std::string()>& work, std::int64_t memory_bytes) {
  limit_memory(memory_bytes);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (const int nowhere = ::open("/dev/null", O_WRONLY); nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  std::string answer;
  try {
    answer = static_cast<char>(ExitCode::kDone) + work();
  } catch (const Error& error) {
    answer = static_cast<char>(error.code()) + std::string(error.what());
  } catch (const std::exception& error) {
    // Memory refused, or an invariant broken: a trusted file does neither.
    answer = static_cast<char>(ExitCode::kData) + path.string() + ": cannot be read: " + error.what();
  }
  for (std::size_t sent = 0; sent < answer.size();) {
    const ssize_t step = ::write(pipe_end, answer.data() + sent, answer.size() - sent);
    if (step < 0) _exit(1);
    sent += static_cast<std::size_t>(step);
  }
  _exit(0);
}

/// Reads to the end of the pipe; false when `deadline` passes first.
bool receive(int pipe_end, Clock::time_point deadline, std::string& answer) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd waiting{pipe_end, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left, 1000))) <= 0) continue;
    char buffer[4096];
    const ssize_t step = ::read(pipe_end, buffer, sizeof buffer);
    if (step == 0) return true;
    if (step > 0) answer.append(buffer, static_cast<std::size_t>(step));
    if (step < 0 && errno != EINTR) fail("reading its answer");
  }
}

std::string run_forked(const std::filesystem::path& path, const std::function<std::string()>& work,
                       const ChildLimits& limits) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  Descriptor reading(ends[0]), writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) answer_and_exit(writing.get(), path, work, limits.memory_bytes);
  writing.close();

  std::string answer;
  const bool in_time = receive(reading.get(), Clock::now() + limits.time, answer);
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) throw DataError(path.string() + ": reading it does not end; it is damaged or was crafted");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.empty()) {
    const std::string how = WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "early exit";
    throw DataError(path.string() + ": reading it crashes HDF5 (" + how + "); it is damaged or was crafted");
  }
  const auto code = static_cast<ExitCode>(answer.front());
  if (code == ExitCode::kDone) return answer.substr(1);
  if (code == ExitCode::kEnvironment) throw EnvironmentError(answer.substr(1));
  throw DataError(answer.substr(1));
}

}  // namespace

// The fork happens on the I/O thread, so HDF5 is between two calls and its locks are free: the child is a copy of that
// very thread and may use the library at once. No other thread exists in the child; the work touches nothing of theirs
// (glibc keeps malloc usable after a fork), and the child leaves by _exit, running no handlers of MPI or the parent.
std::string run_in_child(const std::filesystem::path& path, const std::function<std::string()>& work,
                         const ChildLimits& limits) {
  return io_thread().run([&] { return run_forked(path, work, limits); });
}

}  // namespace outsole::store
