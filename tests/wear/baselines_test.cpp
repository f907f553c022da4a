#include "wear/baselines.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "../temporary_folder.h"
#include "prepared_fixture.h"

namespace outsole::wear {
namespace {

constexpr int kHeight = 12, kWidth = 9;

/// Scans of random greys; a fifth of the pixels of each is unknown.
std::vector<wear::PreparedRecord> random_scans(const std::vector<wear::PreparedInfo>& infos) {
  cv::RNG random(7);
  std::vector<wear::PreparedRecord> records;
  for (const wear::PreparedInfo& info : infos) {
    wear::PreparedRecord record;
    record.info = info;
    record.info.source_sha256 = std::string(64 - record.info.id.size(), '0') + record.info.id;
    for (int i = 0; i < kHeight * kWidth; ++i) {
      const bool is_known = random.uniform(0, 5) > 0;
      record.support.push_back(is_known ? 255 : 0);
      record.pixels.push_back(is_known ? static_cast<std::uint8_t>(random.uniform(0, 256)) : 255);
    }
    records.push_back(record);
  }
  return records;
}

class WearBaselines : public outsole::testing::TemporaryFolder {
 protected:
  void save(const std::vector<wear::PreparedInfo>& infos) {
    records_ = random_scans(infos);
    store::StoreWriter writer(folder_ / "p.h5",
                              {wear::kPreparedSchema, wear::kPreparedVersion, nlohmann::json::object()}, 1, true);
    writer.write_unit(0, wear::prepared_columns(records_, kHeight, kWidth));
    writer.finish();
    scans_.emplace(folder_ / "p.h5");
  }
  void TearDown() override {
    scans_.reset();
    TemporaryFolder::TearDown();
  }

  cv::Mat1b image(std::int64_t scan) const {
    cv::Mat1b result(kHeight, kWidth);
    std::ranges::copy(records_[static_cast<std::size_t>(scan)].pixels, result.begin());
    return result;
  }
  double week(std::int64_t scan) const { return records_[static_cast<std::size_t>(scan)].info.subject.week; }

  std::map<std::string, cv::Mat1b> answers(std::int64_t input, std::int64_t target,
                                           const std::vector<std::int64_t>& training) {
    Baselines baselines(*scans_, training);
    return baselines.answers({input, target, week(target) - week(input), false, {}}, image(input));
  }

  /// Of one pixel: (week, grey) of the given scans that saw it.
  std::vector<std::pair<double, double>> seen(std::size_t pixel, const std::vector<std::int64_t>& scans) const {
    std::vector<std::pair<double, double>> points;
    for (const std::int64_t scan : scans) {
      const wear::PreparedRecord& record = records_[static_cast<std::size_t>(scan)];
      if (record.support[pixel] != 0) points.emplace_back(record.info.subject.week, record.pixels[pixel]);
    }
    return points;
  }

  /// Compares with `expected(pixel)`, rounded and clipped; half-way cases may round either way.
  template <typename Expected>
  static void expect_pixels(const cv::Mat1b& answer, Expected expected) {
    ASSERT_EQ(answer.size(), cv::Size(kWidth, kHeight));
    for (std::size_t i = 0; i < kHeight * kWidth; ++i) {
      const double value = std::clamp(expected(i), 0.0, 255.0);
      EXPECT_NEAR(answer.data[i], value, 0.501) << "pixel " << i;
    }
  }

