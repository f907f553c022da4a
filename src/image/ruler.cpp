#include "image/ruler.h"

#include <vector>

namespace outsole::image {

namespace {

constexpr int kDark = 192;            // the ruler's paper is lighter, its frame line darker, also when 3 x 3 averaged
constexpr double kLineShare = 0.9;    // of the length of a line that is dark
constexpr double kMiddleShare = 0.8;  // of the scan's length that is looked at: the line ends at the corners
constexpr int kOuterPart = 8;         // a border takes less than an eighth of a side
constexpr int kSoftEdge = 2;          // pixels beside the line that it tints

/// Of each column, whether it is dark nearly from top to bottom.
std::vector<bool> line_columns(const cv::Mat1b& scan) {
  const int margin = static_cast<int>((1 - kMiddleShare) / 2 * scan.rows);
  std::vector<int> dark(static_cast<std::size_t>(scan.cols));
  for (int y = margin; y < scan.rows - margin; ++y) {
    const uchar* row = scan.ptr(y);
    for (int x = 0; x < scan.cols; ++x) dark[static_cast<std::size_t>(x)] += row[x] < kDark;
  }
  const double needed = kLineShare * (scan.rows - 2 * margin);
  std::vector<bool> lines;
  for (const int count : dark) lines.push_back(count >= needed);
  return lines;
}

/// The columns [begin, end) between the innermost lines of both outer parts.
cv::Range inside_lines(const std::vector<bool>& lines) {
  const int length = static_cast<int>(lines.size());
  cv::Range inside(0, length);
  for (int i = 0; i < length / kOuterPart; ++i) {
    if (lines[static_cast<std::size_t>(i)]) inside.start = i + 1 + kSoftEdge;
    if (lines[static_cast<std::size_t>(length - 1 - i)]) inside.end = length - 1 - i - kSoftEdge;
  }
  return inside;
}

}  // namespace

cv::Rect window_inside_ruler(const cv::Mat1b& scan) {
  const cv::Range columns = inside_lines(line_columns(scan));
  const cv::Range rows = inside_lines(line_columns(scan.t()));
  return {columns.start, rows.start, columns.size(), rows.size()};
}

}  // namespace outsole::image
