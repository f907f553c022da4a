#include "synth/capture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "synth/random.h"

namespace outsole::synth {

namespace {

// How often and how much, from the look of CSAFE scans (see wear.cpp): turns of -4 to +10 degrees, moves of up to
// 4 cm (2 here, where the window is no wider), veils of a few grey levels, specks and faint marks beside the print,
// light patches within it. Bubbles, fibres and finger marks are as the wear literature names them; CSAFE has few.
constexpr double kMostAngleDeg = 8, kMostShiftMm = 20;
constexpr double kSpareMm = 2;      // between outsole and the window's edge
constexpr double kSampleMm = 0.15;  // no wider, but for pixels of more than four samples a side

struct WindowMm {
  double height, width;
};

Point random_place(const WindowMm& window, Random& random) {
  return {window.height * random.uniform(-0.5, 0.5), window.width * random.uniform(-0.5, 0.5)};
}

/// A place about the middle of the window, where the outsole is.
Point random_place_on_print(const WindowMm& window, Random& random) {
  return {0.7 * window.height * random.uniform(-0.5, 0.5), 0.5 * window.width * random.uniform(-0.5, 0.5)};
}

Spot disk(Point centre, double radius, double strength, double soft, Random& random) {
  return {{{{centre}}, radius, false, 0}, strength, soft, random.bits()};
}

std::vector<Spot> missing_detail(const WindowMm& window, Random& random) {
  std::vector<Spot> spots(static_cast<std::size_t>(random.chance(0.5) ? 1 + random.below(3) : 0));
  for (Spot& spot : spots) {
    spot = disk(random_place_on_print(window, random), random.uniform(5, 14), random.uniform(0.6, 1), 6, random);
  }
  return spots;
}

std::vector<Spot> bubbles(const WindowMm& window, Random& random) {
  std::vector<Spot> spots(static_cast<std::size_t>(random.chance(0.6) ? 4 + random.below(16) : 0));
  for (Spot& spot : spots) {
    spot = disk(random_place_on_print(window, random), random.uniform(0.4, 2), random.uniform(0.85, 1), 0, random);
  }
  return spots;
}

/// Whorls are drawn where the spot is stamped; here are only the fingertips.
std::vector<Spot> fingerprints(const WindowMm& window, Random& random) {
  std::vector<Spot> spots(static_cast<std::size_t>(random.chance(0.35) ? 1 + random.below(2) : 0));
  for (Spot& spot : spots) {
    const Point at = random_place(window, random);
    const Shape tip{{{{-4, 0}, {4, 0}}}, 8, false, 0};
    spot = {placed(tip, random.uniform(0, 180), at), random.uniform(0.08, 0.22), 3, random.bits()};
  }
  return spots;
}

std::vector<Spot> fibres(const WindowMm& window, Random& random) {
  std::vector<Spot> spots(static_cast<std::size_t>(random.chance(0.7) ? 1 + random.below(6) : 0));
  for (Spot& spot : spots) {
    Point at = random_place(window, random);
    double heading_deg = random.uniform(0, 360);
    const double step = random.uniform(0.4, 1.6), curl_deg = random.uniform(5, 30);
    Shape fibre{{{at}}, random.uniform(0.03, 0.09), false, 0};
    for (int i = 0; i < 14; ++i) {
      heading_deg += curl_deg * random.uniform(-1, 1);
      at = at + turned({0, step}, heading_deg);
      fibre.strokes[0].push_back(at);
    }
    spot = {std::move(fibre), random.uniform(0.45, 0.95), 0, random.bits()};
  }
  return spots;
}

std::vector<Spot> dust(const WindowMm& window, Random& random) {
  std::vector<Spot> spots(static_cast<std::size_t>(random.chance(0.9) ? 60 + random.below(200) : 0));
  for (Spot& spot : spots) {
    const double size = random.uniform();
    spot = disk(random_place(window, random), 0.03 + 0.22 * size * size * size, random.uniform(0.3, 0.95), 0, random);
  }
  return spots;
}

/// The box of the outline about its middle, in mm, turned.
Box turned_box_mm(const Outsole& outsole, double angle_deg) {
  const Box box = bounds_of({{outsole.outline}, 0, true, 0});
  const Point middle{(box.top + box.bottom) / 2, (box.left + box.right) / 2};
  Shape shape{{{}}, 0, true, 0};
  for (const Point point : outsole.outline) {
    shape.strokes[0].push_back(kOutsoleLengthMm * turned(point - middle, angle_deg));
  }
  return bounds_of(shape);
}

/// A pose in which the outsole lies within the window: turned less, then moved less, than drawn where it must.
void draw_pose(const Outsole& outsole, const WindowMm& window, Random& random, CapturePlan& plan) {
  plan.angle_deg = std::clamp(3.5 * random.normal(), -kMostAngleDeg, kMostAngleDeg);
  Box box = turned_box_mm(outsole, plan.angle_deg);
  while (box.right - box.left > window.width - 2 * kSpareMm && std::abs(plan.angle_deg) > 0.01) {
    plan.angle_deg *= 0.8;
    box = turned_box_mm(outsole, plan.angle_deg);
  }
  const auto within = [](double shift, double low, double high) {
    return low < high ? std::clamp(shift, low, high) : 0;
  };
  const double shift_y = std::clamp(8 * random.normal(), -kMostShiftMm, kMostShiftMm);
  const double shift_x = std::clamp(8 * random.normal(), -kMostShiftMm, kMostShiftMm);
  const double half_height = window.height / 2 - kSpareMm, half_width = window.width / 2 - kSpareMm;
  plan.shift_y_mm = within(shift_y, -half_height - box.top, half_height - box.bottom);
  plan.shift_x_mm = within(shift_x, -half_width - box.left, half_width - box.right);
}

/// The same image moved, by whole pixels, onto white paper.
cv::Mat1b moved(const cv::Mat1b& image, cv::Point by) {
  cv::Mat1b result(image.size(), uchar{255});
  const cv::Rect all({0, 0}, image.size()), target = (all + by) & all;
  image(target - by).copyTo(result(target));
  return result;
}

/// Applies one fault to the scan and notes each pixel that it changed.
class Stamp {
 public:
  Stamp(CapturedScan& capture, Fault fault, double px_per_mm)
      : capture_(capture), fault_(fault), px_per_mm_(px_per_mm) {}

