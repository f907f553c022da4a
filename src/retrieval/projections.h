#pragma once
// Projections of both sides' features to components that can be compared: x^ = U (x - mu_x), y^ = V (y - mu_y).

#include <ATen/ATen.h>

#include <cstdint>

#include "retrieval/feature_moments.h"

namespace outsole::retrieval {

/// Rows are components, of unit variance over the columns they were found from.
struct Projections {
  at::Tensor mark, exemplar;            // U, V [K, C] float64
  at::Tensor mark_mean, exemplar_mean;  // mu_x, mu_y [C]
  at::Tensor correlation;               // [K]: of the components across the sides, falling
};

/// Both find K <= C components. `ridge` times a side's mean variance is added to every channel's variance before its
/// covariance is inverted: components of little variance, which few columns cannot tell from noise, are then not blown
/// up; rows are scaled to unit variance afterwards all the same. With a ridge of 0 a singular covariance is a
/// DataError.

/// Whitening of each side by its own principal components; no pairing is used. The exemplars' components, of which any
/// turn is as white, are turned so that each is as nearly as can be made of the same channels as the marks'.
Projections whitening_projections(const FeatureStatistics& statistics, std::int64_t components, double ridge);

/// Canonical correlation analysis (Hotelling 1936): the components of highest correlation across the sides, each
/// uncorrelated with the others.
Projections canonical_projections(const FeatureStatistics& statistics, std::int64_t components, double ridge);

}  // namespace outsole::retrieval
