#include "synth/wear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "compare_images.h"
#include "synth/capture.h"

namespace outsole::synth {
namespace {

constexpr Foot kBothFeet[] = {Foot::kLeft, Foot::kRight};

double mean_difference(const cv::Mat& a, const cv::Mat& b) {
  return cv::norm(a, b, cv::NORM_L1) / static_cast<double>(a.total());
}

/// Shoe, relief and course of one outsole at 320 x 128.
struct Year {
  WornShoe shoe;
  Relief relief;
  WearCourse course;

  explicit Year(Foot foot, std::uint64_t pair = 0)
      : shoe(make_worn_shoe(1, pair, foot)),
        relief(make_relief(shoe, shoe_frame(shoe.outsole, {128, 320}))),
        course(shoe) {}
  Year(const Year&) = delete;

  cv::Mat1w height(int week) const { return worn_height(shoe, relief, course.at(week), week); }
  cv::Mat1b print(int week) const { return impression(shoe, relief, height(week), course.at(week), week); }
};

TEST(WornShoe, IsCapturedEveryFortnightButInWeekSix) {
  const std::vector<int>& weeks = captured_weeks();
  EXPECT_EQ(weeks.size(), 26u);
  EXPECT_EQ(weeks.front(), 0);
  EXPECT_EQ(weeks.back(), 52);
  EXPECT_EQ(std::ranges::count(weeks, 6), 0);
}

TEST(WornShoe, HasFeetOfOneDesignAndTwoLives) {
  const WornShoe left = make_worn_shoe(1, 2, Foot::kLeft), right = make_worn_shoe(1, 2, Foot::kRight);
  EXPECT_TRUE(left.outsole.left_foot);
  EXPECT_FALSE(right.outsole.left_foot);
  ASSERT_EQ(left.outsole.outline.size(), right.outsole.outline.size());
  for (std::size_t i = 0; i < left.outsole.outline.size(); ++i) {
    EXPECT_EQ(left.outsole.outline[i].y, right.outsole.outline[i].y);
    EXPECT_EQ(left.outsole.outline[i].x, -right.outsole.outline[i].x);
  }
  EXPECT_EQ(left.mileage, right.mileage);
  EXPECT_NE(left.noise_seed, right.noise_seed);
}

TEST(WornShoe, WalksEveryFortnight) {
  const WornShoe shoe = make_worn_shoe(3, 1, Foot::kLeft);
  ASSERT_EQ(shoe.mileage.size(), 27u);
  EXPECT_EQ(shoe.mileage.front(), 0);
  EXPECT_EQ(shoe.mileage.back(), 1);
  for (std::size_t i = 1; i < shoe.mileage.size(); ++i) EXPECT_GT(shoe.mileage[i], shoe.mileage[i - 1]);
}

TEST(WornShoe, NeverGrows) {
  for (const Foot foot : kBothFeet) {
    const Year year(foot);
    cv::Mat1w before = year.relief.height;
    for (int week = 0; week <= kLastWeek; week += 2) {
      const cv::Mat1w now = year.height(week);
      EXPECT_EQ(cv::countNonZero(now > before), 0) << "week " << week;
      before = now;
    }
  }
}

TEST(WornShoe, LosesMoreAtTheOuterRearOfTheHeelThanAtItsInnerRearAndInTheArch) {
  for (const Foot foot : kBothFeet) {
    const WornShoe shoe = make_worn_shoe(1, 1, foot);
    const cv::Mat1f worn = WearCourse(shoe).at(kLastWeek).worn_mm;
    const auto around = [&](double y, double outer_x) {
      const double x = foot == Foot::kRight ? outer_x : -outer_x, cell = WearSurface::kCellMm / kOutsoleLengthMm;
      const cv::Point middle(static_cast<int>((x - WearSurface::kLeft) / cell),
                             static_cast<int>((y - WearSurface::kTop) / cell));
      return cv::mean(worn(cv::Rect(middle - cv::Point(20, 20), cv::Size(40, 40))))[0];
    };
    EXPECT_GT(around(0.94, 0.06), 1.5 * around(0.94, -0.06));
    EXPECT_GT(around(0.94, 0.06), 4 * around(0.58, 0));
  }
}

TEST(WornShoe, ChangesLittleInAFortnightAndMuchInAYear) {
  const Year year(Foot::kRight);
  const cv::Mat1b first = year.print(0), last = year.print(kLastWeek);
  for (const int week : {8, 20, 32, 44}) {
    EXPECT_LT(4 * mean_difference(year.print(week), year.print(week + 2)), mean_difference(first, last)) << week;
  }
}

TEST(WornShoe, IsTheSameShoeAtAnySize) {
  const WornShoe shoe = make_worn_shoe(2, 0, Foot::kLeft);
  const cv::Mat1b large = WornShoeScanner(shoe, {512, 1280}).scan(20).print;
  const cv::Mat1b small = WornShoeScanner(shoe, {256, 640}).scan(20).print;
  cv::Mat1b reduced;
  cv::resize(large, reduced, small.size(), 0, 0, cv::INTER_AREA);
  EXPECT_GT(correlation(reduced, small), 0.99);
  EXPECT_LT(mean_difference(reduced, small), 2);
}

TEST(WornShoe, BearsAnAccidentFromItsWeekOnAndKeepsNoneAboveItsFloor) {
  const Year year(Foot::kLeft);
  WornShoe spared = year.shoe;
  spared.accidentals.clear();
  for (const Accidental& accidental : year.shoe.accidentals) {
    if (accidental.kind != AccidentalKind::kHole) continue;
    const Point centre = accidental.shape.strokes[0][0];
    const int y = static_cast<int>(year.relief.frame.row(centre.y) + 0.5);
    const int x = static_cast<int>(year.relief.frame.column(centre.x) + 0.5);
    const int before = accidental.first_week - 2;
    const WearSurface surface = year.course.at(before);
    if (year.height(before)(y, x) != worn_height(spared, year.relief, surface, before)(y, x))
      continue;  // one upon another
    EXPECT_LE(year.height(accidental.first_week)(y, x), kHeightLevelsPerMm * (accidental.floor_mm + 0.5));
  }
}

TEST(WornShoe, PrintsAStoneOnlyInItsWeeks) {
  Year year(Foot::kLeft);
  year.shoe.accidentals.clear();
  const cv::Mat1b bare = year.print(20);
  year.shoe.accidentals.push_back({AccidentalKind::kStone, {{{{0.3, 0}}}, 0.02, false, 0}, 0, 10, 20});
  EXPECT_GT(cv::countNonZero(bare != year.print(20)), 20);
  year.shoe.accidentals[0].last_week = 18;
  EXPECT_EQ(cv::countNonZero(bare != year.print(20)), 0);
}

}  // namespace
}  // namespace outsole::synth