  /// Every pixel of the spot takes light or ink off in the share that the spot covers.
  void operator()(const Spot& spot) const {
    const cv::Mat1b& scan = capture_.scan;
    const Box mm = bounds_of(spot.shape);
    const double margin_px = 2 + spot.soft_mm * px_per_mm_;
    const cv::Rect box =
        cv::Rect(cv::Point(static_cast<int>(column(mm.left) - margin_px), static_cast<int>(row(mm.top) - margin_px)),
                 cv::Point(static_cast<int>(column(mm.right) + margin_px) + 1,
                           static_cast<int>(row(mm.bottom) + margin_px) + 1)) &
        cv::Rect({0, 0}, scan.size());
    for (int y = box.y; y < box.y + box.height; ++y) {
      for (int x = box.x; x < box.x + box.width; ++x) apply(y, x, spot.strength * cover(spot, place_mm(y, x)));
    }
  }

  void apply(int y, int x, double share) const {
    uchar& grey = capture_.scan(y, x);
    const bool takes_ink = fault_ == Fault::kMissingDetail || fault_ == Fault::kBubbles;
    const double changed = takes_ink ? 255 - (255 - grey) * (1 - share) : grey * (1 - share);
    const auto level = static_cast<uchar>(std::lround(changed));
    if (level == grey) return;
    grey = level;
    capture_.faults(y, x) |= bit_of(fault_);
  }

