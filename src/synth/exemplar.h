#pragma once
// An outsole inked on paper: what an exemplar of a database looks like.

#include <cstdint>
#include <opencv2/core.hpp>

#include "synth/outsole.h"

namespace outsole::synth {

/// The print of `outsole`, toe up, filling a height x width frame but for a narrow border: CV_8UC1, dark ink on white.
/// The same shoe at any size. Throws UsageError for a frame under 32 px a side.
cv::Mat render_exemplar(const Outsole& outsole, std::int64_t height_px, std::int64_t width_px);

}  // namespace outsole::synth
