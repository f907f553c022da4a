#include "synth/tread.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace outsole::synth {

namespace {

/// Capital letters as strokes on a grid of 3 rows by 3 columns: digits yx, y 0 (top) to 2, x 0 (left) to 2; a space
/// starts a new stroke.
constexpr std::array<const char*, 16> kLetters{"200110012122 1012", "0020 0002 1011 2022",
                                               "0020 0002 1011",    "0020 0222 1012",  // A E F H
                                               "0020 0210 1022",    "002022",
                                               "20001102 0222",     "20002202",  // K L M N
                                               "2000021210 1122",   "0200101222 2220",
                                               "0002 0121",         "002102",  // R S T V
                                               "0022 0220",         "00022022",
                                               "002022 0222",       "0002222000"};  // X Z U O

Shape letter(int index) {
  Shape shape;
  const auto begin_stroke = [&] { shape.strokes.emplace_back(); };
  begin_stroke();
  for (const char* at = kLetters[static_cast<std::size_t>(index)]; *at != '\0';) {
    if (*at == ' ') {
      begin_stroke();
      ++at;
      continue;
    }
    shape.strokes.back().push_back({(at[0] - '1') * 0.5, (at[1] - '1') * 0.32});
    at += 2;
  }
  return shape;
}

void scale(Shape& shape, double factor) {
  for (auto& stroke : shape.strokes) {
    for (Point& point : stroke) point = factor * point;
  }
}

Shape rectangle(double height, double width) {
  const double y = height / 2, x = width / 2;
  return {{{{-y, -x}, {-y, x}, {y, x}, {y, -x}}}, 0, true, 0};
}

Shape regular_polygon(int corners, double radius) {
  Shape shape{{{}}, 0, true, 0};
  for (int i = 0; i < corners; ++i) shape.strokes[0].push_back(turned({-radius, 0}, 360.0 * i / corners));
  return shape;
}

/// `shape` with its corners rounded by `radius`, at about the same size: the polygon shrinks, the radius fills up.
Shape rounded(Shape shape, double size, double radius) {
  scale(shape, (size - 2 * radius) / size);
  shape.radius = radius;
  return shape;
}

/// How a zone's features are laid out, drawn once a zone.
struct Layout {
  double pitch_y, pitch_x;  // of the lattice
  double fill;              // share of the pitch that a feature takes
  double angle_deg;         // of every feature
  double ring_width;        // 0: solid
  double stagger;           // share of pitch_x by which odd rows are shifted
  double sipe_pitch, sipe_angle_deg;
};

Layout random_layout(TreadFamily family, Random& random) {
  Layout layout{};
  layout.pitch_x = random.uniform(0.062, 0.095);
  layout.pitch_y = layout.pitch_x * random.uniform(0.75, 1.1);
  layout.fill = random.uniform(0.66, 0.86);
  layout.angle_deg = random.chance(0.5) ? 0 : random.uniform(-35, 35);
  layout.stagger = random.chance(0.6) ? 0.5 : 0;
  layout.ring_width = random.chance(0.35) ? random.uniform(0.16, 0.26) * layout.pitch_x : 0;
  const bool has_sipes = layout.ring_width == 0 && random.chance(0.4);
  layout.sipe_pitch = has_sipes ? random.uniform(0.014, 0.022) : 0;
  layout.sipe_angle_deg = random.below(4) * 45;
  if (family == TreadFamily::kHexagons) {
    layout.pitch_y = layout.pitch_x * 0.88;
    layout.stagger = 0.5;
    layout.angle_deg = 0;
  }
  if (family == TreadFamily::kBars) {
    layout.pitch_x *= random.uniform(1.0, 1.6);
    layout.pitch_y *= random.uniform(0.45, 0.7);
  }
  if (family == TreadFamily::kLetters) {
    layout.pitch_y = layout.pitch_x * 1.15;
    layout.sipe_pitch = 0;
  }
  if (family == TreadFamily::kZigzags || family == TreadFamily::kWaves) layout.pitch_y *= random.uniform(0.5, 0.75);
  return layout;
}

/// One feature of a lattice family.
Shape lattice_feature(TreadFamily family, const Layout& layout, Random& random) {
  const double size = layout.fill * std::min(layout.pitch_y, layout.pitch_x);
  Shape shape;
  if (family == TreadFamily::kBars) {
    const double height = layout.fill * layout.pitch_y, width = layout.fill * layout.pitch_x;
    shape = rectangle(height - 0.006, width - 0.006);
    shape.radius = 0.003;
  } else if (family == TreadFamily::kHexagons) {
    shape = rounded(regular_polygon(6, size * 0.6), size, 0.003);
  } else if (family == TreadFamily::kStuds) {
    shape = {{{{0, 0}}}, size / 2, false, 0};
  } else {
    shape = letter(random.below(static_cast<int>(kLetters.size())));
    scale(shape, size);
    shape.radius = 0.1 * size;
    return shape;
  }
  shape.ring_width = layout.ring_width;
  return shape;
}

/// A line across the zone, `period` long from crest to crest: straight legs, or a sine.
Shape line_feature(TreadFamily family, double half_width, double period, double amplitude, double thickness) {
  const int points_of_period = family == TreadFamily::kWaves ? 16 : 2;
  const int count = static_cast<int>(std::ceil(2 * half_width / period * points_of_period)) + 1;
  Shape shape{{{}}, thickness / 2, false, 0};
  for (int i = 0; i < count; ++i) {
    const double phase = static_cast<double>(i) / points_of_period;
    shape.strokes[0].push_back({-amplitude / 2 * std::cos(2 * std::numbers::pi * phase), phase * period - half_width});
  }
  return shape;
}

bool reaches_into(const std::vector<Point>& outline, const Zone& zone, const Block& block) {
  const Box box = bounds_of(block.shape);
  const Point middle{(box.top + box.bottom) / 2, (box.left + box.right) / 2};
  const double reach = std::max(box.bottom - box.top, box.right - box.left) / 5;
  return middle.y > zone.top - reach && middle.y < zone.bottom + reach &&
         signed_distance_to_polygon(outline, middle) + zone.inset < reach;
}

}  // namespace

