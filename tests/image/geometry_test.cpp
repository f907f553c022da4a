#include "image/geometry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace outsole::image {
namespace {

cv::Mat noise(int height_px, int width_px, std::uint64_t seed = 1) {
  cv::Mat image(height_px, width_px, CV_32FC1);
  cv::RNG(seed).fill(image, cv::RNG::UNIFORM, 0.0, 255.0);
  return image;
}

double keys_cubic(double x) {
  x = std::fabs(x);
  if (x <= 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  if (x <= 2) return -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
  return 0;
}

/// One pixel of the resized image by its definition: a sum over the whole image.
double naive_resized_pixel(const cv::Mat& image, int height_px, int width_px, int y, int x) {
  const double step_y = static_cast<double>(image.rows) / height_px,
               step_x = static_cast<double>(image.cols) / width_px;
  double sum = 0, weights = 0;
  for (int j = 0; j < image.rows; ++j) {
    for (int i = 0; i < image.cols; ++i) {
      const double weight = keys_cubic((j + 0.5 - (y + 0.5) * step_y) / std::max(1.0, step_y)) *
                            keys_cubic((i + 0.5 - (x + 0.5) * step_x) / std::max(1.0, step_x));
      sum += weight * image.at<float>(j, i);
      weights += weight;
    }
  }
  return sum / weights;
}

TEST(ResizeAntialiased, EqualsTheDefinition) {
  const cv::Mat image = noise(23, 17);
  for (const auto& [height_px, width_px] : {std::pair{12, 9}, {23, 8}, {5, 17}, {46, 31}, {1, 1}, {7, 40}}) {
    const cv::Mat resized = resize_antialiased(image, height_px, width_px);
    ASSERT_EQ(resized.size(), cv::Size(width_px, height_px));
    for (int y = 0; y < height_px; ++y) {
      for (int x = 0; x < width_px; ++x) {
        ASSERT_NEAR(resized.at<float>(y, x), naive_resized_pixel(image, height_px, width_px, y, x), 1e-4)
            << height_px << " x " << width_px << " at " << y << ", " << x;
      }
    }
  }
}

TEST(ResizeAntialiased, KeepsAConstant) {
  const cv::Mat image(31, 20, CV_32FC1, cv::Scalar(77));
  for (const int length : {1, 3, 16, 31, 90}) {
    EXPECT_LE(cv::norm(resize_antialiased(image, length, length), cv::Mat(length, length, CV_32FC1, cv::Scalar(77)),
                       cv::NORM_INF),
              1e-4);
  }
}

TEST(ResizeAntialiased, KeepsAnImageOfTheSameSize) {
  const cv::Mat image = noise(9, 13);
  EXPECT_EQ(cv::norm(resize_antialiased(image, 9, 13), image, cv::NORM_INF), 0);
}

TEST(ResizeAntialiased, TurnsACheckerboardGrey) {
  cv::Mat board(64, 64, CV_32FC1);
  board.forEach<float>([](float& value, const int* at) { value = (at[0] + at[1]) % 2 == 0 ? 0.0f : 255.0f; });
  const cv::Mat half = resize_antialiased(board, 32, 32);
  EXPECT_LE(cv::norm(half(cv::Rect(2, 2, 28, 28)), cv::Mat(28, 28, CV_32FC1, cv::Scalar(127.5)), cv::NORM_INF), 1.0);
}

TEST(ResizeAntialiased, CommutesWithMirroring) {
  const cv::Mat image = noise(21, 34);
  EXPECT_LE(
      cv::norm(resize_antialiased(mirrored(image), 10, 13), mirrored(resize_antialiased(image, 10, 13)), cv::NORM_INF),
      1e-4);
}

TEST(ResizeAntialiased, RefusesSizesWithoutPixels) {
  EXPECT_THROW(resize_antialiased(noise(4, 4), 0, 4), Bug);
  EXPECT_THROW(resize_antialiased(cv::Mat(4, 4, CV_8UC1, cv::Scalar(0)), 2, 2), Bug);
}

TEST(ResizeToGreyLevels, HoldsWholeLevelsOnly) {
  cv::Mat edges(40, 40, CV_32FC1, cv::Scalar(0));
  edges(cv::Rect(13, 0, 9, 40)) = 255;  // bicubic overshoots at edges
  const cv::Mat resized = resize_to_grey_levels(edges, 19, 19);
  const cv::Mat exact = resize_antialiased(edges, 19, 19);
  double low = 0, high = 0;
  cv::minMaxLoc(exact, &low, &high);
  EXPECT_TRUE(low < 0 || high > 255);
  for (int y = 0; y < 19; ++y) {
    for (int x = 0; x < 19; ++x) {
      const float level = resized.at<float>(y, x);
      ASSERT_EQ(level, std::floor(level));
      ASSERT_NEAR(level, std::clamp(exact.at<float>(y, x), 0.0f, 255.0f), 0.5001);
    }
  }
}

TEST(ResizeMask, CountsAPixelFromHalfItsArea) {
  cv::Mat mask = cv::Mat::zeros(4, 4, CV_8UC1);
  mask(cv::Rect(0, 0, 1, 2)) = 255;  // half of the first 2 x 2 pixels
  mask(cv::Rect(2, 2, 1, 1)) = 255;  // a quarter of the last
  const cv::Mat expected = (cv::Mat_<std::uint8_t>(2, 2) << 255, 0, 0, 0);
  EXPECT_EQ(cv::norm(resize_mask(mask, 2, 2), expected, cv::NORM_INF), 0);
}

TEST(ResizeMask, EqualsTheShareOfArea) {
  cv::Mat mask(23, 19, CV_8UC1);
  cv::RNG(3).fill(mask, cv::RNG::UNIFORM, 0, 2);
  for (const auto& [height_px, width_px] : {std::pair{11, 9}, {7, 19}, {30, 41}}) {
    const cv::Mat resized = resize_mask(mask, height_px, width_px);
    const double step_y = 23.0 / height_px, step_x = 19.0 / width_px;
    for (int y = 0; y < height_px; ++y) {
      for (int x = 0; x < width_px; ++x) {
        double area = 0;
        for (int j = 0; j < 23; ++j) {
          for (int i = 0; i < 19; ++i) {
            const double overlap_y = std::min<double>(j + 1, (y + 1) * step_y) - std::max<double>(j, y * step_y);
            const double overlap_x = std::min<double>(i + 1, (x + 1) * step_x) - std::max<double>(i, x * step_x);
            if (mask.at<std::uint8_t>(j, i) != 0) area += std::max(0.0, overlap_y) * std::max(0.0, overlap_x);
          }
        }
        const double share = area / (step_y * step_x);
        if (std::fabs(share - 0.5) > 1e-6) {
          ASSERT_EQ(resized.at<std::uint8_t>(y, x), share > 0.5 ? 255 : 0);
        }
      }
    }
  }
}

TEST(ScaledLength, RoundsUpAndNeverToNothing) {
  EXPECT_EQ(scaled_length_px(586, 0.5), 293);
  EXPECT_EQ(scaled_length_px(587, 0.5), 294);
  EXPECT_EQ(scaled_length_px(1, 0.1), 1);
  EXPECT_EQ(scaled_length_px(100, 0.07), 7);  // 7.000000000000001 in floating point
  EXPECT_EQ(scaled_length_px(13750, 1.0), 13750);
}

TEST(Mirrored, ExchangesLeftAndRight) {
  const cv::Mat image = (cv::Mat_<float>(2, 3) << 1, 2, 3, 4, 5, 6);
  const cv::Mat expected = (cv::Mat_<float>(2, 3) << 3, 2, 1, 6, 5, 4);
  EXPECT_EQ(cv::norm(mirrored(image), expected, cv::NORM_INF), 0);
  EXPECT_EQ(cv::norm(mirrored(mirrored(image)), image, cv::NORM_INF), 0);
}

TEST(PlacedOnCanvas, CutsWhatLiesOutside) {
  const cv::Mat image = noise(5, 4);
  for (const auto& [top, left] : {std::pair{2, 3}, {-2, -1}, {4, -3}, {-20, 0}, {0, 50}, {6, 7}}) {
    const cv::Mat canvas = placed_on_canvas(image, 8, 9, top, left, 255);
    ASSERT_EQ(canvas.size(), cv::Size(9, 8));
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 9; ++x) {
        const int j = y - top, i = x - left;
        const bool inside = j >= 0 && j < 5 && i >= 0 && i < 4;
        ASSERT_EQ(canvas.at<float>(y, x), inside ? image.at<float>(j, i) : 255.0f);
      }
    }
  }
}

}  // namespace
}  // namespace outsole::image
