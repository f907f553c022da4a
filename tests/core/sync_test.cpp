// File systems that cannot sync files or folders, and disks that fail. This program's fsync answers as they do.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/errors.h"
#include "core/files.h"
#include "temporary_folder.h"

namespace {

std::atomic<int> answer_for_files = 0, answer_for_folders = 0;  // errno, or 0: as the system does

}  // namespace

extern "C" int fsync(int descriptor) {
  struct stat status {};
  const bool is_folder = ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
  if (const int answer = is_folder ? answer_for_folders : answer_for_files; answer != 0) {
    errno = answer;
    return -1;
  }
  return reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fsync"))(descriptor);
}

namespace outsole {
namespace {

struct Answer {
  int reason;
  bool is_disk_failure;  // otherwise there is no such thing as syncing there
};

class Syncing : public testing::TemporaryFolder, public ::testing::WithParamInterface<Answer> {
 protected:
  void TearDown() override {
    answer_for_files = answer_for_folders = 0;
    TemporaryFolder::TearDown();
  }

  void expect_outcome() const {
    const auto path = folder_ / "a.json";
    if (GetParam().is_disk_failure) {
      EXPECT_THROW(write_file_atomically(path, "new"), EnvironmentError);
      EXPECT_FALSE(std::filesystem::exists(folder_ / "a.json.part"));
    } else {
      EXPECT_NO_THROW(write_file_atomically(path, "new"));
      EXPECT_EQ(read(path), "new");
    }
  }
};

TEST_P(Syncing, AFolderEndsAJobOnlyWhenTheDiskFails) {
  answer_for_folders = GetParam().reason;
  expect_outcome();
}

TEST_P(Syncing, AFileEndsAJobOnlyWhenTheDiskFails) {
  answer_for_files = GetParam().reason;
  expect_outcome();
}

INSTANTIATE_TEST_SUITE_P(Answers, Syncing,
                         ::testing::Values(Answer{EINVAL, false}, Answer{ENOTSUP, false}, Answer{EOPNOTSUPP, false},
                                           Answer{ENOSYS, false}, Answer{EBADF, false}, Answer{ENOTTY, false},
                                           Answer{EIO, true}, Answer{ENOSPC, true}, Answer{EDQUOT, true}),
                         [](const auto& test) {
                           return "Errno" + std::to_string(test.param.reason) + "Case" + std::to_string(test.index);
                         });

}  // namespace
}  // namespace outsole
