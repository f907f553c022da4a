// --plan of every job: it says what would be done and what that takes, and writes nothing. On all ranks of this
// process.

#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <sstream>

#include "../shared_folder.h"
#include "database.h"
#include "run_here.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Command = std::vector<std::string>;

/// A line for programs.
struct ForPrograms {
  int ranks = 0;
  double seconds = 0, memory_bytes = 0;
};

std::vector<ForPrograms> for_programs(const std::string& output) {
  std::vector<ForPrograms> rows;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    ForPrograms row;
    if (std::sscanf(line.c_str(), "plan: ranks=%d seconds=%lf memory_bytes=%lf", &row.ranks, &row.seconds,
                    &row.memory_bytes) == 3) {
      rows.push_back(row);
    }
  }
  return rows;
}

class Plans : public SharedFolder {
 protected:
  static void SetUpTestSuite() { Database::folder(); }  // all ranks make it

  /// A command of each job, on the database.
  static std::vector<Command> commands() {
    const std::string base = Database::folder();
    return {
        {"synthesize", "exemplars", "--count", "5", "--size", "96x48", "--output", "images"},
        {"synthesize", "marks", "--count", "5", "--exemplars", base + "/images", "--output", "images"},
        {"synthesize", "wear", "--size", "96x64", "--output", "images"},
        {"ingest", "--kind", "exemplars", "--input", base + "/images", "--output", "e.h5"},
        {"index", "--exemplars", base + "/exemplars.h5", "--output", "i.h5"},
        {"search", "--index", base + "/index.h5", "--marks", base + "/marks", "--output", "r.h5"},
        {"train", "--scans", base + "/small.h5", "--task", "prediction", "--epochs", "100", "--output", "run"},
        {"predict", "--model", base + "/run/model.h5", "--input", base + "/small.h5", "--weeks", "8", "--output", "p"},
        {"evaluate", "retrieval", "--results", base + "/results.h5", "--labels", base + "/marks/labels.csv", "--output",
         "e.json"},
        {"evaluate", "wear", "--model", base + "/run/model.h5", "--scans", base + "/small.h5", "--output", "e.json"},
        {"validate", base + "/index.h5"}};
  }

  JobResult plan(Command command, const Command& more = {}) const {
    command.push_back("--plan");
    command.insert(command.end(), more.begin(), more.end());
    return run_here(folder_, command);
  }
};

TEST_F(Plans, OfEveryJobTellTheTimeToPeopleAndProgramsAndWriteNothing) {
  for (const Command& command : commands()) {
    const JobResult result = plan(command);
    SCOPED_TRACE(command[0] + " " + command[1] + "\n" + result.output);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    if (!comm_.is_root()) continue;  // which tells
    EXPECT_THAT(result.output, HasSubstr("time          about "));
    const auto rows = for_programs(result.output);
    EXPECT_EQ(rows.size(), 1U);
    if (rows.size() != 1) continue;
    EXPECT_EQ(rows[0].ranks, comm_.size());
    EXPECT_GT(rows[0].seconds, 0);
    EXPECT_LT(rows[0].seconds, 3600);
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Plans, OfEveryJobTellWhatOtherNumbersOfRanksTake) {
  for (const Command& command : commands()) {
    const JobResult result = plan(command, {"--plan-ranks", "1,4096", "--plan-node", "ranks=2,memory=64"});
    SCOPED_TRACE(command[0] + " " + command[1] + "\n" + result.output);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    if (!comm_.is_root()) continue;
    EXPECT_THAT(result.output, HasSubstr("efficiency"));
    const auto rows = for_programs(result.output);
    EXPECT_EQ(rows.size(), 2U);
    if (rows.size() != 2) continue;
    EXPECT_EQ(rows[0].ranks, 1);
    EXPECT_EQ(rows[1].ranks, 4096);
  }
}

TEST_F(Plans, WithWrongNumbersOfRanksEndOnAllRanksAtOnce) {
  const auto expect_refused = [&](const Command& command, const Command& wrong) {
    const JobResult result = plan(command, wrong);
    EXPECT_EQ(result.exit_code, 2) << command[0] << ": " << result.errors;
    if (!comm_.is_root()) return;
    EXPECT_THAT(result.errors, HasSubstr(wrong[0])) << command[0];
    EXPECT_THAT(result.output, Not(HasSubstr("time "))) << command[0];
  };
  for (const Command& command : commands()) expect_refused(command, {"--plan-ranks", "1,x"});
  expect_refused(commands().front(), {"--plan-node", "cores=4", "--plan-ranks", "1"});
}

TEST_F(Plans, OfATrainingThatEndsItselfTellSoLongATime) {
  const std::string base = Database::folder();
  const JobResult result = plan({"train", "--scans", base + "/small.h5", "--task", "prediction", "--output", "run",
                                 "--epochs", "1000000000", "--minutes", "2"});
  if (!comm_.is_root()) return;
  const auto rows = for_programs(result.output);
  ASSERT_EQ(rows.size(), 1U) << result.errors;
  EXPECT_EQ(rows[0].seconds, 120);
}

}  // namespace
}  // namespace outsole::testing
