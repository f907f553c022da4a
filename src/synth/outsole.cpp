#include "synth/outsole.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "synth/random.h"
#include "synth/tread.h"

namespace outsole::synth {

namespace {

constexpr double kToeOfArch = 0.50, kHeelOfArch = 0.67;  // where the zones meet
constexpr double kGroove = 0.012;                        // between zones

/// Control points of a right outsole's outline, from the tip of the toe down the inner side, round the heel, and up
/// again.
constexpr std::array<Point, 24> kOutline{
    {{0.000, -0.010}, {0.022, -0.085}, {0.075, -0.140}, {0.160, -0.176}, {0.270, -0.182}, {0.380, -0.155},
     {0.490, -0.112}, {0.600, -0.094}, {0.720, -0.108}, {0.840, -0.126}, {0.930, -0.112}, {0.985, -0.062},
     {1.000, 0.004},  {0.985, 0.068},  {0.930, 0.120},  {0.840, 0.138},  {0.720, 0.140},  {0.600, 0.142},
     {0.490, 0.156},  {0.380, 0.176},  {0.270, 0.180},  {0.160, 0.154},  {0.075, 0.108},  {0.022, 0.055}}};

/// Catmull and Rom's spline between b and c, t in [0, 1).
Point spline(Point a, Point b, Point c, Point d, double t) {
  return 0.5 * (2 * b + t * (c - a) + t * t * (2 * a - 5 * b + 4 * c - d) + t * t * t * (3 * b - 3 * c + d - a));
}

std::vector<Point> make_outline(Random& random) {
  constexpr int kPointsOfSegment = 5;
  const double width = random.uniform(0.92, 1.06), arch = random.uniform(0.6, 1.25);
  const double toe_shift = random.uniform(-0.02, 0.025);
  std::array<Point, kOutline.size()> control = kOutline;
  for (Point& point : control) {
    const double waist = smooth_step(0.35, 0.55, point.y) * smooth_step(0.85, 0.65, point.y);
    if (point.x < 0) point.x -= 0.035 * (1 - arch) * waist;
    point.x = point.x * width + toe_shift * smooth_step(0.25, 0.0, point.y);
  }
  std::vector<Point> outline;
  const std::size_t n = control.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (int step = 0; step < kPointsOfSegment; ++step) {
      outline.push_back(spline(control[(i + n - 1) % n], control[i], control[(i + 1) % n], control[(i + 2) % n],
                               static_cast<double>(step) / kPointsOfSegment));
    }
  }
  return outline;
}

/// Short bars along the outline, square to it, as the edge of many soles has.
void add_rim(Outsole& outsole, double depth, Random& random) {
  const double spacing = random.uniform(0.055, 0.08), thickness = spacing * random.uniform(0.5, 0.75);
  double walked = 0, next = spacing / 2;
  for (std::size_t i = 0; i < outsole.outline.size(); ++i) {
    const Point a = outsole.outline[i], b = outsole.outline[(i + 1) % outsole.outline.size()];
    const Point along = b - a;
    const double length = std::hypot(along.y, along.x);
    for (; next < walked + length; next += spacing) {
      const Point at = a + (next - walked) / length * along;
      const Point tangent = (thickness / 2 / length) * along, normal = (depth / length) * Point{along.x, -along.y};
      Shape bar{
          {{at - tangent - normal, at + tangent - normal, at + tangent + normal, at - tangent + normal}}, 0, true, 0};
      outsole.blocks.push_back({std::move(bar), 0.004, 0, 1, false, 0, 0});
    }
    walked += length;
  }
}

/// An unbroken band along the outline.
void add_band(Outsole& outsole, double width) {
  outsole.blocks.push_back({Shape{{outsole.outline}, 0, true, width}, 0, 0, 1, false, 0, 0});
}

Shape ring(const Ellipse& ellipse, double share, double width) {
  Shape shape{{{}}, 0, true, width};
  for (int degrees = 0; degrees < 360; degrees += 6) {
    const Point unit = turned({1, 0}, degrees);
    shape.strokes[0].push_back(ellipse.centre +
                               Point{share * ellipse.radius_y * unit.y, share * ellipse.radius_x * unit.x});
  }
  return shape;
}

/// Concentric rings under the ball of the foot.
void add_pivot(Outsole& outsole, Random& random) {
  const double radius = random.uniform(0.055, 0.085);
  const Ellipse place{{random.uniform(0.24, 0.32), random.uniform(-0.07, -0.02)}, radius, radius};
  const int rings = 2 + random.below(2);
  outsole.emblems.push_back(place);
  for (int i = 0; i < rings; ++i) {
    const double share = 0.9 * (rings - i) / rings;
    outsole.blocks.push_back({ring(place, share, 0.22 * radius), 0, 0, 1, false, 0, 0});
  }
}

/// A word in an oval in the arch.
void add_logo(Outsole& outsole, Random& random) {
  const int letters = 3 + random.below(3);
  const Ellipse place{{random.uniform(0.57, 0.60), 0.022}, random.uniform(0.045, 0.06), 0.085};
  const double height = std::min(0.9 * place.radius_y, 1.5 * place.radius_x / letters);
  outsole.emblems.push_back(place);
  outsole.blocks.push_back({ring(place, 0.94, 0.008), 0, 0, 1, false, 0, 0});
  outsole.blocks.push_back({placed(random_word(letters, height, random), 0, place.centre), 0, 0, 1, false, 0, 0});
}

/// Negative inside, the distance being approximate off the axes: enough to cut blocks.
double distance_to_ellipse(const Ellipse& ellipse, Point at) {
  const Point from = at - ellipse.centre;
  return (std::hypot(from.y / ellipse.radius_y, from.x / ellipse.radius_x) - 1) *
         std::min(ellipse.radius_y, ellipse.radius_x);
}

}  // namespace

