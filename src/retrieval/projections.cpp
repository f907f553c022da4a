#include "retrieval/projections.h"

#include <tuple>

#include "core/errors.h"

namespace outsole::retrieval {

namespace {

/// Principal components of a side, by falling variance.
struct Principal {
  at::Tensor variance;    // [C]
  at::Tensor directions;  // [C, C], a row each
};

Principal principal_components(const at::Tensor& covariance, double ridge, const char* side) {
  const at::Tensor mean_variance = covariance.diagonal().mean();
  const at::Tensor regular = covariance + at::eye(covariance.size(0), covariance.options()) * (mean_variance * ridge);
  const auto [values, vectors] = at::linalg_eigh((regular + regular.t()) / 2);
  Principal principal = {values.flip(0), vectors.t().flip(0).contiguous()};
  constexpr double kSingular = 1e-12;
  if (!(principal.variance.min() > principal.variance.max() * kSingular).item<bool>()) {
    throw DataError(std::string("the features of the ") + side +
                    " do not span all channels, so they cannot be whitened: learn from more marks, or give a larger "
                    "`ridge`");
  }
  return principal;
}

at::Tensor whitening(const Principal& principal, std::int64_t components) {
  return (principal.directions * principal.variance.rsqrt().unsqueeze(1)).slice(0, 0, components);
}

/// Rows of unit variance.
at::Tensor to_unit_variance(const at::Tensor& rows, const at::Tensor& covariance) {
  const at::Tensor variance = (at::mm(rows, covariance) * rows).sum(1, true);
  return rows * variance.rsqrt();
}

/// Rows are found but for their sign: the largest entry of each of the mark's is made positive.
at::Tensor signs_of(const at::Tensor& rows) {
  const at::Tensor largest = rows.gather(1, rows.abs().argmax(1, true));
  return at::where(largest < 0, -at::ones_like(largest), at::ones_like(largest));
}

Projections finished(const FeatureStatistics& statistics, at::Tensor mark, at::Tensor exemplar) {
  const at::Tensor signs = signs_of(mark);
  Projections projections;
  projections.mark = to_unit_variance(mark * signs, statistics.mark_covariance).contiguous();
  projections.exemplar = to_unit_variance(exemplar * signs, statistics.exemplar_covariance).contiguous();
  projections.mark_mean = statistics.mark_mean;
  projections.exemplar_mean = statistics.exemplar_mean;
  projections.correlation = (at::mm(projections.mark, statistics.across) * projections.exemplar).sum(1);
  return projections;
}

}  // namespace

Projections whitening_projections(const FeatureStatistics& statistics, std::int64_t components, double ridge) {
  const at::Tensor mark = whitening(principal_components(statistics.mark_covariance, ridge, "marks"), components);
  const at::Tensor exemplar =
      whitening(principal_components(statistics.exemplar_covariance, ridge, "exemplars"), components);
  // The orthogonal R for which R V is nearest to U (Procrustes).
  const auto [left, values, right] = at::linalg_svd(at::mm(mark, exemplar.t()), /*full_matrices=*/false);
  return finished(statistics, mark, at::mm(at::mm(left, right), exemplar));
}

Projections canonical_projections(const FeatureStatistics& statistics, std::int64_t components, double ridge) {
  const std::int64_t channels = statistics.mark_mean.size(0);
  const at::Tensor mark = whitening(principal_components(statistics.mark_covariance, ridge, "marks"), channels);
  const at::Tensor exemplar =
      whitening(principal_components(statistics.exemplar_covariance, ridge, "exemplars"), channels);
  const at::Tensor across = at::mm(at::mm(mark, statistics.across), exemplar.t());
  const auto [left, correlation, right] = at::linalg_svd(across, /*full_matrices=*/false);
  return finished(statistics, at::mm(left.t(), mark).slice(0, 0, components),
                  at::mm(right, exemplar).slice(0, 0, components));
}

}  // namespace outsole::retrieval
