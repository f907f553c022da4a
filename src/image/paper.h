#pragma once
// The level of blank paper in a scan.

#include <opencv2/core.hpp>

namespace outsole::image {

/// The most frequent level of the lighter half: the paper's.
int paper_level(const cv::Mat1b& scan);

/// The scan with its paper at white (255) and black where it was: some scanners leave paper at 230. A scan whose paper
/// is white within the noise of a scanner is given back as it is.
cv::Mat1b with_white_paper(const cv::Mat1b& scan);

}  // namespace outsole::image
