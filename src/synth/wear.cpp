#include "synth/wear.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <opencv2/core/utility.hpp>

#include "core/errors.h"
#include "synth/random.h"
#include "synth/tread.h"

namespace outsole::synth {

namespace {

// The model's parameters. They were set once from the CSAFE Longitudinal Shoe Study's scans (S. Vanderplas and others,
// doi 10.25380/iastate.8016341; 8 shoes, 4 visits in up to 23 weeks), looked at with the eye, and from what shoes are
// made like where prints do not show it. They are not to be fitted to a model or a denoiser.

constexpr double kMm = 1 / kOutsoleLengthMm;

// Moulding. New studs of the Nikes print a tip, a ring and cells about 1.2 mm wide, and solid pentagons later: bevels
// and grain some tenths of a millimetre deep, of which load takes away most within the year.
constexpr double kWallMm = 1.2;                     // a block's wall falls to the groove's floor within this
constexpr int kLeastBlocks = 48, kMostBlocks = 80;  // "about 63 block features" in the wear literature's shoe

// Load. Texture under the ball is gone after about 14 weeks, in the arch it is there at the end: some millimetres a
// year at the rear outer heel, about one under the ball, tenths in the arch. Positions are of a right outsole, whose
// outer side is at x > 0.
constexpr double kLeastAbrasionMm = 0.18;
constexpr std::array<LoadSpot, 4> kAbrasion{{{{0.95, 0.055}, 0.055, 0.055, 2.0},     // heel strike, outer rear
                                             {{0.27, -0.070}, 0.070, 0.060, 1.2},    // ball
                                             {{0.31, 0.085}, 0.080, 0.060, 0.7},     // outer ball
                                             {{0.07, -0.050}, 0.050, 0.060, 1.1}}};  // toe-off
constexpr double kLeastStance = 0.40;
constexpr std::array<LoadSpot, 4> kStance{{{{0.88, 0.000}, 0.090, 0.080, 0.6},
                                           {{0.27, 0.000}, 0.100, 0.110, 0.6},
                                           {{0.07, -0.030}, 0.060, 0.070, 0.3},
                                           {{0.58, 0.080}, 0.150, 0.050, 0.3}}};  // the arch touches at its outer side
constexpr double kReachMm = 0.30;                                                 // under full pressure
constexpr double kFollowedMm = 1.2;     // worn deeper than this, rubber leaves the ground, as at the CSAFE heels' rims,
constexpr double kFollowedShare = 0.5;  // by half of the rest

// Abrasion noise: lasting (rubber is not even) and passing (each day's ground), in shares of the abrasion.
constexpr double kPassing = 0.3;
constexpr int kScuffWeeks = 8;
constexpr double kEdgeHaste = 0.4;    // edges wear this much faster than tops,
constexpr double kEdgeWidthMm = 1.0;  // 1/e of it this far inside

/// Ink. In CSAFE scans a quarter of the inked pixels is black, half darker than 30, edges are about 0.2 mm soft.
constexpr double kDarkest = 6, kLightest = 52;

double gauss(const LoadSpot& spot, Point at) {
  const double y = (at.y - spot.centre.y) / spot.radius_y, x = (at.x - spot.centre.x) / spot.radius_x;
  return spot.strength * std::exp(-0.5 * (y * y + x * x));
}

template <std::size_t N>
std::vector<LoadSpot> varied(const std::array<LoadSpot, N>& spots, bool is_left, Random& random) {
  std::vector<LoadSpot> result(spots.begin(), spots.end());
  for (LoadSpot& spot : result) {
    spot.centre = spot.centre + Point{random.uniform(-0.015, 0.015), random.uniform(-0.015, 0.015)};
    spot.strength *= random.uniform(0.75, 1.3);
    if (is_left) spot.centre.x = -spot.centre.x;
  }
  return result;
}

double sum_at(const std::vector<LoadSpot>& spots, Point at) {
  double sum = 0;
  for (const LoadSpot& spot : spots) sum += gauss(spot, at);
  return sum;
}

double abrasion_at(const WornShoe& shoe, Point at) { return kLeastAbrasionMm + sum_at(shoe.abrasion, at); }

/// The first of the set's outsoles for this pair that has about 63 blocks.
Outsole design_of(std::uint64_t seed, std::uint64_t pair) {
  constexpr std::uint64_t kAttempts = 100;
  Outsole outsole;
  for (std::uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
    outsole = make_outsole(seed, pair + (attempt << 32));
    const int blocks = static_cast<int>(outsole.blocks.size());
    if (blocks >= kLeastBlocks && blocks <= kMostBlocks) break;
  }
  return outsole;
}

std::vector<BlockTop> make_tops(const Outsole& outsole, Random& random) {
  const double bevel = random.uniform(0.25, 0.6), width = random.uniform(0.5, 1.0), grain = random.uniform(0.06, 0.22);
  const double pitch = random.uniform(1.0, 1.8), sipe = random.uniform(0.5, 1.8);
  std::vector<BlockTop> tops;
  for (const Block& block : outsole.blocks) {
    BlockTop top;
    top.lowered_mm = random.chance(0.75) ? random.uniform(0, 0.06) : random.uniform(0.1, 0.5);
    top.bevel_mm = bevel * random.uniform(0.8, 1.2);
    top.bevel_width_mm = width * random.uniform(0.8, 1.2);
    top.sipe_depth_mm = block.sipe_pitch > 0 ? sipe * random.uniform(0.8, 1.2) : 0;
    top.grain_mm = grain * random.uniform(0.7, 1.3);
    top.grain_pitch_mm = pitch;
    tops.push_back(top);
  }
  return tops;
}

/// A point of the outsole at least `inset` inside its outline.
Point random_point(const Outsole& outsole, double inset, Random& random) {
  for (;;) {
    const Point at{random.uniform(0, 1), random.uniform(-0.2, 0.2)};
    if (signed_distance_to_polygon(outsole.outline, at) < -inset) return at;
  }
}

std::vector<Engraving> make_engravings(const Outsole& outsole, Random& random) {
  std::vector<Engraving> engravings;
  for (const double y : {random.uniform(0.16, 0.34), random.uniform(0.76, 0.9)}) {
    const Point at{y, random.uniform(-0.05, 0.05)};
    Shape word = placed(random_word(3 + random.below(3), random.uniform(0.025, 0.04), random), 0, at);
    if (outsole.left_foot) {
      for (auto& stroke : word.strokes) {
        for (Point& point : stroke) point.x = -point.x;
      }
    }
    engravings.push_back({std::move(word), random.uniform(0.3, 0.9)});
  }
  return engravings;
}

/// A closed polygon about `centre` with an uneven edge.
Shape chip(Point centre, double radius, int corners, Random& random) {
  Shape shape{{{}}, 0, true, 0};
  for (int i = 0; i < corners; ++i) {
    shape.strokes[0].push_back(centre + turned({-radius * random.uniform(0.6, 1.2), 0}, 360.0 * i / corners));
  }
  return shape;
}

Shape cut(Point centre, Random& random) {
  const double length = random.uniform(4, 16) * kMm, bend = random.uniform(-0.15, 0.15) * length;
  const double angle_deg = random.uniform(0, 180);
  const Shape line{{{{0, -length / 2}, {bend, 0}, {0, length / 2}}}, random.uniform(0.25, 0.7) * kMm, false, 0};
  return placed(line, angle_deg, centre);
}

Accidental random_accidental(const WornShoe& shoe, Random& random) {
  constexpr int kFortnights = kLastWeek / 2;
  Accidental result;
  result.kind = static_cast<AccidentalKind>(random.below(4));
  result.first_week = 2 * (1 + random.below(kFortnights - 1));
  const Point centre = random_point(shoe.outsole, 0.01, random);
  double depth_mm = 0;
  switch (result.kind) {
    case AccidentalKind::kCut:
      result.shape = cut(centre, random);
      depth_mm = random.uniform(0.4, 1.6);
      break;
    case AccidentalKind::kNick:
      result.shape = chip(centre, random.uniform(0.8, 2.2) * kMm, 4, random);
      depth_mm = random.uniform(0.4, 1.2);
      break;
    case AccidentalKind::kHole:
      result.shape = {{{centre}}, random.uniform(0.8, 1.8) * kMm, false, 0};
      depth_mm = 3;
      break;
    case AccidentalKind::kStone:
      result.shape = chip(centre, random.uniform(1.2, 2.4) * kMm, 7, random);
      result.last_week = result.first_week + 2 * random.below(8);
      break;
  }
  const double worn = abrasion_at(shoe, centre) * shoe.mileage[static_cast<std::size_t>(result.first_week / 2)];
  result.floor_mm = std::max(0.0, kTreadDepthMm - worn - depth_mm);
  return result;
}

std::vector<double> make_mileage(Random& random) {
  std::vector<double> mileage{0};
  for (int week = 2; week <= kLastWeek; week += 2) mileage.push_back(mileage.back() + random.uniform(0.6, 1.4));
  for (double& share : mileage) share /= mileage.back();
  mileage.back() = 1;
  return mileage;
}

/// Calls visit(y) for all rows, on all threads that OpenCV may use; rows do not depend on each other.
template <typename Visit>
void for_each_row(int rows, const Visit& visit) {
  cv::parallel_for_(cv::Range(0, rows), [&](const cv::Range& range) {
    for (int y = range.start; y < range.end; ++y) visit(y);
  });
}

/// The pixels of a frame that `shape` and a margin may reach.
cv::Rect pixels_of(const Shape& shape, double margin, const ShoeFrame& frame) {
  const Box box = bounds_of(shape);
  const cv::Point top_left(static_cast<int>(std::floor(frame.column(box.left - margin))),
                           static_cast<int>(std::floor(frame.row(box.top - margin))));
  const cv::Point end(static_cast<int>(std::ceil(frame.column(box.right + margin))) + 1,
                      static_cast<int>(std::ceil(frame.row(box.bottom + margin))) + 1);
  return cv::Rect(top_left, end) & cv::Rect({0, 0}, frame.size);
}

std::uint16_t level_of(double height_mm) {
  return static_cast<std::uint16_t>(std::lround(kHeightLevelsPerMm * std::max(0.0, height_mm)));
}

/// Cells with raised middles and narrow furrows between, 0 (top) to 1 (furrow).
double grain_at(std::uint64_t seed, double pitch_mm, Point at) {
  const double noise = smooth_noise(seed, at.y / (pitch_mm * kMm), at.x / (pitch_mm * kMm));
  const double fine = smooth_noise(seed + 1, 2.3 * at.y / (pitch_mm * kMm), 2.3 * at.x / (pitch_mm * kMm));
  return 1 - smooth_step(0.0, 0.22, std::abs(0.7 * noise + 0.3 * fine - 0.5));
}

/// Height of one block at a place `inside_mm` within its edge (negative: out on its wall).
double block_height(const WornShoe& shoe, std::size_t block, Point at, double inside_mm) {
  const BlockTop& top = shoe.tops[block];
  double height =
      kTreadDepthMm - top.lowered_mm - top.bevel_mm * std::exp(-std::max(0.0, inside_mm) / top.bevel_width_mm);
  if (inside_mm < 0) return height * std::max(0.0, 1 + inside_mm / kWallMm);
  height -= top.grain_mm * grain_at(shoe.noise_seed, top.grain_pitch_mm, at);
  if (top.sipe_depth_mm > 0) {
    const double into_cut = distance_to_sipes(shoe.outsole.blocks[block], at) / kHalfSipe;
    height -= top.sipe_depth_mm * std::clamp(into_cut, 0.0, 1.0);
  }
  return height;
}

double engraved_mm(const WornShoe& shoe, Point at) {
  double depth = 0;
  for (const Engraving& engraving : shoe.engravings) {
    const Box box = bounds_of(engraving.shape);
    if (at.y < box.top || at.y > box.bottom || at.x < box.left || at.x > box.right) continue;
    const double inside_mm = -signed_distance(engraving.shape, at) / kMm;
    depth = std::max(depth, engraving.depth_mm * std::clamp(inside_mm / 0.3, 0.0, 1.0));
  }
  return depth;
}

/// Distance from the outline along a row of pixels, computed only where it can matter: it changes by no more than the
/// way gone since it was.
class OutlineAlongRow {
 public:
  explicit OutlineAlongRow(const Outsole& outsole) : outsole_(outsole) {}

