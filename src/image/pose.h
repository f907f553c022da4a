#pragma once
// The pose of a mark on an exemplar, as search results and labels state it.

#include <cstdint>
#include <opencv2/core.hpp>

namespace outsole::image {

/// Scale the mark by `scale`, mirror it if `mirrored`, turn it by `angle_deg` counter-clockwise (as seen) about its
/// centre; then its centre ((height - 1) / 2, (width - 1) / 2) lies at (y_px, x_px) of the exemplar's own image. Pixel
/// centres are integers.
struct MarkPose {
  double angle_deg = 0;
  double y_px = 0;
  double x_px = 0;
  double scale = 1;
  bool mirrored = false;
};

/// The affine map from pixels (x, y) of a mark of this size to pixels (x, y) of the exemplar: OpenCV's order.
cv::Matx23d mark_to_exemplar(std::int64_t height_px, std::int64_t width_px, const MarkPose& pose);

}  // namespace outsole::image
