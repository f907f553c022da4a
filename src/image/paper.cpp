#include "image/paper.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace outsole::image {

int paper_level(const cv::Mat1b& scan) {
  std::array<std::int64_t, 256> counts{};
  for (int y = 0; y < scan.rows; ++y) {
    const uchar* row = scan.ptr(y);
    for (int x = 0; x < scan.cols; ++x) ++counts[row[x]];
  }
  return static_cast<int>(std::max_element(counts.begin() + 128, counts.end()) - counts.begin());
}

cv::Mat1b with_white_paper(const cv::Mat1b& scan) {
  constexpr int kWhite = 255, kNoise = 3;
  const int paper = paper_level(scan);
  if (paper >= kWhite - kNoise) return scan;
  cv::Mat1b levels(1, 256), result;
  for (int level = 0; level < 256; ++level) {
    levels(level) = cv::saturate_cast<uchar>(std::lround(level * double{kWhite} / paper));
  }
  cv::LUT(scan, levels, result);
  return result;
}

}  // namespace outsole::image
