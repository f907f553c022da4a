// `outsole train` as a person or a batch script runs it: ended, killed, asked to stop, and run again.

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "core/csv.h"
#include "database.h"
#include "prepared_scans.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Command = std::vector<std::string>;

class Train : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    write_prepared_scans(folder_ / "scans.h5");
  }

  Command command(const std::string& output, const Command& more = {}) const {
    // One thread a rank: jobs of many threads on cores that others use wait for each other without end.
    Command words{"train",         "--scans", folder_ / "scans.h5", "--task", "prediction", "--epochs", "20",
                  "--batch",       "2",       "--learning-rate",    "1e-4",   "--threads",  "1",        "--output",
                  folder_ / output};
    // The paper's network, as wide as it is, would take ten times as long, most of it to save it.
    if (std::ranges::count(more, "--first-maps") == 0) words.insert(words.end(), {"--first-maps", "16"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  /// The content of a trained model.
  std::pair<std::string, std::string> model(const std::string& output) const {
    return {read_bytes(folder_ / output / "model.h5"), read_bytes(folder_ / output / "model.shards" / "00000.h5")};
  }

  std::int64_t lines_of_history(const std::string& output) const {
    const std::string history = read_bytes(folder_ / output / "history.csv");
    return std::ranges::count(history, '\n');
  }

  /// Starts the command, and sends the signal to all ranks, or to the last one, when ten epochs are done and something
  /// is saved.
  JobResult disturb(const std::string& output, const Command& command, int ranks, int signal,
                    bool only_last_rank = false) const {
    RunningJob job(folder_, command, ranks);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (lines_of_history(output) < 11 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (only_last_rank) {
      kill(job.rank_processes().back(), signal);
    } else {
      job.send(signal);
    }
    return job.wait();
  }

  /// Each of the 20 epochs once.
  void expect_whole_history(const std::string& output) const {
    const CsvTable history = read_csv(folder_ / output / "history.csv");
    ASSERT_EQ(history.rows.size(), 20U);
    for (std::size_t i = 0; i < history.rows.size(); ++i) EXPECT_EQ(history.rows[i][0], std::to_string(i + 1));
  }
};

TEST_F(Train, TwentyEpochsAreTenAndAKillAndTenMoreBitForBit) {
  expect_done(command("straight"));
  const Command often = command("killed", {"--checkpoint-minutes", "0.005"});
  EXPECT_EQ(disturb("killed", often, 0, SIGKILL).signal, SIGKILL);
  EXPECT_FALSE(fs::exists(folder_ / "killed/model.h5"));
  expect_done(often);
  EXPECT_TRUE(model("killed") == model("straight"));
  expect_whole_history("killed");
  EXPECT_THAT(read_bytes(folder_ / "killed/history.svg"), HasSubstr("held-out pairs"));
}

TEST_F(Train, AskedToStopOnOneRankItSavesAndLeavesWith75AndCarriesOnBitForBit) {
  expect_done(command("straight"), 2);
  const JobResult stopped = disturb("stopped", command("stopped"), 2, SIGTERM, true);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.errors;
  EXPECT_THAT(stopped.errors, HasSubstr("run the same command again"));
  EXPECT_FALSE(fs::exists(folder_ / "stopped/model.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "stopped/lock"));
  const JobResult result = run(command("stopped"), 2);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("going on from"));
  EXPECT_TRUE(model("stopped") == model("straight"));
  expect_whole_history("stopped");
}

TEST_F(Train, StoppedOnTwoRanksItGoesOnOnThree) {
  EXPECT_EQ(disturb("run", command("run"), 2, SIGTERM).exit_code, 75);
  expect_done(command("run"), 3);
  expect_whole_history("run");
}

TEST_F(Train, AFinishedRunReturnsAtOnceAndMoreEpochsGoOnWithIt) {
  expect_done(command("run"));
  const auto before = model("run");
  const JobResult again = run(command("run"));
  EXPECT_THAT(again.output, HasSubstr("there already"));
  EXPECT_TRUE(model("run") == before);
  Command more = command("run");
  *std::ranges::find(more, "20") = "21";
  const JobResult raised = run(more);
  EXPECT_THAT(raised.output, HasSubstr("21 epochs, 42 steps")) << raised.errors;
  EXPECT_FALSE(model("run") == before);
}

TEST_F(Train, AFolderOfAnotherRunIsRefusedNamingTheOption) {
  expect_done(command("run", {"--split", "time"}));
  const JobResult result = run(command("run", {"--seed", "2"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, AllOf(HasSubstr("--seed is 1"), HasSubstr("choose another --output")));
}

TEST_F(Train, ASecondJobOnOneFolderIsRefused) {
  Command forever = command("run");
  *std::ranges::find(forever, "20") = "100000";
  RunningJob first(folder_, forever);
  ASSERT_TRUE(first.wait_for(folder_ / "run/history.csv"));
  const JobResult second = run(forever);
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.errors, HasSubstr("another job"));
  first.send(SIGTERM);
  EXPECT_EQ(first.wait().exit_code, 75);
}

TEST_F(Train, FromCoarseToFineItIsStoppedInAnyStageAndCarriesOnBitForBit) {
  write_prepared_scans(folder_ / "scans.h5", 64);
  const Command sizes{"--sizes",
                      "32x32,48x48,native",
                      "--epochs",
                      "20,1,20",
                      "--checkpoint-minutes",
                      "0.005",
                      "--first-maps",
                      "4",
                      "--time-hidden",
                      "4",
                      "--time-maps",
                      "2"};
  const auto staged = [&](const std::string& output) {
    Command words = command(output, sizes);
    words.erase(std::ranges::find(words, "--epochs"), std::ranges::find(words, "--epochs") + 2);  // the single one
    return words;
  };
  expect_done(staged("straight"));
  EXPECT_EQ(disturb("run/32x32", staged("run"), 0, SIGKILL).signal, SIGKILL);
  EXPECT_FALSE(fs::exists(folder_ / "run/32x32/model.h5"));
  {
    RunningJob job(folder_, staged("run"), 0);  // until the first stage is done
    ASSERT_TRUE(job.wait_for(folder_ / "run/32x32/model.h5"));
    job.send(SIGKILL);
    EXPECT_EQ(job.wait().signal, SIGKILL);
  }
  const JobResult stopped = disturb("run/native", staged("run"), 0, SIGTERM);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.errors;
  EXPECT_FALSE(fs::exists(folder_ / "run/model.h5"));
  const JobResult result = run(staged("run"));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_TRUE(model("run") == model("straight"));
  EXPECT_TRUE(model("run") == model("run/native"));
  EXPECT_TRUE(model("run/32x32") == model("straight/32x32"));
  EXPECT_EQ(lines_of_history("run"), 1 + 20 + 1 + 20);
  EXPECT_THAT(read_bytes(folder_ / "run/history.svg"), HasSubstr("48x48"));
  EXPECT_TRUE(fs::exists(folder_ / "run/32x32/history.svg"));
  EXPECT_THAT(run(staged("run")).output, HasSubstr("there already"));
  const JobResult valid = run({"validate", folder_ / "run"});
  EXPECT_EQ(valid.exit_code, 0) << valid.output << valid.errors;
}

TEST_F(Train, StartsFromAModelAndSaysWhatBecameOfIt) {
  write_prepared_scans(folder_ / "scans.h5", 64);
  expect_done(command("coarse", {"--sizes", "32x32"}));
  const Command init{"--init", folder_ / "coarse/model.h5"};
  const JobResult result = run(command("fine", init));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.errors, AllOf(HasSubstr("starting from"), HasSubstr("interpolated to the cells of 64 x 64"),
                                   HasSubstr("pairs a second"), HasSubstr("read a step")));
  const JobResult other = run(command("fine"));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.errors, HasSubstr("the model of --init"));
  const JobResult kind = run(command("residual", {"--init", folder_ / "coarse/model.h5", "--network", "residual"}));
  EXPECT_EQ(kind.exit_code, 2);
  EXPECT_THAT(kind.errors, HasSubstr("--network is paper, here it is residual"));
  // A model of reduced scans is judged on them, reduced.
  const JobResult judged = run({"evaluate", "wear", "--model", folder_ / "coarse/model.h5", "--scans",
                                folder_ / "scans.h5", "--output", folder_ / "quality.json"});
  EXPECT_EQ(judged.exit_code, 0) << judged.errors;
  EXPECT_THAT(read_bytes(folder_ / "quality.json"), HasSubstr("\"height_px\": 32"));
}

TEST_F(Train, ThePlanTellsTheWorkAndWritesNothing) {
  const JobResult result = run(command("run", {"--plan", "--plan-ranks", "1,2,4096"}));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("3 to train on, 3 held out"), HasSubstr("20 epochs of 2 steps"),
                                   HasSubstr("efficiency"), HasSubstr("pairs"), HasSubstr("idle ranks")));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(Train, WhatCannotBeDoneIsRefusedByName) {
  const auto refusal = [&](const Command& more, int exit_code) {
    const JobResult result = run(command("run", more));
    EXPECT_EQ(result.exit_code, exit_code) << result.errors;
    return result.errors;
  };
  EXPECT_THAT(refusal({"--split", "week"}, 2), HasSubstr("no split 'week'"));
  EXPECT_THAT(refusal({"--split", "pair"}, 3), HasSubstr("nothing to hold out"));
  EXPECT_THAT(refusal({"--network", "deep"}, 2), HasSubstr("no network 'deep'"));
  EXPECT_THAT(refusal({"--schedule", "linear"}, 2), HasSubstr("no schedule 'linear'"));
  EXPECT_THAT(refusal({"--shift-px", "-1"}, 2), HasSubstr("--shift-px"));
  EXPECT_THAT(refusal({"--first-maps", "513"}, 2), HasSubstr("--first-maps"));
  EXPECT_THAT(refusal({"--minutes", "0"}, 2), HasSubstr("--minutes"));
  EXPECT_THAT(refusal({"--sizes", "16x16,wide"}, 2), AllOf(HasSubstr("--sizes"), HasSubstr("HEIGHTxWIDTH")));
  EXPECT_THAT(refusal({"--sizes", "64x64"}, 2), AllOf(HasSubstr("--sizes"), HasSubstr("--size 64x64")));
  EXPECT_THAT(refusal({"--sizes", "native,native"}, 2), HasSubstr("from coarse to fine"));
  EXPECT_THAT(refusal({"--sizes", "native", "--minutes", "1,2"}, 2), HasSubstr("--minutes: 2 values"));
  EXPECT_THAT(refusal({"--init", folder_ / "scans.h5"}, 3), HasSubstr("outsole.prepared"));
  EXPECT_THAT(refusal({"--mixed-precision", "--device", "cpu"}, 2), HasSubstr("--mixed-precision"));
  EXPECT_THAT(refusal({"--precision", "bf16", "--device", "cpu"}, 2), HasSubstr("--precision bf16"));
  EXPECT_THAT(refusal({"--precision", "tf32", "--device", "cpu"}, 2), HasSubstr("--precision tf32"));
  EXPECT_THAT(refusal({"--precision", "16"}, 2), AllOf(HasSubstr("--precision"), HasSubstr("no precision '16'")));
  EXPECT_THAT(refusal({"--precision", "tf32", "--mixed-precision"}, 2), HasSubstr("--mixed-precision: not with"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

}  // namespace
}  // namespace outsole::testing
