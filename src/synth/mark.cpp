#include "synth/mark.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/errors.h"
#include "synth/shape.h"

namespace outsole::synth {

namespace {

constexpr double kWhite = 255;

/// Keys's cubic convolution weights (1981, a = -0.5) of the four pixels around a place `t` past the second.
std::array<double, 4> cubic_weights(double t) {
  return {0.5 * t * (-1 + t * (2 - t)), 0.5 * (2 + t * t * (-5 + 3 * t)), 0.5 * t * (1 + t * (4 - 3 * t)),
          0.5 * t * t * (t - 1)};
}

double sample(const cv::Mat1b& image, double y, double x) {
  const int top = static_cast<int>(std::floor(y)) - 1, left = static_cast<int>(std::floor(x)) - 1;
  const auto down = cubic_weights(y - std::floor(y)), right = cubic_weights(x - std::floor(x));
  double sum = 0;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int row = top + i, column = left + j;
      const bool inside = row >= 0 && row < image.rows && column >= 0 && column < image.cols;
      sum += down[static_cast<std::size_t>(i)] * right[static_cast<std::size_t>(j)] *
             (inside ? image(row, column) : kWhite);
    }
  }
  return std::clamp(sum, 0.0, kWhite);
}

struct Window {
  int height_px, width_px;
};

/// The size of the mark: a share of the exemplar's length and width.
Window random_window(VisibleArea area, cv::Size exemplar, Random& random) {
  double height = random.uniform(0.90, 0.98), width = random.uniform(0.92, 0.98);
  if (area == VisibleArea::kHalf) {
    height = random.uniform(0.46, 0.58);
  } else if (area == VisibleArea::kQuarter) {
    height = random.uniform(0.34, 0.44);
    width = random.uniform(0.60, 0.75);
  }
  return {static_cast<int>(height * exemplar.height), static_cast<int>(width * exemplar.width)};
}

image::MarkPose random_pose(Window window, cv::Size exemplar, double max_angle_deg, Random& random) {
  image::MarkPose pose;
  pose.angle_deg = random.uniform(-max_angle_deg, max_angle_deg);
  pose.y_px = (window.height_px - 1) / 2.0 + random.uniform(0, exemplar.height - window.height_px);
  pose.x_px = (window.width_px - 1) / 2.0 + random.uniform(0, exemplar.width - window.width_px);
  return pose;
}

/// Grey of the ground at a pixel, -1 (darker) to 1 (lighter).
double ground_at(Background background, std::uint64_t seed, double y, double x) {
  switch (background) {
    case Background::kPlain:
      return fractal_noise(seed, y / 90, x / 90, 2) - 0.5;
    case Background::kWood: {
      const double grain = fractal_noise(seed, y / 160, x / 9, 3);
      return 1.6 * (grain - 0.5);
    }
    case Background::kTiles: {
      constexpr double kTile = 118;
      const double to_joint = std::min(std::fmod(y + 31, kTile), std::fmod(x + 57, kTile));
      return to_joint < 3 ? -1 : 0.8 * (fractal_noise(seed, y / 40, x / 40, 3) - 0.5);
    }
    case Background::kCarpet:
      return 2.4 * (fractal_noise(seed, y / 3.2, x / 3.2, 2) - 0.5);
  }
  return 0;
}

/// Something that lies on the mark: a disk with an uneven edge.
struct Occluder {
  Point centre;
  double radius;
  double darkness;  // 0..1, of what covers the mark
  std::uint64_t seed;

  double cover(double y, double x) const {
    const double distance = std::hypot(y - centre.y, x - centre.x) / radius;
    return smooth_step(1.05, 0.95, distance + 0.5 * (fractal_noise(seed, y / 18, x / 18, 2) - 0.5));
  }
};