std::string name_of(TreadFamily family) {
  constexpr std::array<const char*, 6> kNames{"bars", "hexagons", "zigzags", "studs", "waves", "letters"};
  return kNames[static_cast<std::size_t>(family)];
}

Outsole make_outsole(std::uint64_t seed, std::uint64_t index) {
  Random random(seed, index);
  Outsole outsole;
  outsole.outline = make_outline(random);
  outsole.texture_seed = random.bits();

  double inset = 0.014;
  const double rim_kind = random.uniform();
  if (rim_kind < 0.35) {
    const double depth = random.uniform(0.03, 0.042);
    add_rim(outsole, depth, random);
    inset = depth + kGroove;
  } else if (rim_kind < 0.6) {
    const double width = random.uniform(0.010, 0.022);
    add_band(outsole, width);
    inset = width + kGroove;
  }
  if (random.chance(0.3)) add_pivot(outsole, random);
  if (random.chance(0.4)) add_logo(outsole, random);

  const std::array<Zone, 3> zones{Zone{0, kToeOfArch - kGroove, 0.22, inset},
                                  Zone{kToeOfArch, kHeelOfArch - kGroove, 0.20, inset},
                                  Zone{kHeelOfArch, 1, 0.18, inset}};
  for (const Zone& zone : zones) {
    const auto family = static_cast<TreadFamily>(random.below(6));
    outsole.families.push_back(family);
    for (Block& block : fill_zone(zone, family, outsole.outline, random)) outsole.blocks.push_back(std::move(block));
  }
  return random.chance(0.5) ? mirror_image(std::move(outsole)) : outsole;
}

Outsole mirror_image(Outsole outsole) {
  outsole.left_foot = !outsole.left_foot;
  for (Point& point : outsole.outline) point.x = -point.x;
  for (Ellipse& emblem : outsole.emblems) emblem.centre.x = -emblem.centre.x;
  for (Block& block : outsole.blocks) {
    block.sipe_angle_deg = -block.sipe_angle_deg;
    for (auto& stroke : block.shape.strokes) {
      for (Point& point : stroke) point.x = -point.x;
    }
  }
  return outsole;
}

double distance_to_sipes(const Block& block, Point at) {
  const double across = turned(at, block.sipe_angle_deg).y / block.sipe_pitch;
  return kHalfSipe - std::abs(across - std::round(across)) * block.sipe_pitch;
}

double signed_distance_unclipped(const Outsole& outsole, const Block& block, Point at) {
  double distance = std::max({signed_distance(block.shape, at), block.zone_top - at.y, at.y - block.zone_bottom});
  if (block.yields) {
    for (const Ellipse& emblem : outsole.emblems) distance = std::max(distance, -distance_to_ellipse(emblem, at));
  }
  return distance;
}

double signed_distance(const Outsole& outsole, const Block& block, Point at, double far) {
  double distance = signed_distance_unclipped(outsole, block, at);
  if (block.sipe_pitch > 0) distance = std::max(distance, distance_to_sipes(block, at));
  if (distance > far) return distance;
  return std::max(distance, signed_distance_to_polygon(outsole.outline, at) + block.inset);
}

}  // namespace outsole::synth
