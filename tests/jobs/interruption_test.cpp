// Jobs that are killed or asked to stop, and run again.

#include <gmock/gmock.h>

#include <csignal>

#include "database.h"
#include "run_here.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Interrupted : public JobTest {
 protected:
  static void SetUpTestSuite() { database_ = new fs::path(make_database()); }
  static void TearDownTestSuite() {
    fs::remove_all(*database_);
    delete database_;
  }

  /// 160 exemplars: five units of the index; eight marks: eight units of results.
  static fs::path make_database() {
    const fs::path folder = Database::folder() / "interrupted";
    fs::create_directory(folder);
    run_here(folder, {"synthesize", "exemplars", "--count", "160", "--size", "96x48", "--output", "images"});
    run_here(folder,
             {"synthesize", "marks", "--exemplars", "images", "--count", "8", "--seed", "2", "--output", "marks"});
    run_here(folder, {"ingest", "--kind", "exemplars", "--input", "images", "--output", "exemplars.h5"});
    run_here(folder, {"index", "--exemplars", "exemplars.h5", "--output", "index.h5"});
    return folder;
  }

  static std::vector<std::string> index_command() {
    return {"index", "--exemplars", *database_ / "exemplars.h5", "--output", "index.h5"};
  }
  static std::vector<std::string> search_command() {
    return {"search",
            "--index",
            *database_ / "index.h5",
            "--marks",
            *database_ / "marks",
            "--angles-deg",
            "-8:8:4",
            "--output",
            "results.h5",
            "--csv",
            "results.csv"};
  }

  static std::vector<std::string> learn_command(const std::vector<std::string>& method) {
    std::vector<std::string> command = {"learn",
                                        "--index",
                                        *database_ / "index.h5",
                                        "--marks",
                                        *database_ / "marks",
                                        "--labels",
                                        *database_ / "marks" / "labels.csv",
                                        "--angles-deg",
                                        "0",
                                        "--components",
                                        "8",
                                        "--output",
                                        "metric.h5",
                                        "--method"};
    command.insert(command.end(), method.begin(), method.end());
    return command;
  }

  /// What the command leaves when nothing disturbs it; found out once.
  static const std::map<std::string, std::string>& undisturbed(const std::vector<std::string>& command) {
    static std::map<std::vector<std::string>, std::map<std::string, std::string>> known;
    const auto [at, is_new] = known.try_emplace(command);
    if (is_new) {
      const fs::path folder = *database_ / ("undisturbed" + std::to_string(known.size()));
      fs::create_directory(folder);
      const JobResult result = run_here(folder, command);
      EXPECT_EQ(result.exit_code, 0) << result.errors;
      at->second = digests(folder);
    }
    return at->second;
  }

  /// Starts the command in a fresh folder, sends the signal as soon as `moment` exists there, to all or one of the
  /// ranks.
  JobResult disturb(const fs::path& folder, const std::vector<std::string>& command, int ranks, const fs::path& moment,
                    int signal, bool only_last_rank = false) const {
    fs::create_directory(folder);
    RunningJob job(folder, command, ranks);
    EXPECT_TRUE(job.wait_for(folder / moment)) << moment;
    if (only_last_rank) {
      const auto processes = job.rank_processes();
      EXPECT_EQ(processes.size(), static_cast<std::size_t>(ranks));
      if (!processes.empty()) kill(processes.back(), signal);
    } else {
      job.send(signal);
    }
    return job.wait();
  }

  void expect_carries_on(const fs::path& folder, const std::vector<std::string>& command, int ranks,
                         const std::map<std::string, std::string>& expected) const {
    const JobResult result = ranks == 0 ? run_here(folder, command) : run_job(folder, command, ranks);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(digests(folder), expected);
  }

  static const fs::path* database_;
};

const fs::path* Interrupted::database_ = nullptr;

TEST_F(Interrupted, AnIndexKilledAtAnyMomentIsCompletedToTheSameBytes) {
  const auto& expected = undisturbed(index_command());
  ASSERT_TRUE(expected.contains("index.shards/00004.h5"));
  int in_time = 0;  // on a busy machine the job may end before the last of the signals
  for (const char* moment :
       {"index.shards/lock", "index.shards/00000.h5.part", "index.shards/00001.h5", "index.shards/00004.h5"}) {
    const fs::path folder = folder_ / ("killed" + std::to_string(std::hash<std::string>()(moment)));
    const JobResult killed = disturb(folder, index_command(), 0, moment, SIGKILL);
    EXPECT_TRUE(killed.signal == SIGKILL || killed.exit_code == 0) << killed.errors;
    expect_carries_on(folder, index_command(), in_time == 0 ? 2 : 0, expected);  // once on other ranks
    in_time += killed.signal == SIGKILL;
  }
  EXPECT_GE(in_time, 1);
}

TEST_F(Interrupted, AnIndexThatLosesARankEndsAndIsCompletedToTheSameBytes) {
  const auto& expected = undisturbed(index_command());
  const JobResult killed = disturb(folder_ / "killed", index_command(), 2, "index.shards/00000.h5", SIGKILL, true);
  EXPECT_FALSE(killed.timed_out);
  EXPECT_NE(killed.exit_code, 0);
  expect_carries_on(folder_ / "killed", index_command(), 3, expected);
}

