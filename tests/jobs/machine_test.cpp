// Jobs on machines as they are: names with dots, launchers that MPI does not hear of, marks that show nothing.

#include <gmock/gmock.h>

#include <csignal>
#include <opencv2/imgcodecs.hpp>
#include <set>

#include "database.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using OnThisMachine = JobTest;

TEST_F(OnThisMachine, OutputsWhoseNamesHaveDotsHaveTheirOwnStatus) {
  const std::vector<std::string> command = {"synthesize", "exemplars", "--count", "50000",
                                            "--size",     "200x100",   "--seed",  "1"};
  const auto into = [&](const std::string& output) {
    std::vector<std::string> words = command;
    words.insert(words.end(), {"--output", output});
    return words;
  };
  RunningJob one(folder_, into("lr0.001")), two(folder_, into("lr0.003"));
  EXPECT_TRUE(one.wait_for(folder_ / "lr0.001.status.json"));
  EXPECT_TRUE(two.wait_for(folder_ / "lr0.003.status.json"));
  EXPECT_FALSE(fs::exists(folder_ / "lr0.status.json"));
  for (RunningJob* job : {&one, &two}) {
    job->send(SIGTERM);
    EXPECT_EQ(job->wait().exit_code, 75);
  }
}

TEST_F(OnThisMachine, TheWatchdogOfDottedOutputsHasItsOwnFolder) {
  RunningJob job(
      folder_, {"synthesize", "exemplars", "--count", "50000", "--size", "200x100", "--seed", "1", "--output", "v1.2"},
      2);
  EXPECT_TRUE(job.wait_for(folder_ / "v1.2.pulses"));
  EXPECT_FALSE(fs::exists(folder_ / "v1.pulses"));
  job.send(SIGTERM);
  EXPECT_EQ(job.wait().exit_code, 75);
}

TEST_F(OnThisMachine, AMetricWithoutItsEndingIsRefusedBeforeItsSearch) {
  const std::string base = Database::folder();
  const JobResult result = run({"learn", "--index", base + "/index.h5", "--marks", base + "/marks", "--labels",
                                base + "/marks/labels.csv", "--method", "weights", "--output", "lr0.001"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, HasSubstr("--output lr0.001: the name of a store ends in .h5"));
  EXPECT_FALSE(fs::exists(folder_ / "lr0.results.h5"));
}

TEST_F(OnThisMachine, TasksOfSlurmThatMpiDoesNotKnowOfAreToldAndStopped) {
  for (const std::string task : {"0", "3"}) {
    RunningJob job(
        folder_, {"synthesize", "exemplars", "--count", "2", "--size", "64x32", "--seed", "1", "--output", "ex"}, 0,
        {"SLURM_JOB_ID=77", "SLURM_NTASKS=4", "SLURM_STEP_ID=0", "SLURM_STEP_NUM_TASKS=4", "SLURM_PROCID=" + task});
    const JobResult result = job.wait();
    EXPECT_EQ(result.exit_code, 4);
    EXPECT_THAT(result.errors, AllOf(HasSubstr("Slurm started 4 tasks, MPI sees 1"), HasSubstr("srun --mpi=pmix")));
    EXPECT_FALSE(fs::exists(folder_ / "ex"));
  }
  // A script of an allocation runs a job on one process; mpirun within one brings its own ranks.
  const std::vector<std::string> command = {"synthesize", "exemplars", "--count", "2",        "--size",
                                            "64x32",      "--seed",    "1",       "--output", "ex"};
  RunningJob script(folder_, command, 0, {"SLURM_JOB_ID=77", "SLURM_NTASKS=4", "SLURM_PROCID=0"});
  EXPECT_EQ(script.wait().exit_code, 0);
}

TEST_F(OnThisMachine, BlankMarksHaveNoCandidatesAndAreTold) {
  const std::string base = Database::folder();
  fs::create_directory(folder_ / "marks");
  for (const int grey : {0, 128, 255}) {
    ASSERT_TRUE(cv::imwrite((folder_ / "marks" / ("blank" + std::to_string(grey) + ".png")).string(),
                            cv::Mat1b(60, 40, static_cast<uchar>(grey))));
  }
  const std::vector<std::string> search = {"search",       "--index", base + "/index.h5", "--marks", "marks",
                                           "--angles-deg", "0",       "--output",         "r.h5",    "--csv",
                                           "r.csv"};
  JobResult result = run(search);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.errors, HasSubstr("no mark could be searched"));
  fs::copy_file(base + "/marks/mark00001.png", folder_ / "marks/mark00001.png");
  result = run(search);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("1 marks against 33 exemplars"), HasSubstr("3 marks skipped"),
                                   HasSubstr("blank128.png: blank: nothing but one grey")));
  EXPECT_THAT(read_bytes(folder_ / "r.csv"), ::testing::Not(HasSubstr("blank")));
  std::vector<std::string> strict = search;
  strict.insert(strict.end(), {"--strict", "--output", "s.h5"});
  strict.erase(strict.begin() + 7, strict.begin() + 9);
  result = run(strict);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.errors, HasSubstr("blank: nothing but one grey"));
  EXPECT_FALSE(fs::exists(folder_ / "s.shards"));
}

}  // namespace
}  // namespace outsole::testing
