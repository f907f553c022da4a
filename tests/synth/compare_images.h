#pragma once

#include <opencv2/imgproc.hpp>

namespace outsole::synth {

inline bool same(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && cv::norm(a, b, cv::NORM_INF) == 0;
}

/// Of all pixels of two images of one size.
inline double correlation(const cv::Mat& a, const cv::Mat& b) {
  cv::Mat result;
  cv::matchTemplate(a, b, result, cv::TM_CCOEFF_NORMED);
  return result.at<float>(0, 0);
}

}  // namespace outsole::synth
