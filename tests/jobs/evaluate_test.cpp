// Evaluating casework, where nobody knows the truth.

#include <gmock/gmock.h>

#include <opencv2/imgcodecs.hpp>

#include "database.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Casework : public JobTest {
 protected:
  JobResult evaluate(const std::vector<std::string>& more) const {
    const std::string base = Database::folder();
    std::vector<std::string> command = {"evaluate", "retrieval", "--results", base + "/results.h5"};
    command.insert(command.end(), more.begin(), more.end());
    return run(command);
  }
  std::vector<std::string> pictures() const {
    const std::string base = Database::folder();
    return {"--candidates", "pictures", "--exemplars", base + "/exemplars.h5", "--marks", base + "/marks"};
  }
};

/// Pixels of the frame around a true exemplar.
int green_pixels(const fs::path& picture) {
  cv::Mat mask;
  cv::inRange(cv::imread(picture.string()), cv::Scalar(55, 150, 20), cv::Scalar(65, 170, 40), mask);
  return cv::countNonZero(mask);
}

TEST_F(Casework, PicturesOfCandidatesNeedNoLabelsAndFrameNoneThen) {
  const std::string base = Database::folder();
  JobResult result = evaluate(pictures());
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  int marks = 0;
  for (const auto& mark : fs::directory_iterator(base + "/marks")) {
    if (mark.path().extension() != ".png") continue;
    ++marks;
    const fs::path picture = folder_ / "pictures" / mark.path().filename();
    ASSERT_TRUE(fs::exists(picture)) << mark.path();
    EXPECT_EQ(green_pixels(picture), 0);
  }
  EXPECT_GT(marks, 0);

  std::vector<std::string> more = pictures();
  more.insert(more.end(), {"--labels", base + "/marks/labels.csv", "--output", "e.json"});
  result = evaluate(more);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_GT(green_pixels(folder_ / "pictures/mark00001.png"), 1000);
}

TEST_F(Casework, RelevanceIsFourPicturesAMark) {
  const std::string base = Database::folder();
  const std::vector<std::string> inputs = {"--exemplars",   base + "/exemplars.h5", "--marks",
                                           base + "/marks", "--relevance",          "relevance"};
  EXPECT_THAT(evaluate(inputs).errors, HasSubstr("--index"));
  std::vector<std::string> more = inputs;
  more.insert(more.end(), {"--index", base + "/index.h5"});
  const JobResult result = evaluate(more);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  int marks = 0;
  for (const auto& mark : fs::directory_iterator(base + "/marks")) marks += mark.path().extension() == ".png";
  int pictures = 0;
  for (const auto& picture : fs::directory_iterator(folder_ / "relevance")) {
    ++pictures;
    const std::string name = picture.path().filename().string();
    EXPECT_THAT(name, ::testing::MatchesRegex(".*\\.(none,none|mu_c,sigma_c)\\.(mark|exemplar)\\.png"));
    cv::Mat yellow;  // relevant pixels, and others
    cv::inRange(cv::imread(picture.path().string()), cv::Scalar(0, 0, 0), cv::Scalar(95, 255, 255), yellow);
    EXPECT_GT(cv::countNonZero(yellow), 0) << name;
    EXPECT_LT(cv::countNonZero(yellow), yellow.total() / 4) << name;
  }
  EXPECT_EQ(pictures, 4 * marks);
}

TEST_F(Casework, AMeasureOfTheListsNeedsLabels) {
  for (const std::string option : {"--output", "--figure", "--group-column"}) {
    std::vector<std::string> more = pictures();
    more.insert(more.end(), {option, "out.json"});
    const JobResult result = evaluate(more);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, AllOf(HasSubstr(option), HasSubstr("--labels")));
  }
  EXPECT_THAT(evaluate({}).errors, HasSubstr("needs --labels, or --candidates"));
  EXPECT_FALSE(fs::exists(folder_ / "pictures"));
}

TEST_F(Casework, AnEvaluationOfOtherInputsIsNotReplaced) {
  write_bytes(folder_ / "e.json", "{}");
  write_bytes(folder_ / "e.json.provenance.json", "{\"details\": {\"labels_sha256\": \"0\"}}");
  const JobResult result =
      evaluate({"--labels", (Database::folder() / "marks/labels.csv").string(), "--output", "e.json"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, AllOf(HasSubstr("e.json"), HasSubstr("labels_sha256")));
  EXPECT_EQ(fs::file_size(folder_ / "e.json"), 2U);
}

/// tests/retrieval refuses few marks.
TEST_F(Casework, CandidatesAloneAreNoCalibration) {
  const JobResult result =
      evaluate({"--labels", (Database::folder() / "marks/labels.csv").string(), "--output", "e.json", "--calibrate"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.errors, HasSubstr("search with --all-scores"));
  EXPECT_FALSE(fs::exists(folder_ / "e.json"));
}

using Comparing = JobTest;

TEST_F(Comparing, TellsMethodsApartInATableAndFigures) {
  const std::string base = Database::folder();
  write_bytes(folder_ / "published.csv", "mark,rank\nmark00001,33\nmark00002,20\n");
  const JobResult result =
      run({"evaluate", "comparison", "--results", base + "/results.h5", base + "/results.h5", "published.csv",
           "--names", "ours,same,published", "--labels", base + "/marks/labels.csv", "--output", "c.json", "--figure",
           "cmc.svg", "--figure-precision-recall", "curves.svg"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("2 marks, 33 exemplars"), HasSubstr("chance"), HasSubstr("Against ours"),
                                   HasSubstr("+0 -0 p 1"), HasSubstr("marks that not all results hold are left out")));
  for (const char* name : {"c.json", "c.json.provenance.json", "cmc.svg", "curves.svg"})
    EXPECT_TRUE(fs::exists(folder_ / name));
}

TEST_F(Comparing, HasItsOptionsToItself) {
  const std::string base = Database::folder();
  const std::vector<std::string> retrieval = {"evaluate", "retrieval", "--labels",  base + "/marks/labels.csv",
                                              "--output", "e.json",    "--results", base + "/results.h5"};
  std::vector<std::string> two = retrieval;
  two.push_back(base + "/results.h5");
  EXPECT_THAT(run(two).errors, HasSubstr("evaluate comparison"));
  std::vector<std::string> names = retrieval;
  names.insert(names.end(), {"--names", "a"});
  EXPECT_EQ(run(names).exit_code, 2);
  EXPECT_THAT(run({"evaluate", "comparison", "--results", base + "/results.h5", "--output", "c.json"}).errors,
              HasSubstr("--labels"));
}

}  // namespace
}  // namespace outsole::testing
