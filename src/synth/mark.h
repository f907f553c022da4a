#pragma once
// A crime-scene mark made from an exemplar: a part of it in a known pose, and what a scene does to it.

#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "image/pose.h"
#include "synth/random.h"

namespace outsole::synth {

/// How much of the outsole the mark shows.
enum class VisibleArea { kFull, kHalf, kQuarter };
/// What lies under the mark.
enum class Background { kPlain, kWood, kTiles, kCarpet };

/// How the print came to the ground, and from there to the examiner. Ink: a clean transfer, as on a test impression.
/// Dust: light residue on dark ground, speckled. Blood: wet; it pools between tread elements, gathers at their edges
/// and smears. Soil: clods of it stay away, crumbs lie about. Gel lift: dust on a black lifter with air bubbles under
/// it, mirrored back as laboratories do.
enum class Capture { kInk, kDust, kBlood, kSoil, kGelLift };
inline constexpr int kCaptures = 5;

std::string name_of(VisibleArea area);
std::string name_of(Background background);
std::string name_of(Capture capture);
/// "ink", "dust", "blood", "soil" or "gel-lift"; throws UsageError naming them for another word.
Capture parse_capture(const std::string& text);

struct MarkOptions {
  double max_angle_deg = 15;  // poses turn uniformly within +- this
  double damage = 0.5;        // 0: the bare cut; 1: noise, gaps, occlusion and background at their strongest
  std::vector<Capture> captures = {Capture::kInk};  // a mark is of one of these, each as likely as another
  double max_scale_error = 0;  // share by which the mark's resolution may be off, either way: 0.02 for 2%
};

struct Mark {
  cv::Mat image;         // CV_8UC1
  image::MarkPose pose;  // true, not mirrored
  Capture capture = Capture::kInk;
  VisibleArea area = VisibleArea::kFull;
  Background background = Background::kPlain;
  bool inverted = false;  // light on dark
};

/// The mark that `pose` would lay exactly on `exemplar` (CV_8UC1): each of its pixels is read where the pose puts it,
/// by Keys's bicubic (a = -0.5); outside the exemplar is white paper. CV_64FC1, 0..255.
cv::Mat1d cut_mark(const cv::Mat1b& exemplar, std::int64_t height_px, std::int64_t width_px,
                   const image::MarkPose& pose);

/// A random mark of `exemplar` (CV_8UC1, at least 32 x 32; UsageError below): a window that lies within the exemplar
/// before it is turned, cut in a random pose, then captured and damaged. Throws Bug without a capture to choose from.
Mark make_mark(const cv::Mat1b& exemplar, const MarkOptions& options, Random& random);

}  // namespace outsole::synth
