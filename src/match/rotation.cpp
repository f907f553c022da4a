#include "match/rotation.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "core/errors.h"

namespace outsole::match {
namespace {

struct Point {
  double y = 0, x = 0;
};

/// Takes a pixel of the turned image back to where it comes from.
class TurnBack {
 public:
  TurnBack(double angle_deg, std::int64_t height, std::int64_t width)
      : cos_(std::cos(angle_deg * std::numbers::pi / 180)),
        sin_(std::sin(angle_deg * std::numbers::pi / 180)),
        center_{static_cast<double>(height - 1) / 2, static_cast<double>(width - 1) / 2} {}

  Point operator()(std::int64_t row, std::int64_t column) const {
    const double y = static_cast<double>(row) - center_.y, x = static_cast<double>(column) - center_.x;
    return {center_.y + y * cos_ + x * sin_, center_.x + x * cos_ - y * sin_};
  }

 private:
  double cos_, sin_;
  Point center_;
};

/// Weights of the four samples at -1, 0, 1, 2 for a point `t` in [0, 1) after sample 0: Keys' cubic convolution, a =
/// -1/2 (Keys: Cubic convolution interpolation for digital image processing, 1981).
std::array<double, 4> cubic_weights(double t) {
  const double s = 1 - t;
  return {-0.5 * t * s * s, 1 - t * t * (2.5 - 1.5 * t), 1 - s * s * (2.5 - 1.5 * s), -0.5 * s * t * t};
}

double interpolated(const at::TensorAccessor<float, 2>& image, const Point& point, double fill) {
  const double top = std::floor(point.y), left = std::floor(point.x);
  const std::array<double, 4> weights_y = cubic_weights(point.y - top), weights_x = cubic_weights(point.x - left);
  const auto first_row = static_cast<std::int64_t>(top) - 1, first_column = static_cast<std::int64_t>(left) - 1;
  double value = 0;
  for (std::int64_t i = 0; i < 4; ++i) {
    double row_value = 0;
    for (std::int64_t j = 0; j < 4; ++j) {
      const std::int64_t row = first_row + i, column = first_column + j;
      const bool inside = row >= 0 && row < image.size(0) && column >= 0 && column < image.size(1);
      row_value += weights_x[j] * (inside ? image[row][column] : fill);
    }
    value += weights_y[i] * row_value;
  }
  return value;
}

}  // namespace

at::Tensor rotate_image(const at::Tensor& image, double angle_deg, float fill) {
  ensure(image.dim() == 2 && image.scalar_type() == at::kFloat && image.is_cpu(),
         "the image is [H, W] float32 on the CPU");
  if (angle_deg == 0) return image.clone();
  at::Tensor turned = at::empty(image.sizes(), image.options());
  const auto source = image.accessor<float, 2>();
  auto target = turned.accessor<float, 2>();
  const TurnBack turn_back(angle_deg, image.size(0), image.size(1));
#pragma omp parallel for
  for (std::int64_t row = 0; row < source.size(0); ++row) {
    for (std::int64_t column = 0; column < source.size(1); ++column) {
      target[row][column] = static_cast<float>(interpolated(source, turn_back(row, column), fill));
    }
  }
  return turned;
}

at::Tensor rotate_mask(const at::Tensor& mask, double angle_deg) {
  ensure(mask.dim() == 2 && mask.scalar_type() == at::kBool && mask.is_cpu(), "the mask is [H, W] bool on the CPU");
  if (angle_deg == 0) return mask.clone();
  at::Tensor turned = at::empty(mask.sizes(), mask.options());
  const auto source = mask.accessor<bool, 2>();
  auto target = turned.accessor<bool, 2>();
  const TurnBack turn_back(angle_deg, mask.size(0), mask.size(1));
#pragma omp parallel for
  for (std::int64_t row = 0; row < source.size(0); ++row) {
    for (std::int64_t column = 0; column < source.size(1); ++column) {
      const Point from = turn_back(row, column);
      const auto y = static_cast<std::int64_t>(std::floor(from.y + 0.5)),
                 x = static_cast<std::int64_t>(std::floor(from.x + 0.5));
      const bool inside = y >= 0 && y < source.size(0) && x >= 0 && x < source.size(1);
      target[row][column] = inside && source[y][x];
    }
  }
  return turned;
}

}  // namespace outsole::match