 private:
  double row(double y_mm) const { return y_mm * px_per_mm_ + (capture_.scan.rows - 1) / 2.0; }
  double column(double x_mm) const { return x_mm * px_per_mm_ + (capture_.scan.cols - 1) / 2.0; }
  Point place_mm(int y, int x) const {
    return {(y - (capture_.scan.rows - 1) / 2.0) / px_per_mm_, (x - (capture_.scan.cols - 1) / 2.0) / px_per_mm_};
  }

  double cover(const Spot& spot, Point at) const {
    const double distance_mm = signed_distance(spot.shape, at);
    if (fault_ == Fault::kFingerprints) return whorl(spot, at, distance_mm);
    if (spot.soft_mm > 0) {
      const double edge = distance_mm / spot.soft_mm + fractal_noise(spot.seed, at.y / 4, at.x / 4, 3) - 0.5;
      return smooth_step(0.3, -0.3, edge);
    }
    // Shapes thinner than a pixel cover it by their share: across, and for a point also along.
    const double radius = spot.shape.radius * px_per_mm_, off = distance_mm * px_per_mm_ + radius;
    const double across = std::max(0.0, std::min(off + 0.5, radius) - std::max(off - 0.5, -radius));
    return spot.shape.strokes[0].size() == 1 ? across * std::min(1.0, 2 * radius) : across;
  }

  /// Ridges half a millimetre apart around the fingertip's middle.
  double whorl(const Spot& spot, Point at, double distance_mm) const {
    constexpr double kRidgeMm = 0.5;
    const double bend = fractal_noise(spot.seed, at.y / 5, at.x / 5, 2);
    const double phase = 2 * std::numbers::pi * (distance_mm + 1.6 * bend) / kRidgeMm;
    const double seen = smooth_step(1.5, 3, kRidgeMm * px_per_mm_);  // coarser pixels show their mean
    const double ridge = 0.5 + 0.5 * seen * std::clamp(2 * std::sin(phase), -1.0, 1.0);
    return ridge * smooth_step(0, -3, distance_mm + 4 * (bend - 0.5));
  }

