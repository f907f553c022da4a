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

/// The mean over 2 * radius + 1 pixels along a line through each: its steps are `step_y`, `step_x` pixels.
cv::Mat1d line_mean(const cv::Mat1d& image, int radius, double step_y, double step_x) {
  cv::Mat1d mean(image.size());
  for (int y = 0; y < image.rows; ++y) {
    for (int x = 0; x < image.cols; ++x) {
      double sum = 0;
      for (int i = -radius; i <= radius; ++i) {
        const int row = std::clamp(y + static_cast<int>(std::lround(i * step_y)), 0, image.rows - 1);
        const int column = std::clamp(x + static_cast<int>(std::lround(i * step_x)), 0, image.cols - 1);
        sum += image(row, column);
      }
      mean(y, x) = sum / (2 * radius + 1);
    }
  }
  return mean;
}

cv::Mat1d blurred(const cv::Mat1d& image, int radius) {
  return line_mean(line_mean(image, radius, 1, 0), radius, 0, 1);
}

/// The print pulled along a random direction by up to `length_px`.
cv::Mat1d smeared(const cv::Mat1d& deposit, double length_px, Random& random) {
  const Point step = turned({0, 1}, random.uniform(0, 180));
  return line_mean(deposit, static_cast<int>(length_px * random.uniform() / 2), step.y, step.x);
}

/// Applies `change(deposit, y, x)` to every pixel.
template <typename Change>
cv::Mat1d changed(cv::Mat1d deposit, const Change& change) {
  for (int y = 0; y < deposit.rows; ++y) {
    for (int x = 0; x < deposit.cols; ++x) deposit(y, x) = std::clamp(change(deposit(y, x), y, x), 0.0, 1.0);
  }
  return deposit;
}

/// Residue of single grains, up to two pixels wide.
cv::Mat1d as_dust(cv::Mat1d ink, double damage, Random& random) {
  const std::uint64_t grain_seed = random.bits(), film_seed = random.bits();
  return changed(std::move(ink), [=](double deposit, int y, int x) {
    const double grain = fractal_noise(grain_seed, y / 1.7, x / 1.7, 2);
    const double film = smooth_step(0.55, 0.85, fractal_noise(film_seed, y / 60.0, x / 60.0, 3));
    return deposit * (1 - 0.9 * damage * smooth_step(0.35, 0.65, grain)) + 0.4 * damage * film * grain;
  });
}

cv::Mat1d as_blood(const cv::Mat1d& ink, double damage, Random& random) {
  const cv::Mat1d wet = smeared(ink, 0.06 * damage * std::min(ink.rows, ink.cols), random);
  const cv::Mat1d near = blurred(wet, 1), around = blurred(wet, 4);
  const std::uint64_t pool_seed = random.bits();
  return changed(wet.clone(), [&](double deposit, int y, int x) {
    const double pool = fractal_noise(pool_seed, y / 35.0, x / 35.0, 2);
    const double pooled = smooth_step(0.30, 0.55, near(y, x) + 0.35 * (pool - 0.5));
    const double squeezed_out = std::max(0.0, near(y, x) - around(y, x));  // to the edges of the tread elements
    const double thinned = 0.75 * pooled + 0.9 * squeezed_out;
    return std::lerp(deposit, thinned, damage);
  });
}

cv::Mat1d as_soil(const cv::Mat1d& ink, double damage, Random& random) {
  const cv::Mat1d wet = smeared(ink, 0.03 * damage * std::min(ink.rows, ink.cols), random);
  const std::uint64_t clod_seed = random.bits(), crumb_seed = random.bits();
  return changed(wet.clone(), [=](double deposit, int y, int x) {
    const double clods = fractal_noise(clod_seed, y / 14.0, x / 14.0, 3);
    const double crumbs = smooth_step(0.66, 0.74, fractal_noise(crumb_seed, y / 4.0, x / 4.0, 2));
    return deposit * (1 - damage * smooth_step(0.45, 0.62, clods)) + damage * crumbs;
  });
}

/// Dust where the lifter touched; an air bubble leaves a disk without print.
cv::Mat1d as_gel_lift(cv::Mat1d ink, double damage, Random& random) {
  std::vector<Occluder> bubbles(static_cast<std::size_t>(std::lround(damage * random.uniform(4, 30))));
  for (Occluder& bubble : bubbles) {
    bubble.centre = {random.uniform(0, ink.rows), random.uniform(0, ink.cols)};
    bubble.radius = std::min(ink.rows, ink.cols) * random.uniform(0.005, 0.035);
    bubble.seed = random.bits();
  }
  return changed(as_dust(std::move(ink), 0.5 * damage, random), [&](double deposit, int y, int x) {
    for (const Occluder& bubble : bubbles) deposit *= 1 - bubble.cover(y, x);
    return deposit;
  });
}

/// What of the print is there to be seen: 0 nothing, 1 as dense as it gets. `ink` is the print's, likewise.
cv::Mat1d deposited(cv::Mat1d ink, Capture capture, double damage, Random& random) {
  switch (capture) {
    case Capture::kInk:
      return ink;
    case Capture::kDust:
      return as_dust(std::move(ink), damage, random);
    case Capture::kBlood:
      return as_blood(ink, damage, random);
    case Capture::kSoil:
      return as_soil(ink, damage, random);
    case Capture::kGelLift:
      return as_gel_lift(std::move(ink), damage, random);
  }
  return ink;
}

/// Whether the print is lighter than its ground.
bool is_light_on_dark(Capture capture, double damage, Random& random) {
  if (capture == Capture::kInk) return random.chance(0.3 * damage);
  return capture == Capture::kDust || capture == Capture::kGelLift;
}

/// What the scene does to the ink: `ink` is 0 (paper) to 1 (black), `size` the mark's.
cv::Mat1b damaged(cv::Mat1d ink, Mark& mark, double damage, Random& random) {
  mark.background = static_cast<Background>(random.below(4));
  mark.inverted = is_light_on_dark(mark.capture, damage, random);
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

std::string name_of(Capture capture) {
  constexpr std::array<const char*, kCaptures> kNames{"ink", "dust", "blood", "soil", "gel-lift"};
  return kNames[static_cast<std::size_t>(capture)];
}

Capture parse_capture(const std::string& text) {
  for (int i = 0; i < kCaptures; ++i) {
    if (text == name_of(static_cast<Capture>(i))) return static_cast<Capture>(i);
  }
  throw UsageError("no capture '" + text + "': ink, dust, blood, soil or gel-lift");
}

cv::Mat1d cut_mark(const cv::Mat1b& exemplar, std::int64_t height_px, std::int64_t width_px,
                   const image::MarkPose& pose) {
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
  if (options.max_scale_error > 0) {
    mark.pose.scale = 1 + random.uniform(-options.max_scale_error, options.max_scale_error);
  }
  ensure(!options.captures.empty(), "a mark is captured in some way");
  if (options.captures.size() > 1) {
    mark.capture = options.captures[static_cast<std::size_t>(random.below(static_cast<int>(options.captures.size())))];
  } else {
    mark.capture = options.captures.front();
  }
  const cv::Mat1d grey = cut_mark(exemplar, std::lround(window.height_px / mark.pose.scale),
                                  std::lround(window.width_px / mark.pose.scale), mark.pose);
  const cv::Mat1d deposit = deposited(1 - grey / kWhite, mark.capture, options.damage, random);
  mark.image = damaged(deposit, mark, options.damage, random);
  return mark;
}

}  // namespace outsole::synth
