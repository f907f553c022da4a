// The report of a search, as people make it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "database.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class ReportJobTest : public JobTest {
 protected:
  std::vector<std::string> command(std::vector<std::string> more = {}) const {
    const fs::path& database = Database::folder();
    std::vector<std::string> words = {
        "report",  "--results",       database / "results.h5", "--exemplars", database / "exemplars.h5",
        "--marks", database / "marks"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  std::string page(const std::string& name) const { return read_bytes(folder_ / name); }
};

TEST_F(ReportJobTest, HasTheSameBytesOnAnyNumberOfRanksAndIsVerified) {
  const auto words = command({"--index", Database::folder() / "index.h5", "--labels",
                              Database::folder() / "marks/labels.csv", "--output", "page"});
  expect_done(words);
  const auto alone = digests(folder_ / "page");
  EXPECT_THAT(run(words).output, HasSubstr("complete already"));
  fs::remove_all(folder_ / "page");
  expect_done(words, 2);
  EXPECT_EQ(digests(folder_ / "page"), alone);
  EXPECT_TRUE(alone.contains("marks/00001.html"));
  EXPECT_TRUE(alone.contains("pictures/00001/ink.png"));

  const JobResult verified = run({"report", "--verify", "page"});
  EXPECT_EQ(verified.exit_code, 0) << verified.errors;
  write_bytes(folder_ / "page/index.html", "another page");
  const JobResult altered = run({"report", "--verify", "page"});
  EXPECT_EQ(altered.exit_code, 3);
  EXPECT_THAT(altered.errors, HasSubstr("index.html: was altered"));
}

TEST_F(ReportJobTest, ShowsAnUnfinishedSearchWithItsIndex) {
  const fs::path& database = Database::folder();
  fs::create_directories(folder_ / "results.shards");
  fs::copy(database / "results.shards/00000.h5", folder_ / "results.shards/00000.h5");
  const std::vector<std::string> words = {
      "report",  "--results",        "results.h5", "--exemplars", database / "exemplars.h5",
      "--marks", database / "marks", "--output",   "page"};
  const JobResult without = run(words);
  EXPECT_EQ(without.exit_code, 2);
  EXPECT_THAT(without.errors, HasSubstr("--index"));
  auto with = words;
  with.insert(with.end(), {"--index", database / "index.h5"});
  expect_done(with);
  EXPECT_THAT(page("page/index.html"), HasSubstr("The search is not finished."));
  EXPECT_TRUE(fs::exists(folder_ / "page/marks/00001.html"));
  EXPECT_EQ(run({"report", "--verify", "page"}).exit_code, 0);
}

TEST_F(ReportJobTest, SaysWhatItLacksAndRefusesWhatDoesNotFit) {
  expect_done(command({"--output", "page", "--candidates", "3"}));
  EXPECT_THAT(page("page/index.html"), HasSubstr("they need --index"));
  EXPECT_THAT(page("page/marks/00001.html"), HasSubstr("Candidate 3"));
  EXPECT_THAT(page("page/marks/00001.html"), Not(HasSubstr("Candidate 4")));

  const JobResult other = run(command({"--index", Database::folder() / "resnet.h5", "--output", "other"}));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.errors, HasSubstr("is not the index that these results are of"));
  EXPECT_FALSE(fs::exists(folder_ / "other"));
  EXPECT_EQ(run({"report", "--output", "page"}).exit_code, 2);
}

TEST_F(ReportJobTest, CarriesOnAfterItWasStopped) {
  const auto words = command({"--index", Database::folder() / "index.h5", "--output", "page"});
  {
    RunningJob job(folder_, words);
    if (job.wait_for(folder_ / "page.part/marks/00001.html")) job.send(SIGTERM);
    const int code = job.wait().exit_code;
    EXPECT_TRUE(code == 75 || code == 0) << code;
    EXPECT_EQ(fs::exists(folder_ / "page"), code == 0);
  }
  expect_done(words);
  const auto carried_on = digests(folder_ / "page");
  fs::remove_all(folder_ / "page");
  expect_done(words);
  EXPECT_EQ(digests(folder_ / "page"), carried_on);
}

}  // namespace
}  // namespace outsole::testing