  /// The larger of `distance` and that from the outline moved inwards by `inset`.
  double clip(double distance, double inset, Point at) {
    if (known_ + std::abs(at.x - known_x_) + inset <= distance) return distance;
    known_ = signed_distance_to_polygon(outsole_.outline, at);
    known_x_ = at.x;
    return std::max(distance, known_ + inset);
  }

 private:
  const Outsole& outsole_;
  double known_ = std::numeric_limits<double>::infinity(), known_x_ = 0;
};

/// Raises the rubber of one block in one row of its box.
void raise_block_in_row(const WornShoe& shoe, std::size_t index, int y, const cv::Rect& box, Relief& relief) {
  const Block& block = shoe.outsole.blocks[index];
  const ShoeFrame& frame = relief.frame;
  OutlineAlongRow outline(shoe.outsole);
  for (int x = box.x; x < box.x + box.width; ++x) {
    const Point at = frame.to_outsole(y, x);
    double distance = signed_distance_unclipped(shoe.outsole, block, at);
    if (distance >= kWallMm * kMm) {
      x += static_cast<int>((distance - kWallMm * kMm) * frame.pixels_of_length);  // nothing nearer in between
      continue;
    }
    distance = outline.clip(distance, block.inset, at);
    const double inside_mm = -distance / kMm;
    if (inside_mm <= -kWallMm) continue;
    double height_mm = block_height(shoe, index, at, inside_mm);
    if (inside_mm > 0) height_mm -= engraved_mm(shoe, at);
    if (level_of(height_mm) <= relief.height(y, x)) continue;
    relief.height(y, x) = level_of(height_mm);
    const double edge = std::exp(-std::max(0.0, inside_mm) / kEdgeWidthMm);
    relief.edge(y, x) = static_cast<std::uint8_t>(std::lround(255 * edge));
  }
}

/// Bilinear reading of a grid along a row of pixels.
class GridRow {
 public:
  GridRow(const ShoeFrame& frame, int y) : frame_(frame) {
    const double row = (frame.to_outsole(y, 0).y - WearSurface::kTop) / (WearSurface::kCellMm * kMm);
    const double inside = std::clamp(row, 0.0, WearSurface::kRows - 1.001);
    row_ = static_cast<int>(inside);
    down_ = static_cast<float>(inside - row_);
  }
  void move_to(int x) {
    const double column = (frame_.to_outsole(0, x).x - WearSurface::kLeft) / (WearSurface::kCellMm * kMm);
    const double inside = std::clamp(column, 0.0, WearSurface::kColumns - 1.001);
    column_ = static_cast<int>(inside);
    right_ = static_cast<float>(inside - column_);
  }
  float operator()(const cv::Mat1f& grid) const {
    const float *above = grid.ptr<float>(row_) + column_, *below = grid.ptr<float>(row_ + 1) + column_;
    const float top = above[0] + right_ * (above[1] - above[0]), bottom = below[0] + right_ * (below[1] - below[0]);
    return top + down_ * (bottom - top);
  }

