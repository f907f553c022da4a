#include "core/status.h"

#include <nlohmann/json.hpp>

#include "../temporary_folder.h"
#include "core/progress.h"

namespace outsole {
namespace {

using Statuses = testing::TemporaryFolder;

TEST_F(Statuses, TellWatchersOfARunningJobAndGoWhenItEnds) {
  const auto path = folder_ / "results.status.json";
  {
    const StatusFile file(folder_ / "results.h5", "search");
    EXPECT_FALSE(std::filesystem::exists(path)) << "before the job has anything to report";
    Progress progress("searching", "marks", 10, /*enabled=*/true, /*done=*/3);
    const auto json = nlohmann::json::parse(read(path));
    EXPECT_EQ(json.at("job"), "search");
    EXPECT_EQ(json.at("phase"), "searching");
    EXPECT_EQ(json.at("done"), 3);
    EXPECT_EQ(json.at("total"), 10);
    EXPECT_TRUE(json.at("seconds_left").is_null());
    progress.advance();
    EXPECT_EQ(nlohmann::json::parse(read(path)).at("done"), 3) << "not written again within seconds";
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Statuses, OfAKilledRunAreRemovedByTheNextOne) {
  for (const char* left : {"results.status.json", "results.status.json.part"}) write(left, "{");
  { const StatusFile file(folder_ / "results.h5", "search"); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Statuses, OfAnotherPhaseAreWrittenAtOnce) {
  const StatusFile file(folder_ / "run" / "", "train");
  report_status({"reading", "scans", 0, 52});
  report_status({"training", "epochs", 1, 100, 12.6});
  const auto json = nlohmann::json::parse(read(folder_ / "run.status.json"));
  EXPECT_EQ(json.at("phase"), "training");
  EXPECT_EQ(json.at("seconds_left"), 13);
}

TEST_F(Statuses, ThatCannotBeWrittenDoNotStopTheJob) {
  const StatusFile file(folder_ / "absent" / "results.h5", "search");
  EXPECT_NO_THROW(report_status({"searching", "marks", 0, 10}));
}

TEST(Status, IsNotKeptByAProcessThatKeepsNone) { EXPECT_NO_THROW(report_status({"searching", "marks", 0, 10})); }

}  // namespace
}  // namespace outsole
