#pragma once
// First and second moments of what marks and exemplars show of the same places, in 64 bit.

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

namespace outsole::retrieval {

/// Sums over columns of both sides: x [C] of the mark, y [C] of the exemplar, a column a cell of a support.
struct FeatureMoments {
  double columns = 0;
  at::Tensor x, y;        // [C] float64
  at::Tensor xx, yy, xy;  // [C, C] float64: sums of x x^T, y y^T, x y^T

  /// Of no columns.
  explicit FeatureMoments(std::int64_t channels);

  std::int64_t channels() const { return x.size(0); }

  /// Adds the columns of `mark` and `exemplar` [C, n], float32.
  void add_columns(const at::Tensor& mark, const at::Tensor& exemplar);
  void add(const FeatureMoments& other);

  /// All numbers one after another, for other ranks.
  std::vector<double> packed() const;
  static FeatureMoments unpacked(std::span<const double> numbers, std::int64_t channels);
};

/// Means and covariances (divided by the number of columns).
struct FeatureStatistics {
  at::Tensor mark_mean, exemplar_mean;                      // [C]
  at::Tensor mark_covariance, exemplar_covariance, across;  // [C, C]; across: mark by exemplar
};

/// Throws Bug unless there are columns.
FeatureStatistics statistics_of(const FeatureMoments& moments);

}  // namespace outsole::retrieval
