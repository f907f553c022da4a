#include "image/consensus.h"

#include <gtest/gtest.h>

namespace outsole::image {
namespace {

/// Three pixels, wholly known.
AlignedScan known(uchar a, uchar b, uchar c) { return {(cv::Mat1b(1, 3) << a, b, c), cv::Mat1b(1, 3, uchar{255})}; }

std::vector<int> values(const cv::Mat1b& image) { return {image.begin(), image.end()}; }

TEST(Consensus, FillsInkThatTheScansBeforeAndAfterBothShow) {
  const Consensus result = filled_by_consensus(known(250, 250, 250), known(20, 250, 20), known(40, 20, 250));
  EXPECT_EQ(values(result.pixels), (std::vector<int>{40, 250, 250}));
  EXPECT_EQ(values(result.filled), (std::vector<int>{255, 0, 0}));
}

TEST(Consensus, AddsInkOnlyAndLeavesSmallDifferences) {
  // Ink that only this scan shows; a block that pressed a little less; one that lacks exactly as much as is filled.
  const Consensus result = filled_by_consensus(known(10, 120, 136), known(250, 40, 40), known(250, 40, 40));
  EXPECT_EQ(values(result.pixels), (std::vector<int>{10, 120, 40}));
}

TEST(Consensus, NothingIsFilledWhereAScanIsUnknown) {
  AlignedScan scan = known(255, 255, 255), before = known(0, 0, 0), after = known(0, 0, 0);
  scan.support(0) = before.support(1) = after.support(2) = 0;
  const Consensus result = filled_by_consensus(scan, before, after);
  EXPECT_EQ(values(result.pixels), (std::vector<int>{255, 255, 255}));
  EXPECT_EQ(cv::countNonZero(result.filled), 0);
}

}  // namespace
}  // namespace outsole::image
