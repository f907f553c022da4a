// The program itself ends with the exit code of what went wrong, alone and on two ranks. tests/refused holds every kind
// of bad input to it within one process.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include "database.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kUsage = 2, kData = 3, kEnvironment = 4;

using Refusal = JobTest;

TEST_F(Refusal, EndsTheProgramWithTheCodeOfItsCause) {
  const std::string base = Database::folder();
  write_bytes(folder_ / "f", "a file");
  write_bytes(folder_ / "text.png", "not an image, but some text");
  const auto refused = [&](int ranks, int code, const std::string& culprit, const std::vector<std::string>& words) {
    const JobResult result = run_job(folder_, words, ranks);
    EXPECT_FALSE(result.timed_out) << culprit << " on " << ranks << " ranks";
    EXPECT_EQ(result.exit_code, code) << ranks << " ranks: " << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("outsole: "));
    EXPECT_THAT(result.errors, HasSubstr(culprit)) << ranks << " ranks";
  };
  for (const int ranks : {0, 2}) {
    refused(ranks, kUsage, "did you mean 'search'", {"serch", "--index", base + "/index.h5"});
    refused(ranks, kData, "text.png", {"ingest", "--kind", "exemplars", "--input", "text.png", "--output", "out.h5"});
    refused(ranks, kEnvironment, "f/out", {"index", "--exemplars", base + "/exemplars.h5", "--output", "f/out.h5"});
  }
  EXPECT_FALSE(fs::exists(folder_ / "out.h5"));
}

TEST_F(Refusal, TwoJobsDoNotWriteOneOutput) {
  fs::create_directory(folder_ / "out.shards");
  const int lock = open((folder_ / "out.shards/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(lock, 0);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  const std::vector<std::string> index = {"index", "--exemplars", (Database::folder() / "exemplars.h5").string(),
                                          "--output", "out.h5"};
  for (const int ranks : {0, 2}) {
    const JobResult second = run(index, ranks);
    EXPECT_EQ(second.exit_code, kUsage) << second.errors;
    EXPECT_THAT(second.errors, HasSubstr("another job is writing this store"));
  }
  close(lock);
  expect_done(index);
}

}  // namespace
}  // namespace outsole::testing
