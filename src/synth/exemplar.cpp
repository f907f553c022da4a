#include "synth/exemplar.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "synth/random.h"

namespace outsole::synth {

namespace {

constexpr double kBorder = 0.012;  // white around the outsole, share of the frame

/// From outsole units to pixels of the frame.
struct Frame {
  double pixels_of_length;
  double top_px, middle_px;

  Point to_outsole(int y, int x) const { return {(y - top_px) / pixels_of_length, (x - middle_px) / pixels_of_length}; }
  int row(double y) const { return static_cast<int>(std::floor(y * pixels_of_length + top_px)); }
  int column(double x) const { return static_cast<int>(std::floor(x * pixels_of_length + middle_px)); }
};

Frame frame_of(const Outsole& outsole, std::int64_t height_px, std::int64_t width_px) {
  const Box box = bounds_of({{outsole.outline}, 0, true, 0});
  const double room = 1 - 2 * kBorder, height = static_cast<double>(height_px), width = static_cast<double>(width_px);
  const double pixels = std::min(room * height / (box.bottom - box.top), room * width / (box.right - box.left));
  return {pixels, (height - 1) / 2 - pixels * (box.top + box.bottom) / 2,
          (width - 1) / 2 - pixels * (box.left + box.right) / 2};
}

/// How much of each pixel the tread covers, 0..1 [height, width]: the signed distance across one pixel's width.
cv::Mat1d cover_of(const Outsole& outsole, const Frame& frame, int height_px, int width_px) {
  cv::Mat1d cover(height_px, width_px, 0.0);
  for (const Block& block : outsole.blocks) {
    const Box box = bounds_of(block.shape);
    const int bottom = std::min(height_px - 1, frame.row(box.bottom) + 2);
    const int right = std::min(width_px - 1, frame.column(box.right) + 2);
    for (int y = std::max(0, frame.row(box.top) - 1); y <= bottom; ++y) {
      for (int x = std::max(0, frame.column(box.left) - 1); x <= right; ++x) {
        const double distance = signed_distance(outsole, block, frame.to_outsole(y, x), 0.5 / frame.pixels_of_length);
        cover(y, x) = std::max(cover(y, x), std::clamp(0.5 - distance * frame.pixels_of_length, 0.0, 1.0));
      }
    }
  }
  return cover;
}

/// Darkness of the ink where the tread touches: uneven pressure, and pinholes where it did not take.
double ink_at(std::uint64_t seed, Point at) {
  const double pressure = 0.80 + 0.20 * smooth_step(0.3, 0.65, fractal_noise(seed, 7 * at.y, 7 * at.x, 2));
  const double grain = fractal_noise(seed + 100, 170 * at.y, 170 * at.x, 2);
  return pressure * (1 - 0.55 * smooth_step(0.66, 0.86, grain)) - 0.05 * grain;
}

}  // namespace

cv::Mat render_exemplar(const Outsole& outsole, std::int64_t height_px, std::int64_t width_px) {
  if (height_px < 32 || width_px < 32) throw UsageError("an exemplar needs at least 32 x 32 pixels");
  const Frame frame = frame_of(outsole, height_px, width_px);
  const cv::Mat1d cover = cover_of(outsole, frame, static_cast<int>(height_px), static_cast<int>(width_px));
  cv::Mat1b image(cover.size());
  for (int y = 0; y < cover.rows; ++y) {
    for (int x = 0; x < cover.cols; ++x) {
      const Point at = frame.to_outsole(y, x);
      const double paper = 255 - 6 * fractal_noise(outsole.texture_seed + 200, 90 * at.y, 90 * at.x, 2);
      const double ink = cover(y, x) > 0 ? cover(y, x) * ink_at(outsole.texture_seed, at) : 0;
      image(y, x) = static_cast<std::uint8_t>(std::lround(paper * (1 - ink)));
    }
  }
  return image;
}

}  // namespace outsole::synth
