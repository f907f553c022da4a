#include "image/local_contrast.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"

namespace outsole::image {

namespace {

constexpr double kFlat = 150;      // a grey between paper and ink
constexpr double kGain = 60;       // grey levels for one deviation
constexpr double kNoise = 10;      // a deviation that is no print
constexpr double kReach = 4;       // of the Gaussian, in sigmas
constexpr double kNothing = 1e-9;  // of the Gaussian's weight: rounding of a sum over no pixel

cv::Mat1d blurred(const cv::Mat1d& values, double sigma_px) {
  const int side = 2 * static_cast<int>(std::ceil(kReach * sigma_px)) + 1;
  cv::Mat1d result;
  cv::GaussianBlur(values, result, {side, side}, sigma_px, sigma_px, cv::BORDER_CONSTANT);
  return result;
}

}  // namespace

cv::Mat1f local_contrast(const cv::Mat1f& grey, const cv::Mat1b& support, double sigma_px) {
  ensure(grey.size() == support.size() && sigma_px > 0, "a picture and its support have one size");
  cv::Mat1d inside(grey.size(), 0.0), first, second;
  inside.setTo(1, support);
  cv::Mat(grey).convertTo(first, CV_64F);
  first = first.mul(inside);
  second = first.mul(first);
  const cv::Mat1d weight = blurred(inside, sigma_px), sum = blurred(first, sigma_px),
                  squares = blurred(second, sigma_px);
  cv::Mat1f result(grey.size());
  result.forEach([&](float& value, const int* at) {
    const int y = at[0], x = at[1];
    value = kFlat;
    if (weight(y, x) < kNothing) return;
    const double mean = sum(y, x) / weight(y, x);
    const double deviation = std::sqrt(std::max(0.0, squares(y, x) / weight(y, x) - mean * mean));
    value = static_cast<float>(
        std::round(std::clamp(kFlat + kGain * (grey(y, x) - mean) / (deviation + kNoise), 0.0, 255.0)));
  });
  return result;
}

}  // namespace outsole::image
