#pragma once
// Crop, pad, resize, mirror. Sizes are (height, width).

#include <cstdint>
#include <opencv2/core.hpp>

namespace outsole::image {

inline constexpr std::uint8_t kPaper = 255;  // the grey level of white paper

/// The size rule of the search protocol: ceil(length * scale), at least 1.
std::int64_t scaled_length_px(std::int64_t length_px, double scale);

/// Antialiased bicubic resize (a = -0.5, kernel widened by the reduction, edges renormalized; as MATLAB's imresize and
/// Pillow do) of a CV_32FC1 image, computed in double. Values may overshoot the input's range.
cv::Mat resize_antialiased(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px);

/// The same, rounded to whole grey levels and clamped to 0..255, as an 8-bit image would hold them (CV_32FC1).
cv::Mat resize_to_grey_levels(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px);

/// A support mask carried to another size: a pixel counts where at least half of its area did (CV_8UC1, 0 or 255).
cv::Mat resize_mask(const cv::Mat& mask, std::int64_t height_px, std::int64_t width_px);

/// Left and right exchanged.
cv::Mat mirrored(const cv::Mat& image);

/// `image` placed with its first pixel at (top_px, left_px) of a height x width canvas of `value`; parts outside are
/// cut.
cv::Mat placed_on_canvas(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px, std::int64_t top_px,
                         std::int64_t left_px, double value);

}  // namespace outsole::image
