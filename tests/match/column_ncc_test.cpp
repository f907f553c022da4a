#include "match/column_ncc.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace outsole::match {
namespace {

/// The definition, in double.
double naive_ncc(const at::Tensor& x, const at::Tensor& y) {
  const auto a = x.accessor<double, 1>(), b = y.accessor<double, 1>();
  const auto n = static_cast<double>(a.size(0));
  double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    mean_x += a[i] / n;
    mean_y += b[i] / n;
  }
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    xx += (a[i] - mean_x) * (a[i] - mean_x) / n;
    yy += (b[i] - mean_y) * (b[i] - mean_y) / n;
    xy += (a[i] - mean_x) * (b[i] - mean_y) / n;
  }
  return xy / std::sqrt(xx * yy);
}

struct Sides {
  at::Tensor x, y, flat_std;
};

Sides random_sides() {
  at::manual_seed(3);
  const at::Tensor x = at::randn({5, 23}, at::kDouble), y = x * 0.6 + at::randn({5, 23}, at::kDouble) + 2;
  return {x, y, at::full({5}, 1e-5, at::kDouble)};
}

TEST(ColumnNcc, IsTheDefinition) {
  const Sides s = random_sides();
  const at::Tensor ncc = correlate_columns(s.x, s.y, s.flat_std).ncc;
  for (std::int64_t k = 0; k < 5; ++k) EXPECT_NEAR(ncc[k].item<double>(), naive_ncc(s.x[k], s.y[k]), 1e-12);
}

TEST(ColumnNcc, AChannelThatIsFlatOnEitherSideAddsNothingAndTakesNoGradient) {
  Sides s = random_sides();
  s.x[1].fill_(0.7);
  s.y[3].fill_(-2);
  const ColumnNcc forward = correlate_columns(s.x, s.y, s.flat_std);
  const ColumnGradients back = back_from_ncc(forward, at::ones({5}, at::kDouble));
  for (const std::int64_t flat : {1, 3}) {
    EXPECT_EQ(forward.ncc[flat].item<double>(), 0);
    EXPECT_EQ(back.x[flat].abs().max().item<double>(), 0);
    EXPECT_EQ(back.y[flat].abs().max().item<double>(), 0);
  }
  EXPECT_TRUE(at::isfinite(back.x).all().item<bool>());
}

/// By central differences, each element of `values` in its turn.
at::Tensor finite_differences(at::Tensor values, const std::function<double()>& value) {
  constexpr double kStep = 1e-6;
  at::Tensor gradient = at::zeros_like(values);
  double* const v = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    const double at = v[i];
    v[i] = at + kStep;
    const double above = value();
    v[i] = at - kStep;
    const double below = value();
    v[i] = at;
    gradient.data_ptr<double>()[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

TEST(ColumnNcc, GradientsAreThoseOfFiniteDifferences) {
  const Sides s = random_sides();
  const at::Tensor gain = at::randn({5}, at::kDouble);
  const auto value = [&] { return (correlate_columns(s.x, s.y, s.flat_std).ncc * gain).sum().item<double>(); };
  const ColumnGradients back = back_from_ncc(correlate_columns(s.x, s.y, s.flat_std), gain);
  EXPECT_LT((back.x - finite_differences(s.x, value)).abs().max().item<double>(), 1e-8);
  EXPECT_LT((back.y - finite_differences(s.y, value)).abs().max().item<double>(), 1e-8);
}

TEST(ColumnNcc, AStepAlongTheGradientRaisesTheScore) {
  const Sides s = random_sides();
  const ColumnNcc forward = correlate_columns(s.x, s.y, s.flat_std);
  const ColumnGradients back = back_from_ncc(forward, at::ones({5}, at::kDouble));
  const at::Tensor moved = correlate_columns(s.x + 0.1 * back.x, s.y, s.flat_std).ncc;
  EXPECT_GT(moved.sum().item<double>(), forward.ncc.sum().item<double>());
}

}  // namespace
}  // namespace outsole::match
