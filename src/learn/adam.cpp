#include "learn/adam.h"

#include <ATen/Parallel.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace outsole::learn {

namespace {

constexpr std::int64_t kGrain = std::int64_t{1} << 15;  // numbers that are worth a thread

/// A step's constants: the moments' bias corrections go into the step's size and the root's divisor.
struct StepConstants {
  double beta1, beta2, step_size, root_of_correction2, epsilon;
};

StepConstants constants_of(const AdamOptions& options, std::int64_t step, double share) {
  const auto t = static_cast<double>(step);
  return {options.beta1, options.beta2, share * options.learning_rate / (1 - std::pow(options.beta1, t)),
          std::sqrt(1 - std::pow(options.beta2, t)), options.epsilon};
}

template <typename Number>
void step_on_cpu(const StepConstants& constants, const at::Tensor& parameter, const at::Tensor& first,
                 const at::Tensor& second) {
  const auto beta1 = static_cast<Number>(constants.beta1), beta2 = static_cast<Number>(constants.beta2);
  const auto rest1 = static_cast<Number>(1 - constants.beta1), rest2 = static_cast<Number>(1 - constants.beta2);
  const auto step_size = static_cast<Number>(constants.step_size), epsilon = static_cast<Number>(constants.epsilon);
  const auto scale = static_cast<Number>(1 / constants.root_of_correction2);
  const Number* __restrict__ g = parameter.grad().data_ptr<Number>();
  Number* __restrict__ p = parameter.data_ptr<Number>();
  Number* __restrict__ m = first.data_ptr<Number>();
  Number* __restrict__ v = second.data_ptr<Number>();
  at::parallel_for(0, parameter.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      m[i] = beta1 * m[i] + rest1 * g[i];
      v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
      p[i] -= step_size * m[i] / (std::sqrt(v[i]) * scale + epsilon);
    }
  });
}

void step_anywhere(const StepConstants& constants, at::Tensor parameter, at::Tensor first, at::Tensor second) {
  const at::Tensor& gradient = parameter.grad();
  first.mul_(constants.beta1).add_(gradient, 1 - constants.beta1);
  second.mul_(constants.beta2).addcmul_(gradient, gradient, 1 - constants.beta2);
  parameter.addcdiv_(first, second.sqrt().div_(constants.root_of_correction2).add_(constants.epsilon),
                     -constants.step_size);
}

bool is_fused_on_gpu(const std::vector<at::Tensor>& parameters) {
  return !parameters.empty() && std::ranges::all_of(parameters, [](const at::Tensor& parameter) {
    return parameter.is_cuda() && parameter.scalar_type() == at::kFloat;
  });
}

}  // namespace

Adam::Adam(std::vector<at::Tensor> parameters, const AdamOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const at::Tensor& parameter : parameters_) {
    ensure(parameter.is_contiguous(), "Adam: a parameter that is not contiguous");
    state_.first_moments.push_back(at::zeros_like(parameter, at::TensorOptions().requires_grad(false)));
    state_.second_moments.push_back(at::zeros_like(parameter, at::TensorOptions().requires_grad(false)));
  }
}

void Adam::step(double share) {
  const c10::NoGradGuard no_gradients;
  const StepConstants constants = constants_of(options_, ++state_.steps, share);
  if (is_fused_on_gpu(parameters_)) return step_on_gpu(share);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor &parameter = parameters_[i], &first = state_.first_moments[i], &second = state_.second_moments[i];
    ensure(parameter.grad().defined() && parameter.grad().is_contiguous(),
           "Adam: a parameter without a plain gradient");
    if (parameter.is_cpu() && parameter.scalar_type() == at::kFloat) {
      step_on_cpu<float>(constants, parameter, first, second);
    } else if (parameter.is_cpu() && parameter.scalar_type() == at::kDouble) {
      step_on_cpu<double>(constants, parameter, first, second);
    } else {
      step_anywhere(constants, parameter, first, second);
    }
  }
}

/// All parameters in few launches; the step's number lies on the device, so that nobody waits for it.
void Adam::step_on_gpu(double share) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters_) {
    ensure(parameter.grad().defined() && parameter.grad().is_contiguous(),
           "Adam: a parameter without a plain gradient");
    gradients.push_back(parameter.grad());
  }
  if (!steps_on_gpu_.defined()) steps_on_gpu_ = at::full({}, 0.0, parameters_.front().options().requires_grad(false));
  steps_on_gpu_.fill_(state_.steps);
  at::_fused_adam_(parameters_, gradients, state_.first_moments, state_.second_moments, /*max_exp_avg_sqs=*/{},
                   std::vector<at::Tensor>(parameters_.size(), steps_on_gpu_), share * options_.learning_rate,
                   options_.beta1, options_.beta2, /*weight_decay=*/0, options_.epsilon, /*amsgrad=*/false,
                   /*maximize=*/false);
}

void Adam::restore(const State& state) {
  const c10::NoGradGuard no_gradients;
  ensure(state.first_moments.size() == parameters_.size() && state.second_moments.size() == parameters_.size(),
         "Adam: a state of another number of parameters");
  const auto copy = [](const at::Tensor& from, const at::Tensor& to) {
    ensure(from.sizes() == to.sizes() && from.scalar_type() == to.scalar_type(), "Adam: a moment of another shape");
    to.copy_(from);
  };
  state_.steps = state.steps;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    copy(state.first_moments[i], state_.first_moments[i]);
    copy(state.second_moments[i], state_.second_moments[i]);
  }
}

}  // namespace outsole::learn
