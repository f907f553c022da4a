#pragma once
// How alike two images are. Both are CV_8UC1 of one size; `known` (CV_8UC1, 0 is unknown; empty: all known) says which
// pixels count. What is unknown is paper in both images, so that no answer gains or loses by what it shows there.

#include <opencv2/core.hpp>

namespace outsole::measure {

/// Structural similarity (Wang et al. 2004, eq. 13, C3 = C2 / 2): Gaussian window 11 x 11, sigma 1.5, constants 0.01
/// and 0.03 of 255; the mean over the known pixels. Windows that reach over an edge see the image mirrored there (its
/// edge pixel once). Images must be at least 11 x 11. Throws Bug when sizes differ or nothing is known.
double structural_similarity(const cv::Mat1b& a, const cv::Mat1b& b, const cv::Mat1b& known = {});

/// 10 log10(255^2 / MSE) in dB over the known pixels; infinite for equal images. Throws Bug as above.
double peak_signal_to_noise_db(const cv::Mat1b& a, const cv::Mat1b& b, const cv::Mat1b& known = {});

}  // namespace outsole::measure
