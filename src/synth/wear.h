#pragma once
// A pair of shoes worn for a year: the height of each outsole's rubber week by week, and the print it leaves.
//
// Positions are in outsole units (synth/outsole.h), heights and lengths in millimetres on an outsole 300 mm long, so
// one description serves every size. Wear is a surface that sinks through the rubber: what stands above it is gone.

#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "synth/outsole.h"

namespace outsole::synth {

inline constexpr double kOutsoleLengthMm = 300;
inline constexpr double kTreadDepthMm = 4;           // of a new outsole's grooves
inline constexpr double kHeightLevelsPerMm = 10000;  // heights are stored in 16 bits, in steps of 0.1 micrometre
inline constexpr int kLastWeek = 52;

enum class Foot { kLeft, kRight };

/// Weeks of a year in which a pair is captured: 0 to 52 by 2 without 6.
const std::vector<int>& captured_weeks();

/// How the top of one block was moulded.
struct BlockTop {
  double lowered_mm = 0;        // below the highest blocks: it touches later
  double bevel_mm = 0.5;        // by this it falls off at its edge,
  double bevel_width_mm = 0.6;  // and less inwards, by 1/e each such length
  double sipe_depth_mm = 0;     // of its fine cuts, V-shaped: wear narrows, then closes them
  double grain_mm = 0;          // depth of the moulded texture,
  double grain_pitch_mm = 1.2;  // of cells this wide
};

/// Letters moulded into the blocks: they vanish when wear reaches their floor.
struct Engraving {
  Shape shape;
  double depth_mm = 0;
};

enum class AccidentalKind { kCut, kNick, kHole, kStone };

std::string name_of(AccidentalKind kind);

/// What happened to this one shoe. Cuts, nicks and holes are carved into the rubber in `first_week`, down to `floor_mm`
/// above the grooves' floor, and are gone when the surface has sunk there. A stone sits in the tread and prints until
/// `last_week`; it is no part of the rubber.
struct Accidental {
  AccidentalKind kind = AccidentalKind::kCut;
  Shape shape;
  double floor_mm = 0;
  int first_week = 0;
  int last_week = kLastWeek;
};

/// A place where the foot loads the outsole.
struct LoadSpot {
  Point centre;
  double radius_y = 0.1, radius_x = 0.1;  // standard deviations
  double strength = 0;
};

/// One outsole and its year.
struct WornShoe {
  Outsole outsole;
  std::vector<BlockTop> tops;  // of outsole.blocks
  std::vector<Engraving> engravings;
  std::vector<Accidental> accidentals;
  std::vector<LoadSpot> abrasion;  // strength in mm a year
  std::vector<LoadSpot> stance;    // strength in shares of full pressure
  std::vector<double> mileage;     // share of the year's walking done by the start of each fortnight, 0..1 [27]
  std::uint64_t noise_seed = 0;
};

/// Outsole of pair number `pair` of the set `seed`; left and right mirror each other in design and differ in texture,
/// load and accidents. A function of its arguments alone.
WornShoe make_worn_shoe(std::uint64_t seed, std::uint64_t pair, Foot foot);

/// Where an outsole lies in an image of its own: upright, in the middle, 0.78 of the image's height long (less where
/// the image is narrow). Pixel centres are integers.
struct ShoeFrame {
  cv::Size size;
  double pixels_of_length = 0;
  double top_px = 0, middle_px = 0;  // of the outsole's origin

  double px_per_mm() const { return pixels_of_length / kOutsoleLengthMm; }
  double dpi() const { return 25.4 * px_per_mm(); }
  Point to_outsole(double y, double x) const {
    return {(y - top_px) / pixels_of_length, (x - middle_px) / pixels_of_length};
  }
  double row(double y) const { return y * pixels_of_length + top_px; }
  double column(double x) const { return x * pixels_of_length + middle_px; }
};

ShoeFrame shoe_frame(const Outsole& outsole, cv::Size size);

/// The new outsole on the pixels of a frame: 3 bytes a pixel.
struct Relief {
  ShoeFrame frame;
  cv::Mat1w height;  // above the grooves' floor, in steps of 1 / kHeightLevelsPerMm
  cv::Mat1b edge;    // 255 at the edges of blocks, less inwards: how much faster they wear
};

/// Samples the new outsole's height. On all threads that OpenCV may use.
Relief make_relief(const WornShoe& shoe, const ShoeFrame& frame);

/// What walking and standing do in one week, on a grid of cells that is the same at every size.
struct WearSurface {
  static constexpr double kCellMm = 0.25;
  static constexpr double kTop = -0.01, kLeft = -0.24;  // of the grid's first cell, in outsole units
  static constexpr int kRows = 1225, kColumns = 577;

  cv::Mat1f worn_mm;     // by which the surface has sunk, abrasion noise included
  cv::Mat1f pressed_mm;  // by which the ground follows it
  cv::Mat1f reach_mm;    // how far below that rubber still touches: it yields under pressure
};

/// Makes the surfaces of one shoe: its noise is drawn once.
class WearCourse {
 public:
  explicit WearCourse(const WornShoe& shoe);
  /// `week` in 0..52, even.
  WearSurface at(int week) const;

 private:
  const WornShoe& shoe_;
  cv::Mat1f abrasion_mm_;  // a year's, without noise
  cv::Mat1f reach_mm_;
  cv::Mat1f hardness_;             // lasting abrasion noise, mean 1
  std::vector<cv::Mat1f> scuffs_;  // passing abrasion noise of each 8 weeks, mean 1
};

/// Height of the rubber in a week [as relief.height]; nowhere more than in any week before.
cv::Mat1w worn_height(const WornShoe& shoe, const Relief& relief, const WearSurface& surface, int week);

/// The print without any fault of its capture, CV_8UC1 on the frame's pixels, 255 is paper: ink where the rubber (or a
/// stone) comes within reach of the ground. `pressure` scales the reach: 1 is the usual tread.
cv::Mat1b impression(const WornShoe& shoe, const Relief& relief, const cv::Mat1w& height, const WearSurface& surface,
                     int week, double pressure = 1);

}  // namespace outsole::synth
