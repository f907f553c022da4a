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

TEST(Plot, AGridLineSaysItsValueBesideTheArea) {
  const Area area{10, 20, 100, 50};
  EXPECT_EQ(area.right(), 110);
  EXPECT_EQ(area.bottom(), 70);
  EXPECT_THAT(row(area, 30, "0.5"), HasSubstr("x1=\"10.00\" y1=\"30.00\" x2=\"110.00\" y2=\"30.00\""));
  EXPECT_THAT(column(area, 40, "weeks < 3"), HasSubstr("weeks &lt; 3"));
}

}  // namespace
}  // namespace outsole::report::plot