 private:
  const ShoeFrame& frame_;
  int row_ = 0, column_ = 0;
  float down_ = 0, right_ = 0;
};

template <typename Value>
cv::Mat1f grid_of(const Value& value) {
  cv::Mat1f grid(WearSurface::kRows, WearSurface::kColumns);
  for_each_row(grid.rows, [&](int y) {
    for (int x = 0; x < grid.cols; ++x) {
      const Point at{WearSurface::kTop + y * WearSurface::kCellMm * kMm,
                     WearSurface::kLeft + x * WearSurface::kCellMm * kMm};
      grid(y, x) = static_cast<float>(value(at));
    }
  });
  return grid;
}

/// Noise of mean 1 in about 0.4 .. 1.6: bumps of a centimetre and of `fine_mm`.
double uneven(std::uint64_t seed, Point at, double fine_mm) {
  const double coarse = smooth_noise(seed, 30 * at.y, 30 * at.x);
  const double fine = smooth_noise(seed + 1, at.y / (fine_mm * kMm), at.x / (fine_mm * kMm));
  return 1 + 0.7 * (coarse - 0.5) + 0.5 * (fine - 0.5);
}

double followed(double worn_mm) {
  return worn_mm <= kFollowedMm ? worn_mm : kFollowedMm + kFollowedShare * (worn_mm - kFollowedMm);
}

bool is_there(const Accidental& accidental, int week) {
  return accidental.first_week <= week && week <= accidental.last_week;
}

/// Lowers the rubber to the floor of a cut, nick or hole; its walls lean.
void carve(const Accidental& accidental, const ShoeFrame& frame, cv::Mat1w& height) {
  constexpr double kWallWidthMm = 0.25;
  const cv::Rect box = pixels_of(accidental.shape, 0, frame);
  for (int y = box.y; y < box.y + box.height; ++y) {
    for (int x = box.x; x < box.x + box.width; ++x) {
      const double inside_mm = -signed_distance(accidental.shape, frame.to_outsole(y, x)) / kMm;
      if (inside_mm <= 0) continue;
      const double wall = 1 - std::min(1.0, inside_mm / kWallWidthMm);
      height(y, x) = std::min(height(y, x), level_of(std::lerp(accidental.floor_mm, kTreadDepthMm, wall)));
    }
  }
}

/// A stone prints as dark as the tread around it.
void print_stone(const Accidental& stone, const ShoeFrame& frame, cv::Mat1b& print) {
  const cv::Rect box = pixels_of(stone.shape, 1 / frame.pixels_of_length, frame);
  for (int y = box.y; y < box.y + box.height; ++y) {
    for (int x = box.x; x < box.x + box.width; ++x) {
      const double distance_mm = signed_distance(stone.shape, frame.to_outsole(y, x)) / kMm;
      const double ink = smooth_step(0.1, -0.1, distance_mm);
      const auto grey = static_cast<std::uint8_t>(std::lround(std::lerp(255.0, kDarkest, ink)));
      print(y, x) = std::min(print(y, x), grey);
    }
  }
}

}  // namespace

const std::vector<int>& captured_weeks() {
  static const std::vector<int> kWeeks = [] {
    std::vector<int> weeks;
    for (int week = 0; week <= kLastWeek; week += 2) {
      if (week != 6) weeks.push_back(week);
    }
    return weeks;
  }();
  return kWeeks;
}

std::string name_of(AccidentalKind kind) {
  constexpr std::array<const char*, 4> kNames{"cut", "nick", "hole", "stone"};
  return kNames[static_cast<std::size_t>(kind)];
}

WornShoe make_worn_shoe(std::uint64_t seed, std::uint64_t pair, Foot foot) {
  const bool is_left = foot == Foot::kLeft;
  Random of_pair(seed ^ 0x77656172u, pair), of_foot(of_pair.bits(), is_left ? 0 : 1);
  WornShoe shoe;
  shoe.outsole = design_of(seed, pair);
  if (shoe.outsole.left_foot != is_left) shoe.outsole = mirror_image(std::move(shoe.outsole));
  shoe.noise_seed = of_foot.bits();
  shoe.tops = make_tops(shoe.outsole, of_pair);
  shoe.engravings = make_engravings(shoe.outsole, of_pair);
  shoe.mileage = make_mileage(of_pair);
  shoe.abrasion = varied(kAbrasion, is_left, of_foot);
  shoe.stance = varied(kStance, is_left, of_foot);
  const int accidentals = 24 + of_foot.below(17);
  for (int i = 0; i < accidentals; ++i) shoe.accidentals.push_back(random_accidental(shoe, of_foot));
  return shoe;
}

ShoeFrame shoe_frame(const Outsole& outsole, cv::Size size) {
  constexpr double kLengthOfHeight = 0.78;  // as in CSAFE's window of 36 cm
  constexpr double kShape = 0.4;            // width over height of a frame that has room to turn the outsole
  const Box box = bounds_of({{outsole.outline}, 0, true, 0});
  const double pixels = kLengthOfHeight * std::min<double>(size.height, size.width / kShape);
  return {size, pixels, (size.height - 1) / 2.0 - pixels * (box.top + box.bottom) / 2,
          (size.width - 1) / 2.0 - pixels * (box.left + box.right) / 2};
}

Relief make_relief(const WornShoe& shoe, const ShoeFrame& frame) {
  Relief relief{frame, cv::Mat1w(frame.size, std::uint16_t{0}), cv::Mat1b(frame.size, uchar{0})};
  const std::vector<Block>& blocks = shoe.outsole.blocks;
  std::vector<cv::Rect> boxes;
  for (const Block& block : blocks) boxes.push_back(pixels_of(block.shape, kWallMm * kMm, frame));
  for_each_row(frame.size.height, [&](int y) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (y >= boxes[i].y && y < boxes[i].y + boxes[i].height) raise_block_in_row(shoe, i, y, boxes[i], relief);
    }
  });
  return relief;
}

