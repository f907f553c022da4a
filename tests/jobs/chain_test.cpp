// The jobs one after another, as the quickstart runs them.

#include <gmock/gmock.h>

#include <fstream>
#include <regex>

#include "database.h"
#include "run_here.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Whoever watches a job is told "5 of 5 marks" at its end: what several ranks do together counts once.
void expect_all_counted_once(const std::string& log, const std::string& job) {
  static const std::regex kLast("([0-9]+) of ([0-9]+) [^,\n]*, took");
  for (auto line = std::sregex_iterator(log.begin(), log.end(), kLast); line != std::sregex_iterator(); ++line) {
    EXPECT_EQ(line->str(1), line->str(2)) << job << ": " << line->str();
  }
}

class Chain : public JobTest {
 protected:
  /// All jobs in a folder of their own; what they wrote.
  std::map<std::string, std::string> run_all(const std::string& name, int ranks,
                                             const std::vector<std::string>& options = {}) const {
    const fs::path folder = folder_ / name;
    fs::create_directory(folder);
    const std::vector<std::vector<std::string>> jobs = {
        {"synthesize", "exemplars", "--count", "70", "--size", "100x52", "--output", "exemplars"},
        {"synthesize", "marks", "--exemplars", "exemplars", "--count", "5", "--seed", "2", "--output", "marks"},
        {"ingest", "--kind", "exemplars", "--input", "exemplars", "--output", "exemplars.h5"},
        {"index", "--exemplars", "exemplars.h5", "--output", "index.h5"},
        {"search", "--index", "index.h5", "--marks", "marks", "--angles-deg", "-4:4:4", "--all-scores", "--output",
         "results.h5", "--csv", "results.csv"},
        {"evaluate", "retrieval", "--results", "results.h5", "--labels", "marks/labels.csv", "--output",
         "evaluation.json", "--figure", "cmc.svg"},
        {"validate", "."}};
    for (std::vector<std::string> job : jobs) {
      job.insert(job.end(), options.begin(), options.end());
      const JobResult result = ranks == 0 ? run_here(folder, job) : run_job(folder, job, ranks);
      EXPECT_EQ(result.exit_code, 0) << name << ", " << job[0] << ": " << result.errors;
      expect_all_counted_once(result.errors, name + ", " + job[0]);
    }
    return digests(folder);
  }
};

TEST_F(Chain, GivesTheSameBytesOnAnyNumberOfRanksAndInAnyMemoryAndFindsTheExemplarsThatTheMarksWereCutFrom) {
  const auto one = run_all("one", 0);
  ASSERT_TRUE(one.contains("evaluation.json") && one.contains("results.csv") && one.contains("index.shards/00002.h5"));
  EXPECT_EQ(run_all("one_of_little_memory", 0, {"--memory-gib", "0.75"}), one);
  EXPECT_EQ(run_all("three", 3, {"--threads", "2"}), one);

  EXPECT_THAT(read_bytes(folder_ / "one/evaluation.json"), HasSubstr("\"marks\": 5"));
  std::ifstream labels(folder_ / "one/marks/labels.csv"), candidates(folder_ / "one/results.csv");
  std::map<std::string, std::string> truth, first;
  std::string line;
  while (std::getline(labels, line)) truth[line.substr(0, 9)] = line.substr(10, 5);
  while (std::getline(candidates, line)) {
    if (line.substr(9, 3) == ",1,") first[line.substr(0, 9)] = line.substr(12, 5);
  }
  int found = 0;
  for (const auto& [mark, exemplar] : first) found += truth.at(mark) == exemplar;
  EXPECT_GE(found, 4);
}

TEST_F(Chain, HelpAndVersionRunNothing) {
  EXPECT_THAT(run({"--version"}).output, HasSubstr("HDF5"));
  const std::string help = run({"search", "--help"}, 2).output;
  EXPECT_THAT(help, HasSubstr("--angles-deg"));
  EXPECT_EQ(help, run({"search", "--help"}).output);  // of two ranks one tells it
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Chain, OptionsMayStandInAConfigurationFile) {
  const std::string base = Database::folder();
  write_bytes(folder_ / "index.ini", "extractor = pixels\nframe = 80x40\noutput = i.h5\n");
  expect_done({"index", "--exemplars", base + "/exemplars.h5", "--config", "index.ini"}, 2);
  EXPECT_THAT(run({"info", "i.h5"}).output, HasSubstr("\"pixels\""));
}

TEST_F(Chain, ColumnsOfAManifestThatMeanNothingAreNamedOnce) {
  write_bytes(folder_ / "m.csv", "id,mirror,mirrored\n00001,0,1\n00002,0,1\n");
  const JobResult result = run({"ingest", "--kind", "exemplars", "--input", Database::folder() / "images", "--manifest",
                                "m.csv", "--where", "mirrored=1", "--output", "e.h5"},
                               2);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const std::size_t first = result.errors.find("kept as they are: 'mirrored'\n");
  EXPECT_NE(first, std::string::npos) << result.errors;
  EXPECT_EQ(result.errors.find("kept as they are", first + 1), std::string::npos) << result.errors;
}

TEST_F(Chain, InfoTellsHowAModelWasTrained) {
  EXPECT_THAT(run({"info", Database::folder() / "run/model.h5"}).output,
              AllOf(HasSubstr("\"task\": \"prediction\""), HasSubstr("\"epochs\": 1"), HasSubstr("\"loss\": 0."),
                    HasSubstr("\"height_px\": 32")));
}

}  // namespace
}  // namespace outsole::testing
