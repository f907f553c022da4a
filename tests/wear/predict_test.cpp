#include "wear/predict.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cmath>
#include <opencv2/imgcodecs.hpp>

#include "core/errors.h"
#include "core/sha256.h"
#include "ingest/image_record.h"
#include "wear/predictor.h"
#include "wear_fixture.h"

namespace outsole::wear {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Predict : public WearTest {
 protected:
  void SetUp() override {
    WearTest::SetUp();
    options_.model = folder_ / "model.h5";
    options_.input = {folder_ / "prepared.h5"};
    options_.output = folder_ / "predictions.h5";
    options_.weeks = {8, 24};
  }

  template <typename Value>
  std::vector<Value> column(const char* name) const {
    return std::get<std::vector<Value>>(store::Store(options_.output, kPredictionsSchema).read(name).values);
  }
  cv::Mat1b picture(std::int64_t row) const {
    const store::Store store(options_.output, kPredictionsSchema);
    return ingest::byte_image(std::get<std::vector<std::uint8_t>>(store.read("pixels", row, 1).values),
                              column<std::int32_t>("height_px")[static_cast<std::size_t>(row)],
                              column<std::int32_t>("width_px")[static_cast<std::size_t>(row)]);
  }
  /// What the refusal says.
  template <typename Cause>
  std::string refusal() {
    try {
      predict(comm_, options_);
    } catch (const Cause& error) {
      return error.what();
    }
    ADD_FAILURE() << "no refusal";
    return {};
  }

