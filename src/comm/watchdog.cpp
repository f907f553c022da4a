#include "comm/watchdog.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/checked.h"
#include "core/errors.h"
#include "core/host.h"
#include "core/progress.h"

namespace outsole::comm {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t kPulseBytes = 256;
constexpr double kLooks = 10;            // within the limit, at least
constexpr Seconds kLongestPause{10};     // between two looks or two pulses
constexpr double kLeastUseOfCpu = 1e-3;  // of a processor; a process that is stuck uses none at all

std::mutex activity_mutex;
std::string activity = "its start";

std::string current_activity() {
  const std::lock_guard lock(activity_mutex);
  return activity;
}

double cpu_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// What a rank's file says.
struct Pulse {
  long long process = 0, beats = 0;
  std::string activity;
};

/// Written over what is there: that needs no space on a full disk. A pulse that cannot be written is taken away, or it
/// would seem to stand still. A link that someone puts there leads the writing nowhere else.
void write_pulse(const fs::path& path, const Pulse& pulse) {
  ::mkdir(path.parent_path().c_str(), 0777);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) return;
  std::string text = std::to_string(pulse.process) + " " + std::to_string(pulse.beats) + " " + pulse.activity;
  text.resize(kPulseBytes - 1, ' ');
  text += '\n';
  const bool written = ::pwrite(file, text.data(), text.size(), 0) == std::ssize(text);
  if (::close(file) != 0 || !written) ::unlink(path.c_str());
}

std::optional<Pulse> read_pulse(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::array<char, kPulseBytes> text{};
  const bool is_whole = ::pread(file, text.data(), text.size(), 0) == std::ssize(text);
  ::close(file);
  Pulse pulse;
  int begin = 0;
  text.back() = '\0';
  if (!is_whole || std::sscanf(text.data(), "%lld %lld %n", &pulse.process, &pulse.beats, &begin) != 2) {
    return std::nullopt;
  }
  pulse.activity = text.data() + begin;
  pulse.activity.erase(pulse.activity.find_last_not_of(' ') + 1);
  return pulse;
}

}  // namespace

struct Watchdog::State {
  fs::path own_file, next_file;
  int next_rank = 0;
  long long next_process = 0;
  std::string next_host;
  Seconds limit{}, pause{};
  std::int64_t patience = 0;  // looks

  // Of the thread that waits for others.
  Clock::time_point next_look{};
  long long last_beats = -1;
  std::int64_t looks_without_a_beat = 0;

  std::mutex mutex;
  std::condition_variable_any ended;
  std::jthread pulse;  // last: it uses all of the above

  void beat(const std::stop_token& stop) {
    Pulse now{getpid(), 0, ""};
    double used_s = 0;
    std::unique_lock lock(mutex);
    do {
      const double others_s = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
      if (others_s - used_s >= kLeastUseOfCpu * pause.count()) ++now.beats;
      used_s = others_s;
      now.activity = current_activity();
      write_pulse(own_file, now);
    } while (!ended.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); }));
  }

  void look() {
    const Clock::time_point now = Clock::now();
    if (now < next_look) return;
    next_look = now + std::chrono::duration_cast<Clock::duration>(pause);
    const std::optional<Pulse> seen = read_pulse(next_file);
    const bool stands_still = seen && seen->process == next_process && seen->beats == last_beats;
    looks_without_a_beat = stands_still ? looks_without_a_beat + 1 : 0;
    last_beats = seen ? seen->beats : -1;
    if (looks_without_a_beat < patience) return;
    throw EnvironmentError("rank " + std::to_string(next_rank) + " hangs: process " + std::to_string(next_process) +
                           " on " + next_host + " has not moved for " + format_duration(limit.count()) +
                           " while others wait for it. It was last seen at: " + seen->activity +
                           ". All finished work is saved; run the same command again to carry on "
                           "(`watchdog_minutes` says how long to wait)");
  }
};

namespace {
Watchdog::State* watching = nullptr;
}

Watchdog::Watchdog(const Communicator& comm, const fs::path& folder, std::chrono::duration<double> limit) {
  ensure(watching == nullptr, "a process has one watchdog");
  ensure(limit > Seconds(0), "a watchdog needs a limit");
  if (comm.size() == 1) return;
  std::error_code ignored;
  if (comm.is_root()) fs::remove_all(folder, ignored);  // of a job that was killed
  const std::vector<std::string> names = comm.all_gather(std::to_string(getpid()) + " " + host_name());
  const auto file_of = [&](int rank) { return folder / std::to_string(rank); };
  state_ = std::make_unique<State>();
  State& state = *state_;
  state.next_rank = (comm.rank() + 1) % comm.size();
  state.own_file = file_of(comm.rank());
  state.next_file = file_of(state.next_rank);
  const std::string& next = names[static_cast<std::size_t>(state.next_rank)];
  state.next_process = std::stoll(next);
  state.next_host = next.substr(next.find(' ') + 1);
  state.limit = limit;
  state.pause = std::min(limit / kLooks, kLongestPause);
  state.patience = narrow<std::int64_t>(std::llround(limit / state.pause));
  watching = &state;
  state.pulse = std::jthread([&state](const std::stop_token& stop) { state.beat(stop); });
}

Watchdog::~Watchdog() {
  if (!state_) return;
  watching = nullptr;
  state_->pulse = {};  // ends and joins it
  std::error_code ignored;
  fs::remove(state_->own_file, ignored);
  fs::remove(state_->own_file.parent_path(), ignored);  // by the last rank: it must be empty
}

void now_doing(const std::string& what) {
  const std::lock_guard lock(activity_mutex);
  activity = what;
}

void look_after_next_rank() {
  if (watching != nullptr) watching->look();
}

}  // namespace outsole::comm
