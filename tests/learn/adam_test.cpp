#include "learn/adam.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <cmath>

#include "core/errors.h"

namespace outsole::learn {
namespace {

constexpr std::int64_t kNumbers = 100'003;  // more than one thread takes at a time, and no multiple of anything
constexpr int kStepsTaken = 5;

at::Tensor gradient_of(int step, at::ScalarType type) {
  torch::manual_seed(static_cast<std::uint64_t>(100 + step));
  return at::randn({kNumbers}, at::kDouble).mul_(std::pow(10, step)).to(type);
}

at::Tensor start(at::ScalarType type) {
  torch::manual_seed(1);
  return at::randn({kNumbers}, at::kDouble).to(type);
}

/// Algorithm 1 of Kingma and Ba, number by number.
std::vector<double> naive_adam(const AdamOptions& options, at::ScalarType type) {
  const at::Tensor begin = start(type).to(at::kDouble);
  std::vector<double> parameter(begin.data_ptr<double>(), begin.data_ptr<double>() + kNumbers), m(kNumbers),
      v(kNumbers);
  for (int t = 1; t <= kStepsTaken; ++t) {
    const at::Tensor gradient = gradient_of(t, type).to(at::kDouble);
    for (std::size_t i = 0; i < parameter.size(); ++i) {
      const double g = gradient.data_ptr<double>()[i];
      m[i] = options.beta1 * m[i] + (1 - options.beta1) * g;
      v[i] = options.beta2 * v[i] + (1 - options.beta2) * g * g;
      const double corrected_m = m[i] / (1 - std::pow(options.beta1, t));
      const double corrected_v = v[i] / (1 - std::pow(options.beta2, t));
      parameter[i] -= options.learning_rate * corrected_m / (std::sqrt(corrected_v) + options.epsilon);
    }
  }
  return parameter;
}

void take_steps(Adam& adam, at::Tensor parameter, int first, int last) {
  for (int step = first; step <= last; ++step) {
    parameter.mutable_grad() = gradient_of(step, parameter.scalar_type());
    adam.step();
  }
}

at::Tensor after_all_steps(const AdamOptions& options, at::ScalarType type) {
  const at::Tensor parameter = start(type).requires_grad_();
  Adam adam({parameter}, options);
  take_steps(adam, parameter, 1, kStepsTaken);
  return parameter.detach();
}

TEST(Adam, IsAlgorithmOneInEveryPrecision) {
  const AdamOptions options{.learning_rate = 0.1, .epsilon = 1e-3};
  // bfloat16 takes the way of other devices, in ATen's operations; its numbers have 8 bits.
  for (const auto& [type, tolerance] :
       {std::pair{at::kDouble, 1e-14}, std::pair{at::kFloat, 2e-6}, std::pair{at::kBFloat16, 0.1}}) {
    const at::Tensor ours = after_all_steps(options, type).to(at::kDouble);
    const std::vector<double> expected = naive_adam(options, type);
    double largest = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(ours.data_ptr<double>()[i] - expected[i]));
    }
    EXPECT_LE(largest, tolerance) << type;
  }
}

TEST(Adam, TheNumberOfThreadsDoesNotChangeABit) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = after_all_steps({}, at::kFloat);
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(after_all_steps({}, at::kFloat), one));
  at::set_num_threads(threads);
}

TEST(Adam, CarriesOnFromASavedStateBitForBit) {
  const at::Tensor parameter = start(at::kFloat).requires_grad_();
  Adam adam({parameter}, {});
  take_steps(adam, parameter, 1, 2);

  const at::Tensor resumed = parameter.detach().clone().requires_grad_();
  Adam other({resumed}, {});
  other.restore(adam.state());
  EXPECT_EQ(other.state().steps, 2);
  take_steps(other, resumed, 3, kStepsTaken);
  EXPECT_TRUE(at::equal(resumed, after_all_steps({}, at::kFloat)));
}

TEST(Adam, RefusesAStateOfOtherParametersAndAParameterWithoutGradient) {
  Adam small({at::zeros({3})}, {}), large({at::zeros({4})}, {}), two({at::zeros({3}), at::zeros({3})}, {});
  EXPECT_THROW(small.restore(large.state()), Bug);
  EXPECT_THROW(small.restore(two.state()), Bug);
  EXPECT_THROW(small.step(), Bug);
}

}  // namespace
}  // namespace outsole::learn
