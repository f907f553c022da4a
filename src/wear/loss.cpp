#include "wear/loss.h"

#include <ATen/ATen.h>

namespace outsole::wear {

namespace {

constexpr std::int64_t kReach = 5;  // of a window of 11 x 11
constexpr double kSigma = 1.5;

/// Sums under the window around every pixel: images [N, 1, H, W].
at::Tensor window_mean(const at::Tensor& images) {
  at::Tensor weights = at::arange(-kReach, kReach + 1, images.options());
  weights = (weights.square() / (-2 * kSigma * kSigma)).exp();
  weights = weights / weights.sum();
  const at::Tensor mirrored = at::reflection_pad2d(images, {kReach, kReach, kReach, kReach});
  return at::conv2d(at::conv2d(mirrored, weights.view({1, 1, -1, 1})), weights.view({1, 1, 1, -1}));
}

}  // namespace

torch::Tensor squared_error(const torch::Tensor& predicted, const torch::Tensor& target, const torch::Tensor& known,
                            double known_pixels) {
  return (known * (predicted - target).square()).sum() / known_pixels;
}

torch::Tensor structural_dissimilarity(const torch::Tensor& predicted, const torch::Tensor& target,
                                       const torch::Tensor& known, double known_pixels) {
  constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;
  const auto seen = [&](const at::Tensor& image) { return known * (image - 1) + 1; };  // paper is 1
  const at::Tensor x = seen(predicted), y = seen(target);
  const at::Tensor mean_x = window_mean(x), mean_y = window_mean(y);
  const at::Tensor mean_square = mean_x.square() + mean_y.square(), mean_product = mean_x * mean_y;
  const at::Tensor variances = window_mean(x.square() + y.square()) - mean_square;
  const at::Tensor covariance = window_mean(x * y) - mean_product;
  const at::Tensor similarity =
      (2 * mean_product + kC1) * (2 * covariance + kC2) / ((mean_square + kC1) * (variances + kC2));
  return (known * (1 - similarity)).sum() / known_pixels;
}

}  // namespace outsole::wear
