#include "comm/watchdog.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>

#include "core/errors.h"

namespace outsole::comm {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Seconds = std::chrono::duration<double>;

// Long enough that a rank which gets little of a busy machine is not given up.
constexpr Seconds kLimit{4};

void work_for(Seconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

/// The last rank gets into trouble; the one before it has to notice.
class WatchdogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "outsole-XXXXXX").string();
    if (comm_.is_root()) {
      ASSERT_NE(mkdtemp(name.data()), nullptr);
      ASSERT_EQ(mkfifo((fs::path(name) / "pipe").c_str(), 0600), 0);
    }
    folder_ = comm_.broadcast(name);
    last_process_ = comm_.all_gather(std::to_string(getpid())).back();
    if (comm_.size() == 1) GTEST_SKIP() << "one rank has nobody to wait for";
  }
  void TearDown() override {
    comm_.barrier();
    if (comm_.is_root()) fs::remove_all(folder_);
  }

  bool is_last() const { return comm_.rank() == comm_.size() - 1; }
  bool watches_last() const { return comm_.rank() == comm_.size() - 2; }

  /// Every rank but the last waits for it, which does `trouble` before it joins them in `wait`; the one that watches it
  /// calls `rescue` when the wait has thrown, and gives the message.
  std::string message_about(const std::function<void()>& trouble, const std::function<void()>& rescue) {
    return message_about(trouble, rescue, [&] { comm_.barrier(); });
  }
  std::string message_about(const std::function<void()>& trouble, const std::function<void()>& rescue,
                            const std::function<void()>& wait) {
    std::string message;
    const Watchdog watchdog(comm_, folder_ / "pulses", kLimit);
    if (is_last()) {
      now_doing("searching unit 7");
      work_for(0.3 * kLimit);
      trouble();
    }
    try {
      wait();
    } catch (const EnvironmentError& error) {
      message = error.what();
      rescue();
    }
    comm_.barrier();
    return message;
  }

  void expect_named(const std::string& message) {
    if (!watches_last()) {
      EXPECT_EQ(message, "");
      return;
    }
    EXPECT_THAT(message,
                AllOf(HasSubstr("rank " + std::to_string(comm_.size() - 1)), HasSubstr("process " + last_process_),
                      HasSubstr("searching unit 7"), HasSubstr("run the same command again")));
  }

  Communicator comm_;
  fs::path folder_;
  std::string last_process_;
};

TEST_F(WatchdogTest, NamesARankThatWasStopped) {
  expect_named(message_about([] { std::raise(SIGSTOP); }, [&] { kill(std::stoi(last_process_), SIGCONT); }));
}

TEST_F(WatchdogTest, NamesARankThatReadsFromADiskWhichNeverAnswers) {
  const std::string pipe = folder_ / "pipe";
  expect_named(
      message_about([&] { close(open(pipe.c_str(), O_RDONLY)); }, [&] { close(open(pipe.c_str(), O_WRONLY)); }));
}

TEST_F(WatchdogTest, NamesARankThatItsTeamWaitsFor) {
  const Communicator team = comm_.split(comm_.rank() + 2 >= comm_.size() ? 1 : 0);
  expect_named(message_about([] { std::raise(SIGSTOP); }, [&] { kill(std::stoi(last_process_), SIGCONT); },
                             [&] { team.barrier(); }));
}

TEST_F(WatchdogTest, NamesARankThatOtherTeamsWaitFor) {
  const Communicator team = comm_.split(is_last() ? 1 : 0);
  expect_named(message_about([] { std::raise(SIGSTOP); }, [&] { kill(std::stoi(last_process_), SIGCONT); },
                             [&] {
                               team.barrier();
                               comm_.barrier();
                             }));
}

/// Lets MPI end what was started before, and sees whether it writes to where the stack was then.
void expect_untouched_stack(const Communicator& comm) {
  std::array<volatile char, 1 << 14> stack{};
  for (volatile char& byte : stack) byte = 0x5A;
  comm.barrier();
  int changed = 0;
  for (const volatile char& byte : stack) changed += byte != 0x5A;
  EXPECT_EQ(changed, 0);
}

TEST_F(WatchdogTest, MpiWritesNowhereElseWhenAWaitWasGivenUp) {
  // The sum ends only when the last rank comes, after the ranks that gave it up have gone on.
  message_about([] { std::raise(SIGSTOP); }, [&] { kill(std::stoi(last_process_), SIGCONT); },
                [&] {
                  try {
                    comm_.sum(std::int64_t{1} << 40);
                  } catch (const EnvironmentError&) {
                    kill(std::stoi(last_process_), SIGCONT);
                    expect_untouched_stack(comm_);
                    return;
                  }
                  comm_.barrier();
                });
}

TEST_F(WatchdogTest, LetsAUnitOfWorkTakeItsTime) {
  EXPECT_EQ(message_about([] { work_for(1.5 * kLimit); }, [] {}), "");
}

TEST_F(WatchdogTest, WritesNowhereElseWhenALinkTakesThePulsesPlace) {
  const std::string rank = std::to_string(comm_.rank());
  const fs::path pulse = folder_ / "pulses" / rank, link = folder_ / ("link" + rank),
                 elsewhere = folder_ / ("x" + rank);
  const Watchdog watchdog(comm_, folder_ / "pulses", kLimit);
  for (int i = 0; i < 1000 && !fs::exists(pulse); ++i) work_for(Seconds{0.01});
  fs::create_symlink(elsewhere, link);
  fs::rename(link, pulse);
  work_for(0.5 * kLimit);
  EXPECT_FALSE(fs::exists(elsewhere));
}

TEST_F(WatchdogTest, LeavesNothingBehind) {
  { const Watchdog watchdog(comm_, folder_ / "pulses", kLimit); }
  comm_.barrier();
  EXPECT_FALSE(fs::exists(folder_ / "pulses"));
}

TEST_F(WatchdogTest, NeedsNoFolderThatCanBeWritten) {
  // Nothing is watched, so even a limit that a sleeping rank exceeds gives nobody up.
  const Watchdog watchdog(comm_, folder_ / "absent" / "pulses", Seconds{0.2});
  if (is_last()) nanosleep(std::array{timespec{2, 0}}.data(), nullptr);
  EXPECT_NO_THROW(comm_.barrier());
}

}  // namespace
}  // namespace outsole::comm
