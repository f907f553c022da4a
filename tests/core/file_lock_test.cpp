#include "core/file_lock.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <memory>

#include "../message_of.h"
#include "core/errors.h"
#include "temporary_folder.h"

namespace outsole {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;

/// With a file system's locks, and without.
class Lock : public testing::TemporaryFolder, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    path_ = folder_ / "lock";
  }
  std::unique_ptr<FileLock> lock() const { return std::make_unique<FileLock>(path_, "this store", options_); }

  FileLockOptions options_{GetParam(), std::chrono::milliseconds(20), std::chrono::milliseconds(1500)};
  std::filesystem::path path_;
};

TEST_P(Lock, ASecondJobIsRefusedAndTheFirstOnesLockSurvives) {
  auto first = lock();
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_THAT(message_of<UsageError>([&] { lock(); }), AllOf(HasSubstr(path_.string()), HasSubstr("another job")));
    EXPECT_TRUE(std::filesystem::exists(path_));
  }
  first.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  lock();
}

TEST_P(Lock, WhatADeadJobLeftIsTakenOver) {
  for (const char* left : {"", "process 7 on host elsewhere, beat 3\n"}) {
    write("lock", left);
    const auto mine = lock();
    EXPECT_EQ(message_of<UsageError>([&] { lock(); }).find("elsewhere"), std::string::npos);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_P(Lock, ALinkIsNotFollowed) {
  const auto precious = write("precious", "precious");
  std::filesystem::create_symlink(precious, path_);
  EXPECT_THAT(message_of<EnvironmentError>([&] { lock(); }), HasSubstr(path_.string()));
  EXPECT_EQ(read(precious), "precious");
}

TEST_P(Lock, OnlyItsOwnFileIsRemoved) {
  auto mine = lock();
  std::filesystem::remove(path_);
  write("lock", "another");
  mine.reset();
  EXPECT_EQ(read(path_), "another");
}

INSTANTIATE_TEST_SUITE_P(OfTheFileSystem, Lock, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "flock" : "none"; });

using LockWithoutFlock = Lock;

TEST_P(LockWithoutFlock, TheRefusalNamesTheHolder) {
  options_.uses_flock = false;
  const auto first = lock();
  EXPECT_THAT(message_of<UsageError>([&] { lock(); }), HasSubstr("(process " + std::to_string(getpid()) + " on host "));
}

INSTANTIATE_TEST_SUITE_P(OfTheFileSystem, LockWithoutFlock, ::testing::Values(false));

}  // namespace
}  // namespace outsole
