#pragma once
// Scanners draw a ruler border around the window through which they look at the outsole.

#include <opencv2/core.hpp>

namespace outsole::image {

/// The window inside the ruler border, or the whole scan where none is drawn. A border ends in a frame line along each
/// side of the window: a column or row, in the outer eighth of the scan, that is dark nearly from end to end, as no
/// print of an outsole is.
cv::Rect window_inside_ruler(const cv::Mat1b& scan);

}  // namespace outsole::image