  PredictOptions options_;
};

TEST_F(Predict, ShowsEveryScanAtEveryTimeWithTheTruthThereIs) {
  write_model(wear::Task::kPrediction);
  options_.choice.weeks = {4, 15};  // of which there is 16
  const PredictSummary summary = predict(comm_, options_);
  EXPECT_EQ(summary.facts.predictions, 8);
  if (!comm_.is_root()) return;
  EXPECT_EQ(summary.predictions, 8);
  EXPECT_EQ(summary.refused, 0);
  EXPECT_THAT(column<std::string>("input_id"),
              ElementsAre("a_4", "a_4", "a_16", "a_16", "bb_4", "bb_4", "bb_16", "bb_16"));
  EXPECT_THAT(column<std::string>("truth_id"), ElementsAre("a_12", "", "", "", "bb_12", "", "", ""));
  EXPECT_THAT(column<double>("target_week"), ElementsAre(12, 28, 24, 40, 12, 28, 24, 40));
  const wear::PreparedStore scans(folder_ / "prepared.h5");
  cv::Mat1b answer;
  wear::Predictor(options_.model, at::kCPU)(ingest::byte_image(scans.record(1).pixels, kHeight, kWidth), 24)
      .convertTo(answer, CV_8U);
  EXPECT_EQ(cv::norm(picture(1), answer, cv::NORM_INF), 0);
  EXPECT_TRUE(store::Store(options_.output).validate().empty());
}

TEST_F(Predict, ReconstructsOnlyWeeksBeforeTheScan) {
  write_model(wear::Task::kReconstruction);
  options_.weeks = {0, 8, 12};
  options_.choice.ids = {"a_8"};
  predict(comm_, options_);
  if (!comm_.is_root()) return;
  EXPECT_THAT(column<double>("weeks"), ElementsAre(0, 8));
  EXPECT_THAT(column<std::string>("truth_id"), ElementsAre("a_0", "a_8"));
}

TEST_F(Predict, WritesTheSameBytesAfterAnInterruption) {
  write_model(wear::Task::kPrediction);
  predict(comm_, options_);
  std::string whole;
  prepare([&] {
    whole = sha256_of_file(options_.output);
    fs::remove(options_.output);
    fs::remove(folder_ / "predictions.shards" / "00001.h5");
  });
  EXPECT_FALSE(predict(comm_, options_).was_finished);
  EXPECT_TRUE(predict(comm_, options_).was_finished);
  if (comm_.is_root()) {
    EXPECT_EQ(sha256_of_file(options_.output), whole);
  }
}

TEST_F(Predict, FitsImagesOfAnotherSizeOnPaper) {
  write_model(wear::Task::kPrediction);
  cv::Mat1b tall(128, 80, uchar{60});
  prepare([&] { cv::imwrite((folder_ / "tall.png").string(), tall); });
  options_.input = {folder_ / "tall.png"};
  options_.weeks = {8};
  predict(comm_, options_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(picture(0).size(), cv::Size(kWidth, kHeight));
  EXPECT_TRUE(std::isnan(column<double>("target_week")[0]));
  const cv::Mat1b fitted = fitted_on_paper(tall, {kWidth, kHeight});
  EXPECT_EQ(fitted(16, 9), 255);
  EXPECT_EQ(fitted(16, 10), 60);
  EXPECT_EQ(fitted(0, 29), 60);
  EXPECT_EQ(fitted(31, 30), 255);
}

TEST_F(Predict, KeepsTheInputsSizeInTiles) {
  write_model(wear::Task::kPrediction);
  prepare([&] { cv::imwrite((folder_ / "large.png").string(), cv::Mat1b(75, 61, uchar{60})); });
  options_.input = {folder_ / "large.png"};
  options_.at_input_size = true;
  predict(comm_, options_);
  if (comm_.is_root()) {
    EXPECT_EQ(picture(1).size(), cv::Size(61, 75));
  }
}

TEST_F(Predict, LeavesOutImagesThatCannotBeReadUnlessStrict) {
  write_model(wear::Task::kPrediction);
  prepare([&] {
    fs::create_directory(folder_ / "images");
    cv::imwrite((folder_ / "images" / "good.png").string(), cv::Mat1b(32, 40, uchar{60}));
    write("images/bad.png", "no image");
  });
  options_.input = {folder_ / "images"};
  const PredictSummary summary = predict(comm_, options_);
  if (comm_.is_root()) {
    EXPECT_EQ(summary.refused, 1);
  }
  options_.output = folder_ / "strict.h5";
  options_.strict = true;
  EXPECT_THAT(refusal<DataError>(), HasSubstr("bad.png"));
  options_.output = folder_ / "none.h5";
  options_.strict = false;
  options_.input = {folder_ / "images" / "bad.png"};
  EXPECT_THAT(refusal<DataError>(), HasSubstr("bad"));
  EXPECT_FALSE(fs::exists(folder_ / "none.h5"));
}

TEST_F(Predict, RefusesWhatTheModelCannotAnswer) {
  write_model(wear::Task::kPrediction);
  options_.task = wear::Task::kReconstruction;
  EXPECT_THAT(refusal<UsageError>(), HasSubstr("prediction"));
  options_.task.reset();
  options_.weeks = {53};
  EXPECT_THAT(refusal<UsageError>(), HasSubstr("53"));
  options_.weeks = {8};
  options_.choice.ids = {"nobody"};
  EXPECT_THAT(refusal<UsageError>(), HasSubstr("'nobody'"));
  options_.choice = {{}, {30}};
  EXPECT_THAT(refusal<UsageError>(), HasSubstr("weeks 0, 4, 8, 12, 16"));
  options_.choice = {};
  options_.memory_bytes = 1 << 20;
  refusal<EnvironmentError>();
  options_.memory_bytes = std::int64_t{1} << 30;
  options_.model = folder_ / "prepared.h5";
  refusal<DataError>();
  EXPECT_FALSE(fs::exists(options_.output));
}

TEST_F(Predict, RefusesNamesThatMakeNoId) {
  write_model(wear::Task::kPrediction);
  options_.weeks = {8};
  for (const std::string& name :
       {std::string("\xFF.png"), std::string(129, 'x') + ".png", std::string("new\nline.png")}) {
    prepare([&] { cv::imwrite((folder_ / name).string(), cv::Mat1b(kHeight, kWidth, uchar{60})); });
    options_.input = {folder_ / name};
    EXPECT_THAT(refusal<DataError>(), HasSubstr("rename it"));
    EXPECT_FALSE(fs::exists(options_.output));
  }
}

TEST_F(Predict, TakesTheInputsThatRankZeroSees) {
  write_model(wear::Task::kPrediction);
  prepare([&] {
    for (const char* folder : {"images", "late"}) {
      fs::create_directory(folder_ / folder);
      for (const char* name : {"b.png", "c.png"}) {
        cv::imwrite((folder_ / folder / name).string(), cv::Mat1b(kHeight, kWidth, uchar{60}));
      }
    }
    cv::imwrite((folder_ / "late" / "a.png").string(), cv::Mat1b(kHeight, kWidth, uchar{200}));
  });
  // As if a file had come between the looks of two ranks.
  options_.input = {folder_ / (comm_.is_root() ? "images" : "late")};
  options_.weeks = {8};
  predict(comm_, options_);
  if (comm_.is_root()) {
    EXPECT_THAT(column<std::string>("input_id"), ElementsAre("b", "c"));
  }
}

TEST_F(Predict, OnlyRankZeroTriesAForeignModelInAChild) {
  write_model(wear::Task::kPrediction);
  const auto faults_of_children = [] {
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_minflt;
  };
  const auto before = faults_of_children();
  const auto predictor = Predictor::open_together(comm_, options_.model, at::kCPU);
  EXPECT_EQ(faults_of_children() > before, comm_.is_root());
  EXPECT_EQ(predictor.sha256(), store::Store(options_.model).sha256());
}

}  // namespace
}  // namespace outsole::wear