std::vector<Occluder> random_occluders(cv::Size size, double damage, Random& random) {
  std::vector<Occluder> occluders(static_cast<std::size_t>(std::lround(damage * random.uniform(0, 6))));
  const double side = std::min(size.height, size.width);
  for (Occluder& occluder : occluders) {
    occluder.centre = {random.uniform(0, size.height), random.uniform(0, size.width)};
    occluder.radius = side * random.uniform(0.06, 0.14);
    occluder.darkness = random.chance(0.6) ? 0 : random.uniform(0.4, 1);
    occluder.seed = random.bits();
  }
  return occluders;
}

/// What the scene does to the ink: `ink` is 0 (paper) to 1 (black), `size` the mark's.
cv::Mat1b damaged(cv::Mat1d ink, Mark& mark, double damage, Random& random) {
  mark.background = static_cast<Background>(random.below(4));
  mark.inverted = random.chance(0.3 * damage);
  const std::uint64_t gap_seed = random.bits(), ground_seed = random.bits();
  const double contrast = 1 - damage * random.uniform(0.2, 0.7);
  const double gaps = damage * random.uniform(0.3, 0.8);
  const double ground_strength = damage * random.uniform(20, 60);
  const double paper = kWhite - damage * random.uniform(20, 90);
  const double noise = damage * random.uniform(8, 28);
  const std::vector<Occluder> occluders = random_occluders(ink.size(), damage, random);

  cv::Mat1b image(ink.size());
  for (int y = 0; y < ink.rows; ++y) {
    for (int x = 0; x < ink.cols; ++x) {
      const double contact = fractal_noise(gap_seed, y / 45.0, x / 45.0, 4);
      double darkness = ink(y, x) * (1 - smooth_step(0.12, 0.0, contact - 0.55 * gaps));
      for (const Occluder& occluder : occluders)
        darkness = std::lerp(darkness, occluder.darkness, occluder.cover(y, x));
      const double ground = paper + ground_strength * ground_at(mark.background, ground_seed, y, x);
      const double grey = ground - contrast * darkness * paper + noise * random.normal();
      const double seen = std::clamp(mark.inverted ? kWhite - grey : grey, 0.0, kWhite);
      image(y, x) = static_cast<std::uint8_t>(std::lround(seen));
    }
  }
  return image;
}

}  // namespace

std::string name_of(VisibleArea area) {
  constexpr std::array<const char*, 3> kNames{"full", "half", "quarter"};
  return kNames[static_cast<std::size_t>(area)];
}

std::string name_of(Background background) {
  constexpr std::array<const char*, 4> kNames{"plain", "wood", "tiles", "carpet"};
  return kNames[static_cast<std::size_t>(background)];
}

cv::Mat1d cut_mark(const cv::Mat1b& exemplar, std::int64_t height_px, std::int64_t width_px, const image::MarkPose& pose) {
  const cv::Matx23d map = image::mark_to_exemplar(height_px, width_px, pose);
  cv::Mat1d mark(static_cast<int>(height_px), static_cast<int>(width_px));
  for (int y = 0; y < mark.rows; ++y) {
    for (int x = 0; x < mark.cols; ++x) {
      mark(y, x) =
          sample(exemplar, map(1, 0) * x + map(1, 1) * y + map(1, 2), map(0, 0) * x + map(0, 1) * y + map(0, 2));
    }
  }
  return mark;
}

Mark make_mark(const cv::Mat1b& exemplar, const MarkOptions& options, Random& random) {
  if (exemplar.rows < 32 || exemplar.cols < 32) throw UsageError("a mark needs an exemplar of at least 32 x 32 pixels");
  Mark mark;
  mark.area = static_cast<VisibleArea>(random.below(3));
  const Window window = random_window(mark.area, exemplar.size(), random);
  mark.pose = random_pose(window, exemplar.size(), options.max_angle_deg, random);
  const cv::Mat1d grey = cut_mark(exemplar, window.height_px, window.width_px, mark.pose);
  mark.image = damaged(1 - grey / kWhite, mark, options.damage, random);
  return mark;
}

}  // namespace outsole::synth
