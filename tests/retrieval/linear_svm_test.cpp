#include "retrieval/linear_svm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/errors.h"

namespace outsole::retrieval {
namespace {

struct Examples {
  at::Tensor features;
  std::vector<bool> is_true;
};

/// Some true examples among many others, overlapping; the first one is of the given kind.
Examples overlapping_examples(bool first_is_true) {
  at::manual_seed(9);
  constexpr std::int64_t kCount = 120;
  Examples examples{at::randn({kCount, 5}, at::kDouble) * 0.3, {}};
  for (std::int64_t i = 0; i < kCount; ++i) {
    examples.is_true.push_back((i % 6 == 0) == first_is_true);
    if (examples.is_true.back()) examples.features[i] += at::tensor({0.5, 0.3, 0.0, -0.2, 0.0}, at::kDouble);
  }
  return examples;
}

/// The Karush-Kuhn-Tucker conditions: sufficient, since the problem is convex.
void expect_optimal(const Examples& examples, const LinearSvm& svm, double cost) {
  constexpr double kTolerance = 1e-4;
  const at::Tensor weight = at::tensor(svm.weight, at::kDouble);
  at::Tensor from_dual = at::zeros_like(weight);
  double balance = 0;
  for (std::size_t i = 0; i < examples.is_true.size(); ++i) {
    const at::Tensor row = examples.features[static_cast<std::int64_t>(i)];
    const double z = examples.is_true[i] ? 1 : -1, dual = svm.dual[i];
    const double margin = z * (at::dot(weight, row).item<double>() + svm.bias);
    EXPECT_GE(dual, 0);
    EXPECT_LE(dual, cost * (1 + 1e-9));
    if (margin > 1 + kTolerance) {
      EXPECT_EQ(dual, 0) << i;
    }
    if (margin < 1 - kTolerance) {
      EXPECT_NEAR(dual, cost, 1e-9) << i;
    }
    from_dual += row * (dual * z);
    balance += dual * z;
  }
  EXPECT_LT((from_dual - weight).abs().max().item<double>(), 1e-9);
  EXPECT_NEAR(balance, 0, 1e-9);  // the bias is not regularized
}

TEST(LinearSvm, MeetsTheConditionsOfTheOptimum) {
  for (const bool first_is_true : {true, false}) {
    const Examples examples = overlapping_examples(first_is_true);
    for (const double cost : {0.01, 1.0, 30.0}) {
      const LinearSvm svm = train_linear_svm(examples.features, examples.is_true, cost);
      expect_optimal(examples, svm, cost);
      EXPECT_GT(svm.weight[0], 0) << "true examples have more of the first feature";
    }
  }
}

TEST(LinearSvm, NeedsExamplesOfBothKinds) {
  const at::Tensor features = at::randn({4, 2}, at::kDouble);
  EXPECT_THROW(train_linear_svm(features, std::vector<bool>(4, true), 1), DataError);
}

}  // namespace
}  // namespace outsole::retrieval
