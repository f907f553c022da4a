#include "wear/step_time.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "core/checked.h"
#include "core/clock.h"
#include "learn/gradient_sum.h"
#include "learn/precision.h"
#include "machine/device.h"
#include "machine/plan.h"
#include "wear/loss.h"

namespace outsole::wear {

namespace {

/// What a rank has of an image, as a whole one.
std::int64_t rank_height_px(const TrainOptions& options, const TrainPlan& plan) {
  return options.split_ranks == 1 ? plan.height_px : plan.slab_height_px;
}

/// The network of the plan, but with images small enough that a pair takes a few seconds at most.
NetworkShape shape_to_time(const TrainOptions& options, const TrainPlan& plan) {
  constexpr double kMostFlops = 1e11;
  NetworkShape shape = network_shape(options, rank_height_px(options, plan), plan.width_px);
  while (3 * WearNetwork(shape, options.seed).flops() > kMostFlops && std::min(shape.height_px, shape.width_px) >= 64) {
    shape.height_px /= 2;
    shape.width_px /= 2;
  }
  return shape;
}

std::unique_ptr<WearNetwork> network_on(const NetworkShape& shape, const TrainOptions& options) {
  auto network = std::make_unique<WearNetwork>(shape, options.seed);
  network->to(options.device);
  return network;
}

/// A network that learns from random pairs.
struct Steps {
  at::Device device;
  learn::Precision precision;
  bool recompute;
  double ssim_weight;
  std::unique_ptr<WearNetwork> network;
  learn::Adam adam;

  Steps(const NetworkShape& shape, const TrainOptions& options)
      : device(options.device),
        precision(options.precision),
        recompute(options.recompute),
        ssim_weight(options.ssim_weight),
        network(network_on(shape, options)),
        adam(network->parameters(), options.adam) {
    learn::allow_tf32(precision);
  }

  /// The images come from the host, as scans do.
  void backward(std::int64_t pairs) {
    const NetworkShape& shape = network->shape();
    const std::array sizes = {pairs, std::int64_t{1}, shape.height_px, shape.width_px};
    const at::Tensor x = at::rand(sizes).to(device), target = at::rand(sizes).to(device), known = at::ones_like(x);
    const at::Tensor times = at::rand({pairs, time_inputs(shape.task)}).to(device);
    const auto known_pixels = static_cast<double>(target.numel());
    const auto loss_of = [&](const at::Tensor& predicted) {
      return training_loss(predicted, target, known, known_pixels, ssim_weight).lessened;
    };
    if (recompute) return network->add_gradients_recomputing(x, times, nullptr, loss_of);
    loss_of(answer(x, times)).backward();
  }

  at::Tensor answer(const at::Tensor& x, const at::Tensor& times) {
    const learn::MixedPrecision mixed(precision);
    return network->forward(x, times).to(at::kFloat);
  }

  void alone(std::int64_t pairs) {
    network->zero_grad(/*set_to_none=*/false);
    backward(pairs);
    adam.step();
    machine::wait_for(device);
  }
};

}  // namespace

StepTime measure_step(const TrainOptions& options, const TrainPlan& plan, const comm::Communicator& comm) {
  constexpr double kPatience_s = 4;  // before the last size
  constexpr int kRepeats = 5;
  const std::int64_t batch = std::min(options.batch, plan.training_pairs), share = plan.rank_pairs;
  const NetworkShape shape = shape_to_time(options, plan);
  Steps steps(shape, options);
  const NetworkShape whole = network_shape(options, rank_height_px(options, plan), plan.width_px);
  const double proportion = whole == shape ? 1 : WearNetwork(whole, options.seed).flops() / steps.network->flops();
  const double pair_bytes = static_cast<double>(plan.pair_memory_bytes) / proportion;
  const double free_bytes =
      static_cast<double>(options.memory_bytes - plan.memory_bytes + share * plan.pair_memory_bytes);
  std::set<std::int64_t> sizes = {share, batch};
  for (std::int64_t pairs = 1; pairs < batch; pairs *= 2) sizes.insert(pairs);
  StepTime time;
  const double start = now_s();
  for (const std::int64_t pairs : sizes) {
    if (pairs > 1 && (pair_bytes * static_cast<double>(pairs) > free_bytes || comm.max(now_s() - start) > kPatience_s))
      break;
    time.share_s[pairs] = proportion * machine::measured_seconds(comm, kRepeats, [&] { steps.alone(pairs); });
  }
  if (comm.size() == 1) return time;
  const std::int64_t timed = time.share_s.contains(share) ? share : time.share_s.rbegin()->first;
  learn::GradientSum sum(steps.network->parameters(), comm);
  const double summing_s = machine::measured_seconds(comm, kRepeats, [&] {
    sum.zero();
    steps.backward(timed);
    sum.finish();
    steps.adam.step();
    machine::wait_for(steps.device);
  });
  constexpr double kLeast_s = 1e-6;
  const double more_s = std::max(kLeast_s, summing_s - time.share_s[timed] / proportion);
  const double others = 1 - 1.0 / comm.size();
  time.sum_bytes_s = 2 * others * static_cast<double>(weight_count(shape)) * sizeof(float) / more_s;
  return time;
}

}  // namespace outsole::wear