TEST_F(Interrupted, ASearchKilledAtAnyMomentIsCompletedToTheSameBytes) {
  const auto& expected = undisturbed(search_command());
  ASSERT_TRUE(expected.contains("results.shards/00007.h5"));
  int in_time = 0;
  for (const int shard : {0, 3, 6}) {
    const std::string moment = "results.shards/0000" + std::to_string(shard) + ".h5";
    const fs::path folder = folder_ / ("killed" + std::to_string(shard));
    const JobResult killed = disturb(folder, search_command(), 0, moment, SIGKILL);
    EXPECT_TRUE(killed.signal == SIGKILL || killed.exit_code == 0) << killed.errors;
    in_time += killed.signal == SIGKILL;
    expect_carries_on(folder, search_command(), 0, expected);
  }
  EXPECT_GE(in_time, 1);
}

TEST_F(Interrupted, ASearchThatLosesARankEndsAndIsCompletedToTheSameBytes) {
  const auto& expected = undisturbed(search_command());
  const JobResult killed = disturb(folder_ / "killed", search_command(), 2, "results.shards/00002.h5", SIGKILL, true);
  EXPECT_FALSE(killed.timed_out);
  EXPECT_NE(killed.exit_code, 0);
  expect_carries_on(folder_ / "killed", search_command(), 2, expected);
}

TEST_F(Interrupted, LearningKilledInAnyOfItsStagesIsCompletedToTheSameBytes) {
  const auto command = learn_command({"cca+weights", "--folds", "4"});
  const auto& expected = undisturbed(command);
  ASSERT_TRUE(expected.contains("metric.shards/00003.h5"));
  int in_time = 0;
  for (const std::string stage : {"metric.results", "metric.pairs", "metric"}) {
    const fs::path folder = folder_ / ("killed_" + stage);
    const JobResult killed = disturb(folder, command, 0, stage + ".shards/00001.h5", SIGKILL);
    EXPECT_TRUE(killed.signal == SIGKILL || killed.exit_code == 0) << killed.errors;
    expect_carries_on(folder, command, in_time == 0 ? 2 : 0, expected);
    in_time += killed.signal == SIGKILL;
  }
  EXPECT_GE(in_time, 1);
}

TEST_F(Interrupted, LearningAskedToStopLeavesWith75AndCarriesOn) {
  const auto command = learn_command({"cca+weights", "--folds", "4"});
  const auto& expected = undisturbed(command);
  const JobResult stopped = disturb(folder_ / "stopped", command, 2, "metric.pairs.shards/00000.h5", SIGTERM, true);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.errors;
  EXPECT_FALSE(fs::exists(folder_ / "stopped" / "metric.h5"));
  expect_carries_on(folder_ / "stopped", command, 2, expected);
}

TEST_F(Interrupted, FinetuningAskedToStopLeavesWith75AndComesToTheSameMetric) {
  const auto command =
      learn_command({"finetune", "--epochs", "6", "--batch", "8", "--threads", "1", "--checkpoint-minutes", "1e-6"});
  const auto& expected = undisturbed(command);
  const fs::path folder = folder_ / "stopped";
  const JobResult stopped =
      disturb(folder, command, 0, "metric.training/fold_0/checkpoints/epoch_000001_step_00000.h5", SIGTERM);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.errors;
  EXPECT_FALSE(fs::exists(folder / "metric.h5"));
  EXPECT_EQ(run_here(folder, command).exit_code, 0);
  EXPECT_EQ(digests(folder)["metric.h5"], expected.at("metric.h5"));
}

TEST_F(Interrupted, LearningRefusesOptionsThatDoNotGoTogether) {
  EXPECT_THAT(run({"learn", "--index", "i.h5", "--output", "m.h5", "--method", "cca"}).errors,
              HasSubstr("'--marks' is required"));
  EXPECT_THAT(run({"learn", "--index", "i.h5", "--output", "m.h5", "--method", "cca", "--epochs", "3"}).errors,
              HasSubstr("--epochs: has no effect without --method finetune"));
  EXPECT_THAT(run({"learn", "--index", "i.h5", "--output", "m.h5", "--import", "f", "--method", "cca"}).errors,
              HasSubstr("--import: learns nothing"));
}

TEST_F(Interrupted, AnIndexAskedToStopLeavesWith75AndCarriesOn) {
  const auto& expected = undisturbed(index_command());
  for (const int ranks : {0, 2}) {
    const fs::path folder = folder_ / ("stopped" + std::to_string(ranks));
    const JobResult stopped = disturb(folder, index_command(), ranks, "index.shards/00000.h5", SIGTERM);
    EXPECT_EQ(stopped.exit_code, 75) << stopped.errors;
    EXPECT_THAT(stopped.errors, HasSubstr("run the same command again"));
    EXPECT_FALSE(fs::exists(folder / "index.h5"));
    EXPECT_FALSE(fs::exists(folder / "index.shards/lock"));
    expect_carries_on(folder, index_command(), ranks, expected);
  }
}

TEST_F(Interrupted, ASearchAskedToStopOnOneRankLeavesWith75AndCarriesOn) {
  const auto& expected = undisturbed(search_command());
  const JobResult stopped = disturb(folder_ / "stopped", search_command(), 2, "results.shards/00000.h5", SIGTERM, true);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.errors;
  EXPECT_THAT(stopped.errors, HasSubstr("run the same command again"));
  EXPECT_FALSE(fs::exists(folder_ / "stopped/results.h5"));
  EXPECT_FALSE(fs::exists(folder_ / "stopped/results.csv"));
  expect_carries_on(folder_ / "stopped", search_command(), 3, expected);
}

TEST_F(Interrupted, AnIndexThatLostAShardAfterwardsIsNotTakenForFinished) {
  expect_done(index_command());
  fs::remove(folder_ / "index.shards/00003.h5");
  const JobResult result = run(index_command());
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.errors, HasSubstr("00003.h5"));
}

}  // namespace
}  // namespace outsole::testing
