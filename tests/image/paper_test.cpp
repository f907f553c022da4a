#include "image/paper.h"

#include <gtest/gtest.h>

namespace outsole::image {
namespace {

cv::Mat1b print_on(int paper) {
  cv::Mat1b scan(40, 30, static_cast<uchar>(paper));
  scan(cv::Rect(5, 5, 10, 10)).setTo(0);
  scan(cv::Rect(20, 5, 5, 10)).setTo(100);
  return scan;
}

TEST(Paper, ThatIsGreyBecomesWhiteAndInkStaysInProportion) {
  const cv::Mat1b white = with_white_paper(print_on(232));
  EXPECT_EQ(paper_level(white), 255);
  EXPECT_EQ(white(10, 10), 0);
  EXPECT_EQ(white(10, 22), 110);
}

TEST(Paper, ThatIsWhiteWithinNoiseIsLeftAsItIs) {
  const cv::Mat1b scan = print_on(253);
  EXPECT_EQ(cv::countNonZero(with_white_paper(scan) != scan), 0);
}

}  // namespace
}  // namespace outsole::image
