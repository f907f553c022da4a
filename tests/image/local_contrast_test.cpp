#include "image/local_contrast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

namespace outsole::image {
namespace {

cv::Mat1f noise(int height_px, int width_px, double mean, double deviation) {
  cv::Mat1f image(height_px, width_px);
  cv::RNG(7).fill(image, cv::RNG::NORMAL, mean, deviation);
  return cv::min(cv::max(image, 0), 255);
}

/// The definition, pixel by pixel.
double naive(const cv::Mat1f& grey, const cv::Mat1b& support, double sigma_px, int y, int x) {
  double weight = 0, sum = 0, squares = 0;
  const int reach = static_cast<int>(std::ceil(4 * sigma_px));
  for (int v = std::max(0, y - reach); v <= std::min(grey.rows - 1, y + reach); ++v) {
    for (int u = std::max(0, x - reach); u <= std::min(grey.cols - 1, x + reach); ++u) {
      if (support(v, u) == 0) continue;
      const double w = std::exp(-((v - y) * (v - y) + (u - x) * (u - x)) / (2 * sigma_px * sigma_px));
      weight += w;
      sum += w * grey(v, u);
      squares += w * grey(v, u) * grey(v, u);
    }
  }
  if (weight == 0) return 150;
  const double mean = sum / weight, deviation = std::sqrt(std::max(0.0, squares / weight - mean * mean));
  return std::round(std::clamp(150 + 60 * (grey(y, x) - mean) / (deviation + 10), 0.0, 255.0));
}

TEST(LocalContrast, IsItsDefinitionAlsoAtBordersAndBesideTheSupport) {
  const cv::Mat1f grey = noise(40, 61, 120, 50);
  cv::Mat1b support(grey.size(), std::uint8_t{0});
  support(cv::Rect(0, 5, 30, 30)) = 255;
  support(cv::Rect(10, 10, 3, 8)) = 0;
  const cv::Mat1f result = local_contrast(grey, support, 3.5);
  for (int y = 0; y < grey.rows; ++y) {
    for (int x = 0; x < grey.cols; ++x) {
      ASSERT_NEAR(result(y, x), naive(grey, support, 3.5, y, x), 1e-6) << y << ", " << x;
    }
  }
}

TEST(LocalContrast, TakesOutLightThatFallsOff) {
  cv::Mat1f lit(120, 120), dim(120, 120);
  for (int y = 0; y < lit.rows; ++y) {
    for (int x = 0; x < lit.cols; ++x) {
      lit(y, x) = (y / 4 + x / 4) % 2 == 0 ? 60.0F : 200.0F;
      dim(y, x) = lit(y, x) * (1 - 0.004F * static_cast<float>(x));
    }
  }
  const cv::Mat1b all(lit.size(), std::uint8_t{255});
  const cv::Rect middle(30, 30, 60, 60);
  const double before = cv::norm(lit(middle), dim(middle), cv::NORM_L1) / middle.area();
  const cv::Mat1f a = local_contrast(lit, all, 12), b = local_contrast(dim, all, 12);
  EXPECT_LT(cv::norm(a(middle), b(middle), cv::NORM_L1) / middle.area(), before / 5);
}

TEST(LocalContrast, OfWhatIsFlatIsFlat) {
  const cv::Mat1f flat(30, 30, 77.0F);
  const cv::Mat1f result = local_contrast(flat, cv::Mat1b(flat.size(), std::uint8_t{1}), 4);
  EXPECT_EQ(cv::countNonZero(result != 150), 0);
}

}  // namespace
}  // namespace outsole::image
