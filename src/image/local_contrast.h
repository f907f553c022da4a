#pragma once

#include <opencv2/core.hpp>

namespace outsole::image {

/// Each pixel against those around it: clip(150 + 60 (q - mean) / (deviation + 10)), rounded, with mean and standard
/// deviation under a Gaussian of `sigma_px` over the pixels of the support alone. Light that falls off over the
/// picture, stains larger than the Gaussian and faint print lose their influence; what is flat becomes 150. Pixels
/// farther than four sigma from the support are 150. `grey` in [0, 255]; `support`: not 0 counts. Not collective.
cv::Mat1f local_contrast(const cv::Mat1f& grey, const cv::Mat1b& support, double sigma_px);

}  // namespace outsole::image
