#pragma once
// What the preparation of a scan did, for a person to check.

#include <opencv2/core.hpp>

#include "wear/prepare.h"

namespace outsole::report {

/// The heel (the lowest third of the outsole; toes point up) of a scan: as cropped, its ink mask, its noise map, and
/// the filtered result, side by side; then, in the frame, what was filled from other scans. What was not computed is
/// left out.
cv::Mat3b preparation_picture(const wear::PreparationSteps& steps);

}  // namespace outsole::report
