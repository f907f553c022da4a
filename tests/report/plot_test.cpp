#include "report/plot.h"

#include <gmock/gmock.h>

namespace outsole::report::plot {
namespace {

using ::testing::HasSubstr;

TEST(Plot, StepsAreOneTwoOrFiveTimesAPowerOfTen) {
  EXPECT_DOUBLE_EQ(round_step(1), 1);
  EXPECT_DOUBLE_EQ(round_step(1.2), 2);
  EXPECT_DOUBLE_EQ(round_step(3), 5);
  EXPECT_DOUBLE_EQ(round_step(6), 10);
  EXPECT_DOUBLE_EQ(round_step(147), 200);
  EXPECT_DOUBLE_EQ(round_step(0.004), 0.005);
}

TEST(Plot, AnAxisSaysItsValuesBesideTheArea) {
  const Area area{10, 20, 100, 50};
  EXPECT_EQ(area.right(), 110);
  EXPECT_EQ(area.bottom(), 70);
  const Chart chart{
      area, {"weeks", 0, 10, false, {{3, "weeks < 3"}}, true}, {"SSIM", 0, 1, false, {{0.8, "0.8"}}, true}};
  const std::string svg = frame(chart);
  EXPECT_THAT(svg, HasSubstr("x1=\"10.00\" y1=\"30.00\" x2=\"110.00\" y2=\"30.00\""));
  EXPECT_THAT(svg, HasSubstr("x1=\"40.00\" y1=\"20.00\" x2=\"40.00\" y2=\"70.00\""));
  EXPECT_THAT(svg, HasSubstr("weeks &lt; 3"));
}

TEST(Plot, AxesMapValues) {
  const Axis logarithmic{"", 1, 100, true, {}, true}, point{"", 1, 1, false, {}, true};
  EXPECT_DOUBLE_EQ(logarithmic.share_of(10), 0.5);
  EXPECT_EQ(point.share_of(1), 0);
}

TEST(Plot, ARoundAxisHoldsWhatItIsAroundAndNamesItsStepsApart) {
  const Axis axis = round_axis("", -0.93, 2.37, 5, 0.001);
  EXPECT_DOUBLE_EQ(axis.least, -1);
  EXPECT_DOUBLE_EQ(axis.most, 3);
  ASSERT_EQ(axis.ticks.size(), 5U);
  EXPECT_EQ(axis.ticks[1].text, "0");
  const Axis fine = round_axis("", 0.5, 0.51, 5, 0.001);
  EXPECT_EQ(fine.ticks[0].text, "0.500");
  const Axis flat = round_axis("", 0, 0, 5, 0.001);
  EXPECT_GT(flat.most, flat.least);
}

}  // namespace
}  // namespace outsole::report::plot