  CapturedScan& capture_;
  Fault fault_;
  double px_per_mm_;
};

void add_ghost(const CapturePlan& plan, double px_per_mm, CapturedScan& capture) {
  const cv::Point by(static_cast<int>(std::lround(plan.ghost_x_mm * px_per_mm)),
                     static_cast<int>(std::lround(plan.ghost_y_mm * px_per_mm)));
  const cv::Mat1b ghost = moved(capture.clean, by);
  const Stamp stamp(capture, Fault::kGhosting, px_per_mm);
  for (int y = 0; y < ghost.rows; ++y) {
    for (int x = 0; x < ghost.cols; ++x) stamp.apply(y, x, plan.ghost_strength * (255 - ghost(y, x)) / 255);
  }
}

cv::Mat area_averaged(const cv::Mat& samples, cv::Size size) {
  if (samples.size() == size) return samples;
  cv::Mat result;
  cv::resize(samples, result, size, 0, 0, cv::INTER_AREA);
  return result;
}

/// The frame with `samples` of its pixels' sides in one.
ShoeFrame finer(const ShoeFrame& frame, int samples) {
  ShoeFrame result = frame;
  result.size *= samples;
  result.pixels_of_length *= samples;
  result.top_px = (frame.top_px + 0.5) * samples - 0.5;
  result.middle_px = (frame.middle_px + 0.5) * samples - 0.5;
  return result;
}

int samples_a_pixel(const ShoeFrame& frame) {
  constexpr int kMostSamples = 4;
  return std::clamp(static_cast<int>(std::ceil(1 / (frame.px_per_mm() * kSampleMm))), 1, kMostSamples);
}

}  // namespace

std::string name_of(Fault fault) {
  constexpr std::array<const char*, 6> kNames{"missing", "bubbles", "ghosting", "fingerprints", "fibres", "dust"};
  return kNames[static_cast<std::size_t>(fault)];
}

bool CapturePlan::has(Fault fault) const {
  return fault == Fault::kGhosting ? ghost_strength > 0 : !spots[static_cast<std::size_t>(fault)].empty();
}

CapturePlan plan_capture(const WornShoe& shoe, const ShoeFrame& frame, int week) {
  const WindowMm window{frame.size.height / frame.px_per_mm(), frame.size.width / frame.px_per_mm()};
  Random random(shoe.noise_seed + 1, static_cast<std::uint64_t>(week));
  CapturePlan plan;
  draw_pose(shoe.outsole, window, random, plan);
  plan.pressure = std::clamp(1 + 0.08 * random.normal(), 0.8, 1.2);  // replicates of a visit differ by their pressure
  if (random.chance(0.4)) {
    plan.ghost_y_mm = random.uniform(-5, 5);
    plan.ghost_x_mm = random.uniform(2, 5) * (random.chance(0.5) ? 1 : -1);
    plan.ghost_strength = random.uniform(0.04, 0.14);
  }
  const auto spots = [&](Fault fault) -> std::vector<Spot>& { return plan.spots[static_cast<std::size_t>(fault)]; };
  spots(Fault::kMissingDetail) = missing_detail(window, random);
  spots(Fault::kBubbles) = bubbles(window, random);
  spots(Fault::kFingerprints) = fingerprints(window, random);
  spots(Fault::kFibres) = fibres(window, random);
  spots(Fault::kDust) = dust(window, random);
  return plan;
}

image::RigidTransform pose_in(const ShoeFrame& frame, const CapturePlan& plan) {
  return {plan.angle_deg, plan.shift_y_mm * frame.px_per_mm(), plan.shift_x_mm * frame.px_per_mm()};
}

CapturedScan capture(const cv::Mat1b& print, const ShoeFrame& frame, const CapturePlan& plan, std::uint8_t kinds) {
  const int samples = print.rows / frame.size.height;
  ensure(print.size() == frame.size * samples, "a print has whole samples a pixel");
  // The scan at q shows the print at R(-angle) (q - shift).
  const image::RigidTransform pose = pose_in(frame, plan);
  const Point back = turned({-pose.y * samples, -pose.x * samples}, -pose.angle_deg);
  const cv::Mat1b laid = image::warped_into_frame(print, {-pose.angle_deg, back.y, back.x}, print.size(), {0, 0}, 255);

  CapturedScan result;
  result.clean = area_averaged(laid, frame.size);
  result.scan = result.clean.clone();
  result.faults = cv::Mat1b(frame.size, uchar{0});
  for (const Fault fault : kFaults) {
    if ((kinds & bit_of(fault)) == 0) continue;
    if (fault == Fault::kGhosting && plan.has(fault)) add_ghost(plan, frame.px_per_mm(), result);
    const Stamp stamp(result, fault, frame.px_per_mm());
    for (const Spot& spot : plan.spots[static_cast<std::size_t>(fault)]) stamp(spot);
  }
  return result;
}

WornShoeScanner::WornShoeScanner(const WornShoe& shoe, cv::Size size)
    : shoe_(shoe),
      frame_(shoe_frame(shoe_.outsole, size)),
      relief_(make_relief(shoe_, finer(frame_, samples_a_pixel(frame_)))),
      course_(shoe_) {}

WornScan WornShoeScanner::scan(int week, std::uint8_t kinds) const {
  const WearSurface surface = course_.at(week);
  const cv::Mat1w height = worn_height(shoe_, relief_, surface, week);
  WornScan result;
  result.plan = plan_capture(shoe_, frame_, week);
  result.pose = pose_in(frame_, result.plan);
  const cv::Mat1b print = impression(shoe_, relief_, height, surface, week, result.plan.pressure);
  result.capture = capture(print, frame_, result.plan, kinds);
  result.print = area_averaged(print, frame_.size);
  result.height = area_averaged(height, frame_.size);
  return result;
}

}  // namespace outsole::synth