WearCourse::WearCourse(const WornShoe& shoe) : shoe_(shoe) {
  abrasion_mm_ = grid_of([&](Point at) { return abrasion_at(shoe, at); });
  reach_mm_ = grid_of([&](Point at) { return kReachMm * std::min(1.0, kLeastStance + sum_at(shoe.stance, at)); });
  hardness_ = grid_of([&](Point at) { return uneven(shoe.noise_seed + 1000, at, 3); });
  for (int week = 0; week < kLastWeek; week += kScuffWeeks) {
    const auto seed = shoe.noise_seed + 2000 + static_cast<std::uint64_t>(week);
    scuffs_.push_back(grid_of([&](Point at) { return uneven(seed, at, 1.5); }));
  }
}

WearSurface WearCourse::at(int week) const {
  ensure(week >= 0 && week <= kLastWeek && week % 2 == 0, "wear is known for even weeks of a year");
  const auto mileage = [&](int at) { return static_cast<float>(shoe_.mileage[static_cast<std::size_t>(at / 2)]); };
  WearSurface surface;
  cv::Mat1f passing(hardness_.size(), 0.0f);
  for (int begin = 0; begin < week; begin += kScuffWeeks) {
    const float walked = mileage(std::min(week, begin + kScuffWeeks)) - mileage(begin);
    passing += walked * scuffs_[static_cast<std::size_t>(begin / kScuffWeeks)];
  }
  const cv::Mat1f share = (1 - kPassing) * mileage(week) * hardness_ + kPassing * passing;
  surface.worn_mm = abrasion_mm_.mul(share);
  surface.pressed_mm = mileage(week) * abrasion_mm_;
  surface.pressed_mm.forEach([](float& value, const int*) { value = static_cast<float>(followed(value)); });
  surface.reach_mm = reach_mm_;
  return surface;
}

