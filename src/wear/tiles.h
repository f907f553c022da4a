#pragma once
// A model's size is fixed; a larger image is taken in overlapping parts of it.

#include <cstdint>
#include <functional>
#include <opencv2/core.hpp>
#include <vector>

namespace outsole::wear {

/// Where tiles of `tile` pixels begin that cover `length`: the first at 0, the last ends with the image, neighbours
/// overlap by at least a quarter of a tile. One tile where the image is not longer than a tile.
std::vector<int> tile_begins(int length, int tile);

/// `answer` of each tile (CV_8UC1 of size `tile` -> CV_32FC1 of the same), blended linearly where tiles overlap. A side
/// of the image that is shorter than a tile is extended with paper (255) at its end. Returns the image's size, CV_8UC1.
cv::Mat1b answer_in_tiles(const cv::Mat1b& image, cv::Size tile,
                          const std::function<cv::Mat1f(const cv::Mat1b&)>& answer);

}  // namespace outsole::wear
