#pragma once
// An outsole print for tests: bars and studs of solid ink within the shape of a sole, at any resolution and pose.

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/imgproc.hpp>

namespace outsole::image {

constexpr double kSoleLengthMm = 280, kSoleWidthMm = 95;

/// Whether there is ink at a point of the sole, in mm from its middle.
inline bool has_ink(double y_mm, double x_mm) {
  const double v = y_mm / (kSoleLengthMm / 2), waist = 1 - 0.35 * std::exp(-8 * (v - 0.15) * (v - 0.15));
  const double u = x_mm / (kSoleWidthMm / 2) / waist;
  if (u * u + v * v * v * v > 1) return false;
  if (y_mm > 60) return std::fmod(y_mm + 0.3 * x_mm + 1000, 8) < 4.5;                         // heel: slanted bars
  if (x_mm < -20) return std::fmod(y_mm + 1000, 6) < 3;                                       // edge: level bars
  const double row = std::floor(y_mm / 12), dx = x_mm + (std::fmod(row + 100, 2) - 0.5) * 6;  // studs, some larger
  const double radius = 3 + 1.2 * std::sin(row * 1.7 + std::floor(dx / 13) * 2.3);
  return std::hypot(y_mm - (row + 0.5) * 12, dx - (std::floor(dx / 13) + 0.5) * 13) < radius;
}

/// A print whose middle lies at the middle of the image plus (y, x) mm, turned counter-clockwise; soft at its edges as
/// a scanner's lens makes them.
inline cv::Mat1b print_of_sole(double px_per_mm, double height_mm = 340, double width_mm = 150, double angle_deg = 0,
                               double y_mm = 0, double x_mm = 0) {
  constexpr int kSamples = 3;  // along each axis of a pixel
  const cv::Size size(static_cast<int>(width_mm * px_per_mm), static_cast<int>(height_mm * px_per_mm));
  const double c = std::cos(angle_deg * std::numbers::pi / 180), s = std::sin(angle_deg * std::numbers::pi / 180);
  cv::Mat1f ink(size, 0.0f);
  for (int y = 0; y < size.height * kSamples; ++y) {
    for (int x = 0; x < size.width * kSamples; ++x) {
      const double dy = ((y + 0.5) / kSamples - size.height / 2.0) / px_per_mm - y_mm,
                   dx = ((x + 0.5) / kSamples - size.width / 2.0) / px_per_mm - x_mm;
      ink(y / kSamples, x / kSamples) += has_ink(s * dx + c * dy, c * dx - s * dy);
    }
  }
  cv::Mat1b print;
  cv::Mat(255 - ink * (255.0 / (kSamples * kSamples))).convertTo(print, CV_8U);
  cv::GaussianBlur(print, print, {0, 0}, 0.08 * px_per_mm + 0.2);
  return print;
}

}  // namespace outsole::image
