#include "retrieval/projections.h"

#include <gtest/gtest.h>

#include "../message_of.h"
#include "core/errors.h"

namespace outsole::retrieval {
namespace {

constexpr std::int64_t kProjected = 6, kColumns = 4000;

/// Columns of two sides that share three hidden signals, with correlations falling from one to the next, mixed by
/// matrices that differ between the sides.
struct TwoSides {
  at::Tensor x, y;
  explicit TwoSides(std::int64_t columns = kColumns) {
    at::manual_seed(5);
    const at::Tensor shared = at::randn({3, columns});
    const at::Tensor gain = at::tensor({3.0F, 1.0F, 0.4F}).unsqueeze(1);
    const at::Tensor hidden_x = at::cat({shared * gain + at::randn({3, columns}), at::randn({3, columns})});
    const at::Tensor hidden_y = at::cat({shared * gain + at::randn({3, columns}), at::randn({3, columns})});
    x = at::mm(at::randn({kProjected, kProjected}), hidden_x) + 3;
    y = at::mm(at::randn({kProjected, kProjected}), hidden_y) - 1;
  }
  FeatureMoments moments() const {
    FeatureMoments moments(kProjected);
    moments.add_columns(x, y);
    return moments;
  }
};

at::Tensor centred(const at::Tensor& values) { return values - values.mean(1, true); }

/// Covariance of projected columns, by the definition.
at::Tensor covariance(const at::Tensor& a, const at::Tensor& b) {
  return at::mm(centred(a), centred(b).t()) / static_cast<double>(a.size(1));
}

double largest(const at::Tensor& values) { return values.abs().max().item<double>(); }

TEST(FeatureMoments, GiveMeansAndCovariances) {
  const TwoSides sides(50);
  FeatureMoments moments(kProjected);
  moments.add_columns(sides.x.slice(1, 0, 20), sides.y.slice(1, 0, 20));
  FeatureMoments rest(kProjected);
  rest.add_columns(sides.x.slice(1, 20), sides.y.slice(1, 20));
  moments.add(FeatureMoments::unpacked(rest.packed(), kProjected));
  const FeatureStatistics statistics = statistics_of(moments);
  const at::Tensor x = sides.x.to(at::kDouble), y = sides.y.to(at::kDouble);
  EXPECT_LT(largest(statistics.mark_mean - x.mean(1)), 1e-12);
  EXPECT_LT(largest(statistics.exemplar_mean - y.mean(1)), 1e-12);
  EXPECT_LT(largest(statistics.mark_covariance - covariance(x, x)), 1e-11);
  EXPECT_LT(largest(statistics.exemplar_covariance - covariance(y, y)), 1e-11);
  EXPECT_LT(largest(statistics.across - covariance(x, y)), 1e-11);
}

TEST(WhiteningProjections, GiveUncorrelatedComponentsOfUnitVarianceOnBothSides) {
  const TwoSides sides;
  const Projections found = whitening_projections(statistics_of(sides.moments()), kProjected, 0);
  const at::Tensor u = at::mm(found.mark, sides.x.to(at::kDouble)), v = at::mm(found.exemplar, sides.y.to(at::kDouble));
  const at::Tensor one = at::eye(kProjected, at::kDouble);
  EXPECT_LT(largest(covariance(u, u) - one), 1e-9);
  EXPECT_LT(largest(covariance(v, v) - one), 1e-9);
}

TEST(WhiteningProjections, OfTheSameFeaturesAreTheSameOnBothSides) {
  const TwoSides sides;
  FeatureMoments moments(kProjected);
  moments.add_columns(sides.x, sides.x);
  const Projections found = whitening_projections(statistics_of(moments), 4, 0);
  EXPECT_LT(largest(found.mark - found.exemplar), 1e-9);
}

TEST(CanonicalProjections, FindTheCorrelationsThatWerePutIn) {
  const TwoSides sides;
  const Projections found = canonical_projections(statistics_of(sides.moments()), kProjected, 0);
  // Of s g + e and s g + e' with independent s, e, e' of unit variance: g^2 / (g^2 + 1).
  const double expected[] = {0.9, 0.5, 0.16 / 1.16, 0, 0, 0};
  for (std::int64_t k = 0; k < kProjected; ++k) {
    EXPECT_NEAR(found.correlation[k].item<double>(), expected[k], 0.05) << k;
  }
  const at::Tensor u = at::mm(found.mark, sides.x.to(at::kDouble)), v = at::mm(found.exemplar, sides.y.to(at::kDouble));
  const at::Tensor one = at::eye(kProjected, at::kDouble);
  EXPECT_LT(largest(covariance(u, u) - one), 1e-9);
  EXPECT_LT(largest(covariance(v, v) - one), 1e-9);
  EXPECT_LT(largest(covariance(u, v) - at::diag(found.correlation)), 1e-9);
}

TEST(CanonicalProjections, FewerComponentsAreTheFirstOfAll) {
  const TwoSides sides;
  const FeatureStatistics statistics = statistics_of(sides.moments());
  const Projections all = canonical_projections(statistics, kProjected, 1e-3);
  const Projections some = canonical_projections(statistics, 2, 1e-3);
  EXPECT_LT(largest(some.mark - all.mark.slice(0, 0, 2)), 1e-12);
  EXPECT_LT(largest(some.exemplar - all.exemplar.slice(0, 0, 2)), 1e-12);
}

TEST(Projections, ASingularCovarianceNeedsARidge) {
  const TwoSides sides(4);  // fewer columns than channels
  const FeatureStatistics statistics = statistics_of(sides.moments());
  EXPECT_NE(outsole::testing::message_of<DataError>([&] { canonical_projections(statistics, 2, 0); }).find("ridge"),
            std::string::npos);
  const Projections found = canonical_projections(statistics, 2, 1e-2);
  EXPECT_TRUE(at::isfinite(found.mark).all().item<bool>());
  EXPECT_LE(found.correlation.max().item<double>(), 1 + 1e-9);
}

}  // namespace
}  // namespace outsole::retrieval