Shape random_word(int letters, double height, Random& random) {
  Shape word;
  word.radius = 0.11 * height;
  for (int i = 0; i < letters; ++i) {
    Shape shape = letter(random.below(static_cast<int>(kLetters.size())));
    scale(shape, height);
    const Point offset{0, (i - (letters - 1) / 2.0) * 1.0 * height};
    for (auto& stroke : placed(shape, 0, offset).strokes) word.strokes.push_back(stroke);
  }
  return word;
}

std::vector<Block> fill_zone(const Zone& zone, TreadFamily family, const std::vector<Point>& outline, Random& random) {
  const Layout layout = random_layout(family, random);
  const bool is_line = family == TreadFamily::kZigzags || family == TreadFamily::kWaves;
  const double phase = random.uniform();
  std::vector<Block> blocks;
  const auto add = [&](Shape shape, double angle_deg, Point centre) {
    Block block{placed(std::move(shape), angle_deg, centre),
                zone.inset,
                zone.top,
                zone.bottom,
                true,
                layout.sipe_pitch,
                layout.sipe_angle_deg};
    if (is_line || reaches_into(outline, zone, block)) blocks.push_back(std::move(block));
  };
  const int rows = static_cast<int>((zone.bottom - zone.top) / layout.pitch_y) + 2;
  const int columns = static_cast<int>(2 * zone.half_width / layout.pitch_x) + 3;
  for (int row = 0; row < rows; ++row) {
    const double y = zone.top + (row - phase + 0.5) * layout.pitch_y;
    if (is_line) {
      const double amplitude = 0.9 * layout.pitch_y, thickness = 0.55 * layout.fill * layout.pitch_y;
      add(line_feature(family, zone.half_width, layout.pitch_x, amplitude, thickness), 0, {y, 0});
      continue;
    }
    const double shift = row % 2 == 1 ? layout.stagger : 0;
    for (int column = 0; column < columns; ++column) {
      const double x = (column - (columns - 1) / 2.0 + shift) * layout.pitch_x;
      add(lattice_feature(family, layout, random), layout.angle_deg, {y, x});
    }
  }
  return blocks;
}

}  // namespace outsole::synth