cv::Mat1w worn_height(const WornShoe& shoe, const Relief& relief, const WearSurface& surface, int week) {
  cv::Mat1w height(relief.height.size());
  for_each_row(height.rows, [&](int y) {
    GridRow grid(relief.frame, y);
    const std::uint16_t* before = relief.height.ptr<std::uint16_t>(y);
    const uchar* edge = relief.edge.ptr(y);
    std::uint16_t* after = height.ptr<std::uint16_t>(y);
    for (int x = 0; x < height.cols; ++x) {
      after[x] = before[x];
      if (before[x] == 0) continue;
      grid.move_to(x);
      const double worn_mm = grid(surface.worn_mm) * (1 + kEdgeHaste / 255 * edge[x]);
      after[x] = std::min(before[x], level_of(kTreadDepthMm - worn_mm));
    }
  });
  for (const Accidental& accidental : shoe.accidentals) {
    if (accidental.kind != AccidentalKind::kStone && is_there(accidental, week))
      carve(accidental, relief.frame, height);
  }
  return height;
}

cv::Mat1b impression(const WornShoe& shoe, const Relief& relief, const cv::Mat1w& height, const WearSurface& surface,
                     int week, double pressure) {
  cv::Mat1b print(height.size());
  for_each_row(height.rows, [&](int y) {
    GridRow grid(relief.frame, y);
    const std::uint16_t* row = height.ptr<std::uint16_t>(y);
    uchar* grey = print.ptr(y);
    for (int x = 0; x < height.cols; ++x) {
      grey[x] = 255;
      if (row[x] == 0) continue;
      grid.move_to(x);
      const double gap_mm = kTreadDepthMm - grid(surface.pressed_mm) - row[x] / kHeightLevelsPerMm;
      const double gap = gap_mm / (pressure * grid(surface.reach_mm));  // 1: touches no more
      if (gap >= 1) continue;
      const double touch = smooth_step(1, 0.65, gap),
                   dark = std::lerp(kLightest, kDarkest, std::clamp(1 - gap, 0.0, 1.0));
      grey[x] = static_cast<std::uint8_t>(std::lround(std::lerp(255.0, dark, touch)));
    }
  });
  for (const Accidental& accidental : shoe.accidentals) {
    if (accidental.kind == AccidentalKind::kStone && is_there(accidental, week)) {
      print_stone(accidental, relief.frame, print);
    }
  }
  return print;
}

}  // namespace outsole::synth
