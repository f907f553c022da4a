#pragma once
// A crime-scene mark made from an exemplar: a part of it in a known pose, and what a scene does to it.

#include <cstdint>
#include <string>

#include <opencv2/core.hpp>

#include "image/pose.h"
#include "synth/random.h"

namespace outsole::synth {

/// How much of the outsole the mark shows.
enum class VisibleArea { kFull, kHalf, kQuarter };
/// What lies under the mark.
enum class Background { kPlain, kWood, kTiles, kCarpet };

std::string name_of(VisibleArea area);
std::string name_of(Background background);

struct MarkOptions {
  double max_angle_deg = 15;  // poses turn uniformly within +- this
  double damage = 0.5;        // 0: the bare cut; 1: noise, gaps, occlusion and background at their strongest
};

struct Mark {
  cv::Mat image;  // CV_8UC1
  image::MarkPose pose;  // true, at scale 1, not mirrored
  VisibleArea area = VisibleArea::kFull;
  Background background = Background::kPlain;
  bool inverted = false;  // light on dark, as in dust
};

/// The mark that `pose` would lay exactly on `exemplar` (CV_8UC1): each of its pixels is read where the pose puts it,
/// by Keys's bicubic (a = -0.5); outside the exemplar is white paper. CV_64FC1, 0..255.
cv::Mat1d cut_mark(const cv::Mat1b& exemplar, std::int64_t height_px, std::int64_t width_px, const image::MarkPose& pose);

/// A random mark of `exemplar` (CV_8UC1, at least 32 x 32; UsageError below): a window that lies within the exemplar
/// before it is turned, cut in a random pose, then damaged.
Mark make_mark(const cv::Mat1b& exemplar, const MarkOptions& options, Random& random);

}  // namespace outsole::synth
