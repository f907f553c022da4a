#include "measure/image_quality.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/errors.h"

namespace outsole::measure {
namespace {

cv::Mat1b noise(int rows, int cols, std::uint64_t seed) {
  cv::Mat1b image(rows, cols);
  cv::RNG(seed).fill(image, cv::RNG::UNIFORM, 0, 256);
  return image;
}

/// A print-like pattern: bars on paper.
cv::Mat1b bars(int rows, int cols, int shift) {
  cv::Mat1b image(rows, cols, uchar{255});
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < cols; ++x) {
      if ((y + shift) % 9 < 5 && x % 13 < 9) image(y, x) = static_cast<uchar>(20 + (x * 7 + y) % 40);
    }
  }
  return image;
}

/// Mirrored at the edge, which appears once: index -1 is 1.
int mirrored_index(int i, int length) {
  if (i < 0) return -i;
  return i < length ? i : 2 * length - 2 - i;
}

/// Mean over the known pixels of l c s, each factor as published, with explicit windows in double.
double naive_ssim(const cv::Mat1b& a, const cv::Mat1b& b, const cv::Mat1b& known) {
  constexpr double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255, c3 = c2 / 2;
  std::array<double, 11> weight{};
  double total = 0;
  for (int i = 0; i < 11; ++i) total += weight.at(i) = std::exp(-(i - 5) * (i - 5) / (2 * 1.5 * 1.5));
  for (double& w : weight) w /= total;
  double sum = 0;
  int pixels = 0;
  for (int y = 0; y < a.rows; ++y) {
    for (int x = 0; x < a.cols; ++x) {
      if (known(y, x) == 0) continue;
      const auto window_mean = [&](auto value) {
        double result = 0;
        for (int i = 0; i < 11; ++i) {
          for (int j = 0; j < 11; ++j) {
            const int v = mirrored_index(y + i - 5, a.rows), u = mirrored_index(x + j - 5, a.cols);
            const bool is_known = known(v, u) != 0;
            result += weight.at(i) * weight.at(j) * value(is_known ? a(v, u) : 255.0, is_known ? b(v, u) : 255.0);
          }
        }
        return result;
      };
      const double mu_a = window_mean([](double p, double) { return p; });
      const double mu_b = window_mean([](double, double q) { return q; });
      const double var_a = window_mean([&](double p, double) { return (p - mu_a) * (p - mu_a); });
      const double var_b = window_mean([&](double, double q) { return (q - mu_b) * (q - mu_b); });
      const double cov = window_mean([&](double p, double q) { return (p - mu_a) * (q - mu_b); });
      const double luminance = (2 * mu_a * mu_b + c1) / (mu_a * mu_a + mu_b * mu_b + c1);
      const double contrast = (2 * std::sqrt(var_a * var_b) + c2) / (var_a + var_b + c2);
      const double structure = (cov + c3) / (std::sqrt(var_a * var_b) + c3);
      sum += luminance * contrast * structure;
      ++pixels;
    }
  }
  return sum / pixels;
}

/// Two thirds of the pixels, in a shape with edges everywhere.
cv::Mat1b some_known(int rows, int cols) {
  cv::Mat1b known(rows, cols, uchar{255});
  known(cv::Rect(cols / 3, rows / 4, cols / 2, rows / 2)) = 0;
  known.row(0) = 0;
  return known;
}

TEST(StructuralSimilarity, AgreesWithExplicitWindowsInDouble) {
  const cv::Mat1b all(37, 29, uchar{255});
  EXPECT_NEAR(structural_similarity(noise(37, 29, 1), noise(37, 29, 2)),
              naive_ssim(noise(37, 29, 1), noise(37, 29, 2), all), 1e-5);
  EXPECT_NEAR(structural_similarity(bars(37, 29, 0), bars(37, 29, 1)),
              naive_ssim(bars(37, 29, 0), bars(37, 29, 1), all), 1e-5);
}

TEST(StructuralSimilarity, IsTheMeanOverKnownPixelsWithPaperElsewhere) {
  const cv::Mat1b known = some_known(37, 29);
  EXPECT_NEAR(structural_similarity(bars(37, 29, 0), noise(37, 29, 2), known),
              naive_ssim(bars(37, 29, 0), noise(37, 29, 2), known), 1e-5);
}

TEST(StructuralSimilarity, IsOneForEqualImagesAndSymmetric) {
  EXPECT_NEAR(structural_similarity(bars(40, 30, 0), bars(40, 30, 0)), 1, 1e-6);
  EXPECT_NEAR(structural_similarity(cv::Mat1b(40, 30, uchar{255}), cv::Mat1b(40, 30, uchar{255})), 1, 1e-6);
  EXPECT_NEAR(structural_similarity(bars(40, 30, 0), bars(40, 30, 3)),
              structural_similarity(bars(40, 30, 3), bars(40, 30, 0)), 1e-6);
}

TEST(PeakSignalToNoise, IsTheMeanSquareInDecibels) {
  const cv::Mat1b a(20, 30, uchar{100}), b(20, 30, uchar{110});
  EXPECT_NEAR(peak_signal_to_noise_db(a, b), 20 * std::log10(255.0 / 10), 1e-12);
  EXPECT_EQ(peak_signal_to_noise_db(a, a), std::numeric_limits<double>::infinity());
  const cv::Mat1b x = noise(40, 30, 1), y = noise(40, 30, 2);
  double squares = 0;
  for (int i = 0; i < 40; ++i) {
    for (int j = 0; j < 30; ++j) squares += (x(i, j) - y(i, j)) * (x(i, j) - y(i, j));
  }
  EXPECT_NEAR(peak_signal_to_noise_db(x, y), 10 * std::log10(255.0 * 255.0 * 1200 / squares), 1e-10);
}

TEST(ImageQuality, WhatIsUnknownDoesNotCount) {
  const cv::Mat1b known = some_known(40, 30), truth = bars(40, 30, 0);
  cv::Mat1b answer = bars(40, 30, 1), other = answer.clone();
  noise(40, 30, 5).copyTo(other, known == 0);
  EXPECT_EQ(structural_similarity(answer, truth, known), structural_similarity(other, truth, known));
  EXPECT_EQ(peak_signal_to_noise_db(answer, truth, known), peak_signal_to_noise_db(other, truth, known));
}

TEST(ImageQuality, NeedsImagesOfOneSizeAndAKnownPixel) {
  const cv::Mat1b image(20, 20, uchar{9});
  EXPECT_THROW(structural_similarity(image, cv::Mat1b(20, 21)), Bug);
  EXPECT_THROW(structural_similarity(image, image, cv::Mat1b(20, 20, uchar{0})), Bug);
  EXPECT_THROW(structural_similarity(cv::Mat1b(10, 20), cv::Mat1b(10, 20)), Bug);
  EXPECT_THROW(peak_signal_to_noise_db(image, image, cv::Mat1b(19, 20, uchar{1})), Bug);
}

}  // namespace
}  // namespace outsole::measure