  std::vector<wear::PreparedRecord> records_;
  std::optional<wear::PreparedStore> scans_;
};

double mean_grey(const std::vector<std::pair<double, double>>& points) {
  double sum = 0;
  for (const auto& [week, grey] : points) sum += grey;
  return points.empty() ? 255 : sum / static_cast<double>(points.size());
}

/// Slope of the least-squares line by the textbook, centred; nothing for fewer than two weeks.
std::optional<double> slope_of(const std::vector<std::pair<double, double>>& points) {
  double mean_week = 0, covariance = 0, variance = 0;
  for (const auto& [week, grey] : points) mean_week += week / static_cast<double>(points.size());
  for (const auto& [week, grey] : points) {
    covariance += (week - mean_week) * (grey - mean_grey(points));
    variance += (week - mean_week) * (week - mean_week);
  }
  return variance > 1e-9 ? std::optional(covariance / variance) : std::nullopt;
}

using outsole::testing::scan_of;

TEST_F(WearBaselines, AnswerFromTheShoesOwnTrainingScans) {
  save({scan_of("a", 0), scan_of("a", 2), scan_of("a", 4), scan_of("a", 4, "_again"), scan_of("a", 10), scan_of("b", 0),
        scan_of("b", 4)});
  const std::vector<std::int64_t> training{0, 1, 2, 3, 5, 6}, own{0, 1, 2, 3};
  const auto answer = answers(1, 4, training);
  EXPECT_EQ(cv::norm(answer.at("persistence"), image(1), cv::NORM_INF), 0);
  expect_pixels(answer.at("last_training_week"), [&](std::size_t i) { return mean_grey(seen(i, {2, 3})); });
  expect_pixels(answer.at("training_mean"), [&](std::size_t i) { return mean_grey(seen(i, own)); });
  expect_pixels(answer.at("linear_trend"), [&](std::size_t i) {
    const auto points = seen(i, own);
    double mean_week = 0;
    for (const auto& [at, grey] : points) mean_week += at / static_cast<double>(points.size());
    return mean_grey(points) + slope_of(points).value_or(0) * (10 - mean_week);
  });
}

TEST_F(WearBaselines, OfAShoeNeverSeenAnswerFromTheFootsTrainingShoes) {
  save({scan_of("a", 0), scan_of("a", 4), scan_of("a", 8), scan_of("b", 0), scan_of("b", 4), scan_of("c", 2),
        scan_of("c", 10)});
  const std::vector<std::int64_t> training{0, 1, 2, 3, 4};
  const auto answer = answers(5, 6, training);
  expect_pixels(answer.at("last_training_week"), [&](std::size_t i) { return mean_grey(seen(i, {2})); });
  expect_pixels(answer.at("training_mean"), [&](std::size_t i) { return mean_grey(seen(i, training)); });
  expect_pixels(answer.at("linear_trend"), [&](std::size_t i) {
    double sum = 0;
    int shoes = 0;
    for (const std::vector<std::int64_t>& shoe : {std::vector<std::int64_t>{0, 1, 2}, {3, 4}}) {
      if (const auto slope = slope_of(seen(i, shoe))) {
        sum += *slope;
        ++shoes;
      }
    }
    return image(5).data[i] + (shoes > 0 ? sum / shoes : 0) * 8;
  });
}

TEST_F(WearBaselines, TakeTheEarlierOfTwoWeeksEquallyNear) {
  save({scan_of("a", 0), scan_of("a", 2), scan_of("a", 6), scan_of("a", 4)});
  expect_pixels(answers(0, 3, {0, 1, 2}).at("last_training_week"),
                [&](std::size_t i) { return mean_grey(seen(i, {1})); });
}

TEST_F(WearBaselines, WithoutATrainingScanOfTheFootOnlyTheInputIsLeft) {
  std::vector<wear::PreparedInfo> infos{scan_of("a", 0), scan_of("a", 4), scan_of("b", 0), scan_of("b", 4)};
  infos[2].subject.foot = infos[3].subject.foot = "R";
  save(infos);
  const auto answer = answers(2, 3, {0, 1});
  EXPECT_EQ(answer.size(), 1U);
  EXPECT_TRUE(answer.contains("persistence"));
}

TEST_F(WearBaselines, AreTheSameWhicheverShoeWasAskedAboutBefore) {
  save({scan_of("a", 0), scan_of("a", 4), scan_of("b", 0), scan_of("b", 4), scan_of("c", 0), scan_of("c", 4)});
  const std::vector<std::int64_t> training{0, 1, 2, 3, 4, 5};
  Baselines baselines(*scans_, training);
  for (const std::int64_t input : {0, 2, 4, 2, 0, 4}) {
    const auto together = baselines.answers({input, input + 1, 4, false, {}}, image(input));
    const auto alone = answers(input, input + 1, training);
    for (const auto& [name, answer] : alone) EXPECT_EQ(cv::norm(together.at(name), answer, cv::NORM_INF), 0) << name;
  }
}

TEST_F(WearBaselines, TheRecentTrendIsHalfThatOfTheNearestSixScansFromTheMeanOfTheNearestThree) {
  save({scan_of("a", 0), scan_of("a", 2), scan_of("a", 4), scan_of("a", 8), scan_of("a", 10), scan_of("a", 12),
        scan_of("a", 14), scan_of("a", 22), scan_of("b", 0), scan_of("b", 14)});
  Baselines baselines(*scans_, std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 9});
  const auto expect = [&](std::int64_t target, const std::vector<std::int64_t>& three,
                          const std::vector<std::int64_t>& six) {
    const auto answer = baselines.recent_trend({1, target, week(target) - 2, false, {}});
    ASSERT_TRUE(answer);
    expect_pixels(*answer, [&](std::size_t i) {
      const auto near = seen(i, three).empty() ? seen(i, six) : seen(i, three);
      double middle = 0;
      for (const auto& [at_week, grey] : near) middle += at_week / static_cast<double>(near.size());
      return mean_grey(near) + 0.5 * slope_of(seen(i, six)).value_or(0) * (week(target) - middle);
    });
  };
  expect(7, {4, 5, 6}, {1, 2, 3, 4, 5, 6});
  expect(0, {0, 1, 2}, {0, 1, 2, 3, 4, 5});
  EXPECT_TRUE(baselines.recent_trend({8, 9, 14, false, {}})) << "one scan has no slope";
  Baselines of_another(*scans_, std::vector<std::int64_t>{8, 9});
  EXPECT_FALSE(of_another.recent_trend({1, 7, 20, false, {}})) << "nothing is known of that shoe";
}

}  // namespace
}  // namespace outsole::wear
