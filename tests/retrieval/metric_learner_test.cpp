#include "retrieval/metric_learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace outsole::retrieval {
namespace {

constexpr std::int64_t kChannels = 5, kComponents = 3, kCells = 17;

/// A pair and a metric in double, whose margin is not kept.
struct Problem {
  LearningPairs::Columns pair;
  MetricTensors metric;
};

Problem random_problem() {
  at::manual_seed(13);
  const auto random = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  const at::Tensor x = random({kChannels, kCells});
  return {{x, x * 0.5 + random({kChannels, kCells})},
          {random({kComponents, kChannels}), random({kComponents, kChannels}), random({kComponents}) * 0.2,
           at::full({1}, 0.05, at::kDouble)}};
}

MetricTensors zeros_like(const MetricTensors& metric) {
  return {at::zeros_like(metric.mark), at::zeros_like(metric.exemplar), at::zeros_like(metric.weight),
          at::zeros_like(metric.bias)};
}

void expect_finite_differences(at::Tensor parameter, const at::Tensor& gradient, const std::function<double()>& loss) {
  constexpr double kStep = 1e-6;
  double* const values = parameter.data_ptr<double>();
  for (std::int64_t i = 0; i < parameter.numel(); ++i) {
    const double at = values[i];
    values[i] = at + kStep;
    const double above = loss();
    values[i] = at - kStep;
    const double below = loss();
    values[i] = at;
    EXPECT_NEAR(gradient.view({-1})[i].item<double>(), (above - below) / (2 * kStep), 1e-7) << i;
  }
}

TEST(PairGradients, AreThoseOfFiniteDifferencesForTrueAndWrongPairs) {
  for (const bool is_true : {true, false}) {
    const Problem problem = random_problem();
    const auto loss = [&] { return hinge_loss(problem.metric, problem.pair, is_true); };
    ASSERT_GT(loss(), 0.1);
    MetricTensors gradients = zeros_like(problem.metric);
    EXPECT_NEAR(add_pair_gradients(problem.metric, problem.pair, is_true, 0.25, gradients), 0.25 * loss(), 1e-12);
    expect_finite_differences(problem.metric.mark, gradients.mark * 4, loss);
    expect_finite_differences(problem.metric.exemplar, gradients.exemplar * 4, loss);
    expect_finite_differences(problem.metric.weight, gradients.weight * 4, loss);
    expect_finite_differences(problem.metric.bias, gradients.bias * 4, loss);
  }
}

TEST(PairGradients, VanishWhereTheMarginIsKept) {
  Problem problem = random_problem();
  problem.metric.bias.fill_(30);
  MetricTensors gradients = zeros_like(problem.metric);
  EXPECT_EQ(add_pair_gradients(problem.metric, problem.pair, true, 1, gradients), 0);
  EXPECT_EQ(gradients.mark.abs().max().item<double>(), 0);
  EXPECT_EQ(gradients.bias.item<double>(), 0);
}

}  // namespace
}  // namespace outsole::retrieval
