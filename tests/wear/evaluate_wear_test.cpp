#include "wear/evaluate_wear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "ingest/image_record.h"
#include "measure/image_quality.h"
#include "wear/predictor.h"
#include "wear_fixture.h"

namespace outsole::wear {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

class EvaluateWear : public WearTest {
 protected:
  void SetUp() override {
    WearTest::SetUp();
    options_.model = folder_ / "model.h5";
    options_.scans = folder_ / "prepared.h5";
  }

  EvaluateWearOptions options_;
};

TEST_F(EvaluateWear, AveragesOverTheHeldOutPairs) {
  write_model(wear::Task::kPrediction);
  const ordered_json json = evaluate_wear(options_, comm_);
  if (!comm_.is_root()) return;
  // Of each shoe's five weeks the last is held out: four pairs with another scan, and itself.
  EXPECT_EQ(json["pairs"], 8);
  EXPECT_EQ(json["same_scan"]["pairs"], 2);
  EXPECT_EQ(json["by_weeks"]["2-6"]["pairs"], 2);
  EXPECT_EQ(json["by_weeks"]["8-14"]["pairs"], 4);
  EXPECT_EQ(json["by_weeks"]["16-26"]["pairs"], 2);
  EXPECT_EQ(json["eight_weeks_and_more"]["pairs"], 6);
  EXPECT_TRUE(json["same_scan"]["psnr_db"]["persistence"]["mean"].is_null());
  EXPECT_EQ(json["same_scan"]["beats_all_baselines"]["psnr_db"], false);

  const wear::PreparedStore scans(options_.scans);
  const wear::Predictor model(options_.model, at::kCPU);
  const auto image = [&](std::int64_t i) { return ingest::byte_image(scans.record(i).pixels, kHeight, kWidth); };
  const auto known = [&](std::int64_t i) { return ingest::byte_image(scans.record(i).support, kHeight, kWidth); };
  std::vector<double> ssim, psnr;
  double persistence = 0;
  for (const std::int64_t shoe : {0, 5}) {
    for (std::int64_t input = shoe; input < shoe + 4; ++input) {
      const std::int64_t target = shoe + 4;
      cv::Mat1b answer;
      model(image(input), 4.0 * static_cast<double>(target - input)).convertTo(answer, CV_8U);
      ssim.push_back(measure::structural_similarity(answer, image(target), known(target)));
      psnr.push_back(measure::peak_signal_to_noise_db(answer, image(target), known(target)));
      persistence += measure::peak_signal_to_noise_db(image(input), image(target), known(target)) / 8;
    }
  }
  const auto check = [](const ordered_json& statistics, const std::vector<double>& values) {
    double mean = 0, squares = 0;
    for (const double value : values) mean += value / static_cast<double>(values.size());
    for (const double value : values) squares += (value - mean) * (value - mean);
    EXPECT_NEAR(statistics["mean"].get<double>(), mean, 1e-9);
    EXPECT_NEAR(statistics["std"].get<double>(), std::sqrt(squares / static_cast<double>(values.size() - 1)), 1e-9);
    EXPECT_EQ(statistics["n"], values.size());
  };
  check(json["ssim"]["model"], ssim);
  check(json["psnr_db"]["model"], psnr);
  EXPECT_NEAR(json["psnr_db"]["persistence"]["mean"].get<double>(), persistence, 1e-9);
  // The bars grow paler by the same amount every week: a straight line is right, a random model is not.
  EXPECT_GT(json["ssim"]["linear_trend"]["mean"].get<double>(), 0.999);
  EXPECT_EQ(json["beats_all_baselines"]["ssim"], false);
}

TEST_F(EvaluateWear, TellsUnseenTargetWeeksApart) {
  write_model(wear::Task::kReconstruction);
  const ordered_json json = evaluate_wear(options_, comm_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(json["pairs"], 8);
  EXPECT_EQ(json["unseen_target_weeks"]["pairs"], 8);
  EXPECT_EQ(json["trained_target_weeks"]["pairs"], 0);
  EXPECT_TRUE(json["trained_target_weeks"]["ssim"]["model"]["mean"].is_null());
}

TEST_F(EvaluateWear, OfOtherScansJudgesEveryPairBesideTheInputAlone) {
  write_model(wear::Task::kPrediction);
  prepare([&] {
    std::vector<wear::PreparedInfo> scans{testing::scan_of("c", 0), testing::scan_of("c", 4), testing::scan_of("c", 8)};
    testing::write_prepared(folder_ / "other.h5", scans, kHeight, kWidth);
  });
  options_.scans = folder_ / "other.h5";
  const ordered_json json = evaluate_wear(options_, comm_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(json["trained_on_these_scans"], false);
  EXPECT_EQ(json["pairs"], 3);
  EXPECT_EQ(json["ssim"]["persistence"]["n"], 3);
  EXPECT_EQ(json["ssim"]["training_mean"]["n"], 0);
}

TEST_F(EvaluateWear, ComparesWithNoiseFreeScansInThePoseThatPreparationFound) {
  // The scans are reduced by two and turned by 180 degrees on the scanner.
  prepare([&] {
    fs::create_directory(folder_ / "clean");
    std::vector<wear::PreparedInfo> scans{testing::scan_of("c", 0), testing::scan_of("c", 4)};
    store::StoreWriter writer(folder_ / "turned.h5",
                              {wear::kPreparedSchema, wear::kPreparedVersion, {{"dpi", 20.0}, {"scan_dpi", 40.0}}}, 1,
                              true);
    std::vector<wear::PreparedRecord> records;
    for (wear::PreparedInfo& info : scans) {
      info.angle_deg = 180;
      info.centre_y_px = (2 * kHeight - 1) / 2.0 + 3;
      info.centre_x_px = (2 * kWidth - 1) / 2.0 + 5;
      const wear::PreparedRecord record = testing::worn_bars(info, kHeight, kWidth);
      cv::Mat1b large, scan(2 * kHeight + 6, 2 * kWidth + 10, uchar{255});
      cv::resize(ingest::byte_image(record.pixels, kHeight, kWidth), large, {}, 2, 2, cv::INTER_NEAREST);
      cv::flip(large, large, -1);
      large.copyTo(scan(cv::Rect(5, 3, large.cols, large.rows)));
      cv::imwrite((folder_ / "clean" / (info.id + ".png")).string(), scan);
      records.push_back(record);
    }
    writer.write_unit(0, wear::prepared_columns(records, kHeight, kWidth));
    writer.finish();
  });
  write_model(wear::Task::kPrediction);
  options_.scans = folder_ / "turned.h5";
  options_.clean = folder_ / "clean";
  const ordered_json json = evaluate_wear(options_, comm_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(json["clean"]["pairs"], 1);
  EXPECT_NEAR(json["clean"]["ssim"]["model"]["mean"].get<double>(), json["ssim"]["model"]["mean"].get<double>(), 1e-6);
  EXPECT_NEAR(json["clean"]["same_scan"]["ssim"]["persistence"]["mean"].get<double>(), 1, 1e-6);
}

TEST_F(EvaluateWear, TellsOfTheRecentTrendWhereItIsAskedForAndChangesNothingElse) {
  write_model(wear::Task::kPrediction);
  ordered_json without = evaluate_wear(options_, comm_);
  options_.recent_trend = true;
  ordered_json with = evaluate_wear(options_, comm_);
  if (!comm_.is_root()) return;
  EXPECT_FALSE(without["ssim"].contains("recent_trend"));
  EXPECT_EQ(with["ssim"]["recent_trend"]["n"], 8);
  EXPECT_GT(with["psnr_db"]["recent_trend"]["mean"], with["psnr_db"]["persistence"]["mean"]);
  for (ordered_json* json : {&without, &with}) {
    for (const char* measure : {"ssim", "psnr_db"}) (*json)[measure].erase("recent_trend");
    json->erase("beats_all_baselines");
    for (const char* part : {"by_weeks", "eight_weeks_and_more", "same_scan"}) json->erase(part);
  }
  EXPECT_EQ(with, without);
}

TEST_F(EvaluateWear, ShowsLargerScansAtTheModelsSize) {
  write_model(wear::Task::kPrediction);
  prepare([&] { testing::write_prepared(folder_ / "large.h5", two_shoes(), 2 * kHeight + 7, 2 * kWidth + 9); });
  options_.scans = folder_ / "large.h5";
  const ordered_json json = evaluate_wear(options_, comm_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(json["height_px"], kHeight);
  EXPECT_EQ(json["width_px"], kWidth);
  wear::PreparedStore scans(options_.scans);
  scans.show_at({kHeight, kWidth});
  double persistence = 0;
  int pairs = 0;
  for (const std::int64_t shoe : {0, 5}) {
    for (std::int64_t input = shoe; input < shoe + 5; ++input) {
      for (std::int64_t target = input + 1; target < shoe + 5; ++target, ++pairs) {
        const auto from = scans.record(input), to = scans.record(target);
        persistence += measure::peak_signal_to_noise_db(ingest::byte_image(from.pixels, kHeight, kWidth),
                                                        ingest::byte_image(to.pixels, kHeight, kWidth),
                                                        ingest::byte_image(to.support, kHeight, kWidth));
      }
    }
  }
  EXPECT_EQ(json["pairs"], pairs);
  EXPECT_NEAR(json["psnr_db"]["persistence"]["mean"].get<double>(), persistence / pairs, 1e-9);
}

TEST_F(EvaluateWear, RefusesScansOfAnotherSizeAndMissingFiles) {
  write_model(wear::Task::kPrediction);
  prepare([&] { testing::write_prepared(folder_ / "small.h5", two_shoes(), 32, 32); });
  options_.scans = folder_ / "small.h5";
  EXPECT_THROW(evaluate_wear(options_, comm_), UsageError);
  options_.scans = folder_ / "prepared.h5";
  options_.clean = folder_ / "nothing";
  EXPECT_THROW(evaluate_wear(options_, comm_), DataError);
  options_.model = folder_ / "prepared.h5";
  EXPECT_THROW(evaluate_wear(options_, comm_), DataError);
}

}  // namespace
}  // namespace outsole::wear
