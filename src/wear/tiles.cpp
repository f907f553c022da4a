#include "wear/tiles.h"

#include <algorithm>

#include "core/checked.h"
#include "image/geometry.h"

namespace outsole::wear {

namespace {

/// The share that each tile has of each of its pixels along one axis: in proportion to the pixel's distance from the
/// tile's edge, so that what tiles answer at their edges, where they know least, counts least. [tile][pixel of it]
std::vector<std::vector<float>> tile_shares(const std::vector<int>& begins, int tile) {
  const auto distance = [&](int i) { return static_cast<float>(std::min(i, tile - 1 - i)) + 0.5F; };
  std::vector<float> total(static_cast<std::size_t>(begins.back() + tile));
  for (const int begin : begins) {
    for (int i = 0; i < tile; ++i) total[static_cast<std::size_t>(begin + i)] += distance(i);
  }
  std::vector<std::vector<float>> shares;
  for (const int begin : begins) {
    std::vector<float>& share = shares.emplace_back();
    for (int i = 0; i < tile; ++i) share.push_back(distance(i) / total[static_cast<std::size_t>(begin + i)]);
  }
  return shares;
}

cv::Mat1b tile_of(const cv::Mat1b& image, const cv::Rect& at) {
  const cv::Rect inside = at & cv::Rect({0, 0}, image.size());
  cv::Mat1b result(at.size(), image::kPaper);
  image(inside).copyTo(result(cv::Rect({0, 0}, inside.size())));
  return result;
}

}  // namespace

std::vector<int> tile_begins(int length, int tile) {
  if (length <= tile) return {0};
  const int step = std::max(1, tile - tile / 4);
  const auto last = narrow<int>(divide_up(length - tile, step));
  std::vector<int> begins;
  for (int i = 0; i <= last; ++i) begins.push_back(narrow<int>(std::int64_t{length - tile} * i / last));
  return begins;
}

cv::Mat1b answer_in_tiles(const cv::Mat1b& image, cv::Size tile,
                          const std::function<cv::Mat1f(const cv::Mat1b&)>& answer) {
  const std::vector<int> tops = tile_begins(image.rows, tile.height), lefts = tile_begins(image.cols, tile.width);
  const auto down = tile_shares(tops, tile.height), across = tile_shares(lefts, tile.width);
  cv::Mat1f sum(image.size(), 0);
  for (std::size_t row = 0; row < tops.size(); ++row) {
    for (std::size_t column = 0; column < lefts.size(); ++column) {
      const cv::Rect at({lefts[column], tops[row]}, tile);
      const cv::Mat1f answered = answer(tile_of(image, at));
      const cv::Rect inside = at & cv::Rect({0, 0}, image.size());
      for (int y = 0; y < inside.height; ++y) {
        const float share_down = down[row][static_cast<std::size_t>(y)];
        for (int x = 0; x < inside.width; ++x) {
          sum(inside.y + y, inside.x + x) += share_down * across[column][static_cast<std::size_t>(x)] * answered(y, x);
        }
      }
    }
  }
  cv::Mat1b result;
  sum.convertTo(result, CV_8U);
  return result;
}

}  // namespace outsole::wear
