#include "report/loss_figure.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "temporary_folder.h"

namespace outsole::report {
namespace {

using ::testing::HasSubstr;

class LossFigure : public outsole::testing::TemporaryFolder {};

TEST_F(LossFigure, ReadsLossesAndLeavesOutThoseNotMeasured) {
  const auto points = read_losses(write("history.csv", "epoch,steps,loss,held_out_loss\n1,3,0.25,\n2,6,0.125,0.5\n"));
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].loss, 0.25);
  EXPECT_FALSE(points[0].held_out_loss.has_value());
  EXPECT_EQ(points[1].epoch, 2);
  EXPECT_EQ(points[1].held_out_loss, 0.5);
}

TEST_F(LossFigure, RefusesWhatIsNoLossNamingTheRow) {
  for (const char* const loss : {"nan", "much", "-1", "inf", ""}) {
    const auto path = write("history.csv", std::string("epoch,loss,held_out_loss\n1,") + loss + ",\n");
    EXPECT_THROW(read_losses(path), DataError) << loss;
  }
}

TEST_F(LossFigure, HasBothCurvesAndWholeDecades) {
  const std::vector<LossPoint> points{{1, 0.5, 0.6}, {2, 0.02, {}}, {3, 0.004, 0.05}};
  const std::string svg = loss_figure(points, "a < b");
  for (const char* const part : {"training pairs", "held-out pairs", ">0.001<", ">1<", "a &lt; b"}) {
    EXPECT_THAT(svg, HasSubstr(part));
  }
  EXPECT_THAT(svg, ::testing::Not(HasSubstr("nan")));
}

TEST_F(LossFigure, OfOneEpochOrAVanishingLossIsDrawn) {
  for (const double loss : {0.1, 0.0}) {
    const std::vector<LossPoint> points{{1, loss, {}}};
    EXPECT_THAT(loss_figure(points, ""), ::testing::Not(HasSubstr("nan")));
  }
}

TEST_F(LossFigure, WithoutPointsIsABug) { EXPECT_THROW(loss_figure({}, ""), Bug); }

}  // namespace
}  // namespace outsole::report
