#include "image/geometry.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::image {

namespace {

/// Weights of the input samples first, first + 1, ... that make one output sample.
struct Taps {
  std::int64_t first = 0;
  std::vector<double> weights;
};

/// Keys' cubic convolution kernel, a = -0.5 (R. Keys, 1981, equation 15).
double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

std::vector<Taps> bicubic_taps(std::int64_t input_length, std::int64_t output_length) {
  const double step = static_cast<double>(input_length) / static_cast<double>(output_length);
  const double widening = std::max(1.0, step);
  std::vector<Taps> all(output_length);
  for (std::int64_t i = 0; i < output_length; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * step;
    const auto first = std::max<std::int64_t>(0, std::llround(center - 2 * widening));
    const auto end = std::min<std::int64_t>(input_length, std::llround(center + 2 * widening));
    Taps& taps = all[i];
    taps.first = first;
    double sum = 0;
    for (std::int64_t j = first; j < end; ++j) {
      taps.weights.push_back(cubic((static_cast<double>(j) + 0.5 - center) / widening));
      sum += taps.weights.back();
    }
    for (double& weight : taps.weights) weight /= sum;
  }
  return all;
}

/// Weights by the share of the output sample that each input sample covers.
std::vector<Taps> area_taps(std::int64_t input_length, std::int64_t output_length) {
  const double step = static_cast<double>(input_length) / static_cast<double>(output_length);
  std::vector<Taps> all(output_length);
  for (std::int64_t i = 0; i < output_length; ++i) {
    const double begin = static_cast<double>(i) * step, end = static_cast<double>(i + 1) * step;
    Taps& taps = all[i];
    taps.first = std::min(static_cast<std::int64_t>(begin), input_length - 1);
    for (std::int64_t j = taps.first; j < input_length && static_cast<double>(j) < end; ++j) {
      const double overlap = std::min(end, static_cast<double>(j + 1)) - std::max(begin, static_cast<double>(j));
      taps.weights.push_back(std::max(0.0, overlap) / step);
    }
  }
  return all;
}

/// Applies `columns` along each row of a CV_64FC1 image.
cv::Mat resample_rows(const cv::Mat& image, const std::vector<Taps>& columns) {
  cv::Mat result(image.rows, static_cast<int>(columns.size()), CV_64FC1);
  for (int y = 0; y < image.rows; ++y) {
    const double* input = image.ptr<double>(y);
    double* output = result.ptr<double>(y);
    for (std::size_t x = 0; x < columns.size(); ++x) {
      double sum = 0;
      for (std::size_t k = 0; k < columns[x].weights.size(); ++k) {
        sum += columns[x].weights[k] * input[columns[x].first + static_cast<std::int64_t>(k)];
      }
      output[x] = sum;
    }
  }
  return result;
}

/// Applies `rows` down each column of a CV_64FC1 image.
cv::Mat resample_columns(const cv::Mat& image, const std::vector<Taps>& rows) {
  cv::Mat result = cv::Mat::zeros(static_cast<int>(rows.size()), image.cols, CV_64FC1);
  for (std::size_t y = 0; y < rows.size(); ++y) {
    double* output = result.ptr<double>(static_cast<int>(y));
    for (std::size_t k = 0; k < rows[y].weights.size(); ++k) {
      const double* input = image.ptr<double>(static_cast<int>(rows[y].first + static_cast<std::int64_t>(k)));
      for (int x = 0; x < image.cols; ++x) output[x] += rows[y].weights[k] * input[x];
    }
  }
  return result;
}

cv::Mat resample(const cv::Mat& image, const std::vector<Taps>& rows, const std::vector<Taps>& columns) {
  cv::Mat wide;
  image.convertTo(wide, CV_64F);
  return resample_rows(resample_columns(wide, rows),
                       columns);  // the pass along memory first: it leaves less to the other
}

void require_size(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px) {
  ensure(!image.empty() && height_px > 0 && width_px > 0, "resizing needs pixels on both sides");
  narrow<int>(checked_product({height_px, width_px}, "resized image"));
}

}  // namespace

std::int64_t scaled_length_px(std::int64_t length_px, double scale) {
  // A product that is a whole number but for rounding must not gain a pixel.
  const double exact = static_cast<double>(length_px) * scale;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(exact - 1e-9 * exact)));
}

cv::Mat resize_antialiased(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px) {
  ensure(image.type() == CV_32FC1, "resize_antialiased takes CV_32FC1");
  require_size(image, height_px, width_px);
  if (image.rows == height_px && image.cols == width_px) return image.clone();
  cv::Mat result;
  resample(image, bicubic_taps(image.rows, height_px), bicubic_taps(image.cols, width_px)).convertTo(result, CV_32F);
  return result;
}

cv::Mat resize_to_grey_levels(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px) {
  cv::Mat result = resize_antialiased(image, height_px, width_px);
  for (int y = 0; y < result.rows; ++y) {
    float* row = result.ptr<float>(y);
    for (int x = 0; x < result.cols; ++x) row[x] = std::floor(std::clamp(row[x], 0.0f, 255.0f) + 0.5f);
  }
  return result;
}

cv::Mat resize_mask(const cv::Mat& mask, std::int64_t height_px, std::int64_t width_px) {
  ensure(mask.type() == CV_8UC1, "resize_mask takes CV_8UC1");
  require_size(mask, height_px, width_px);
  const cv::Mat covered = (mask != 0) / 255;
  const cv::Mat share = resample(covered, area_taps(mask.rows, height_px), area_taps(mask.cols, width_px));
  return share >= 0.5 - 1e-9;
}

cv::Mat mirrored(const cv::Mat& image) {
  cv::Mat result;
  cv::flip(image, result, 1);
  return result;
}

cv::Mat placed_on_canvas(const cv::Mat& image, std::int64_t height_px, std::int64_t width_px, std::int64_t top_px,
                         std::int64_t left_px, double value) {
  ensure(image.channels() == 1, "placed_on_canvas takes one channel");
  cv::Mat canvas(narrow<int>(height_px), narrow<int>(width_px), image.type(), cv::Scalar(value));
  const std::int64_t top = std::clamp<std::int64_t>(top_px, 0, height_px);
  const std::int64_t left = std::clamp<std::int64_t>(left_px, 0, width_px);
  const std::int64_t bottom = std::clamp<std::int64_t>(top_px + image.rows, top, height_px);
  const std::int64_t right = std::clamp<std::int64_t>(left_px + image.cols, left, width_px);
  if (bottom == top || right == left) return canvas;
  const cv::Size visible(static_cast<int>(right - left), static_cast<int>(bottom - top));
  const cv::Rect from({static_cast<int>(left - left_px), static_cast<int>(top - top_px)}, visible);
  image(from).copyTo(canvas(cv::Rect({static_cast<int>(left), static_cast<int>(top)}, visible)));
  return canvas;
}

}  // namespace outsole::image
