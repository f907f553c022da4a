// A step of training the paper's network, as a run does it, against a plain LibTorch loop. Both take their images from
// pinned memory, in 8 bit, and nobody waits within a round. The plain loop lets cuDNN try its algorithms; a run, which
// is reproducible, does not: so it is measured both ways. "innermost": images whose channels lie innermost in memory.

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/clock.h"
#include "device_benchmark.h"
#include "learn/adam.h"
#include "learn/determinism.h"
#include "learn/gradient_sum.h"
#include "learn/pending_number.h"
#include "learn/precision.h"
#include "stock_network.h"
#include "wear/loss.h"
#include "wear/network.h"
#include "wear/scan_batch.h"
#include "wear/step_memory.h"

namespace outsole::benchmarks {

namespace {

using learn::Precision;

struct Problem {
  wear::NetworkShape shape;
  std::int64_t batch = 1;
  std::string name() const {
    return std::to_string(shape.height_px) + "x" + std::to_string(shape.width_px) + " batch " + std::to_string(batch);
  }
};

/// Inputs, then targets, on the host, and the times between them.
struct HostBatch {
  wear::ByteBatch scans;
  at::Tensor times;
};

HostBatch random_batch(const Problem& problem, const at::Device& device) {
  const wear::NetworkShape& shape = problem.shape;
  HostBatch batch{wear::new_byte_batch(2 * problem.batch, shape.height_px, shape.width_px, device),
                  at::rand({problem.batch, wear::time_inputs(shape.task)})};
  batch.scans.grey.random_(0, 256);
  batch.scans.known.fill_(1);
  return batch;
}

double known_pixels(const HostBatch& batch) { return static_cast<double>(batch.scans.known.numel()) / 2; }

/// How a run computes, or a plain loop.
struct Way {
  std::string name;
  bool tries_algorithms = false;  // else reproducible
  bool innermost = false;
  bool recomputes = false;
  bool is_plain = false;
};

std::vector<Way> ways_of(const Problem& problem, Precision precision) {
  const bool is_large = problem.batch == 1;
  std::vector<Way> ways = {{.name = "plain loop", .tries_algorithms = true, .is_plain = true},
                           {.name = "outsole"},
                           {.name = "outsole, innermost", .innermost = true},
                           {.name = "outsole, fastest algorithms", .tries_algorithms = true},
                           {.name = "outsole, fastest, innermost", .tries_algorithms = true, .innermost = true}};
  if (is_large && precision != Precision::kBf16) ways.push_back({.name = "outsole --recompute", .recomputes = true});
  return ways;
}

void set_up(const Way& way, const at::Device& device) {
  learn::require_determinism(device);
  if (!way.tries_algorithms) return;
  at::globalContext().setDeterministicAlgorithms(false, false);
  at::globalContext().setDeterministicCuDNN(false);
  at::globalContext().setBenchmarkCuDNN(true);
}

/// As wear::Learner and learn::run do it.
class Run {
 public:
  Run(const Problem& problem, Precision precision, const Way& way, const HostBatch& batch, const at::Device& device)
      : precision_(precision),
        way_(way),
        device_(device),
        network_(std::make_shared<wear::WearNetwork>(problem.shape, 1)),
        batch_(batch) {
    network_->to(device);
    sum_.emplace(network_->parameters(), comm_);
    adam_.emplace(network_->parameters(), learn::AdamOptions());
  }

  void step() {
    sum_->zero();
    const wear::ScanBatch scans = wear::on_device(batch_.scans, device_);
    at::Tensor x = scans.grey.chunk(2)[0];
    if (way_.innermost) x = wear::channels_innermost(x);
    const at::Tensor times = wear::on_device(batch_.times, device_);
    const auto loss_of = [&](const at::Tensor& predicted) {
      const wear::Loss loss = wear::training_loss(predicted, scans.grey.chunk(2)[1], scans.known.chunk(2)[1],
                                                  known_pixels(batch_), 0, nullptr);
      loss_ = learn::PendingNumber(loss.squared_error);
      return loss.lessened;
    };
    if (way_.recomputes) {
      network_->add_gradients_recomputing(x, times, nullptr, loss_of);
    } else {
      loss_of(answer(x, times)).backward();
    }
    sum_->finish();
    adam_->step();
  }

  double loss() const { return loss_.value(); }

 private:
  at::Tensor answer(const at::Tensor& x, const at::Tensor& times) {
    const learn::MixedPrecision mixed(precision_);
    return network_->forward(x, times).to(at::kFloat);
  }

  const comm::Communicator comm_;
  Precision precision_;
  Way way_;
  at::Device device_;
  std::shared_ptr<wear::WearNetwork> network_;
  const HostBatch& batch_;
  std::optional<learn::GradientSum> sum_;
  std::optional<learn::Adam> adam_;
  learn::PendingNumber loss_ = 0;
};

/// As anyone would write it.
class PlainLoop {
 public:
  PlainLoop(const Problem& problem, Precision precision, const HostBatch& batch, const at::Device& device)
      : precision_(precision), device_(device), network_(std::make_shared<StockNetwork>(problem.shape)), batch_(batch) {
    network_->to(device);
    adam_ = std::make_unique<torch::optim::Adam>(network_->parameters(), torch::optim::AdamOptions(1e-5));
  }

  void step() {
    const at::Tensor grey = batch_.scans.grey.to(device_, at::kByte, /*non_blocking=*/true).to(at::kFloat) / 255;
    const at::Tensor known = batch_.scans.known.to(device_, at::kByte, /*non_blocking=*/true).to(at::kFloat);
    const at::Tensor times = batch_.times.to(device_);
    adam_->zero_grad();
    at::Tensor predicted;
    {
      const learn::MixedPrecision mixed(precision_);
      predicted = network_->forward(padded(grey.chunk(2)[0]), times);
    }
    const at::Tensor target = grey.chunk(2)[1];
    const at::Tensor difference =
        predicted.slice(2, 0, target.size(2)).slice(3, 0, target.size(3)).to(at::kFloat) - target;
    loss_ = (known.chunk(2)[1] * difference.square()).sum() / known_pixels(batch_);
    loss_.backward();
    adam_->step();
  }

  double loss() const { return loss_.item<double>(); }

 private:
  static at::Tensor padded(const at::Tensor& x) {
    const auto more = [&](std::int64_t axis) {
      return (wear::kSizeStep - x.size(axis) % wear::kSizeStep) % wear::kSizeStep;
    };
    return more(2) + more(3) == 0 ? x : at::constant_pad_nd(x, {0, more(3), 0, more(2)}, 1);
  }

  Precision precision_;
  at::Device device_;
  std::shared_ptr<StockNetwork> network_;
  const HostBatch& batch_;
  std::unique_ptr<torch::optim::Adam> adam_;
  at::Tensor loss_;
};

struct Outcome {
  double step_s = 0, loss = 0;
  DeviceMemory memory;
};

template <typename Trained>
Outcome measured(Trained& trained, const at::Device& device) {
  Outcome outcome;
  trained.step();
  outcome.loss = trained.loss();  // of the first weights
  outcome.step_s = seconds_of([&] { trained.step(); }, device, device.is_cuda() ? 0.25 : 0.05);
  release_memory(device);  // what only trying algorithms took
  start_peak(device);
  trained.step();
  wait_for(device);
  outcome.memory = peak_memory(device);
  return outcome;
}

Outcome measured(const Problem& problem, Precision precision, const Way& way, const HostBatch& batch,
                 const at::Device& device) {
  set_up(way, device);
  learn::allow_tf32(precision);
  at::manual_seed(1);
  if (way.is_plain) {
    PlainLoop loop(problem, precision, batch, device);
    return measured(loop, device);
  }
  Run run(problem, precision, way, batch, device);
  return measured(run, device);
}

/// What the plan counts of a rank's step on the CPU: maps and images, weights, gradients, two moments.
double planned_bytes(const Problem& problem, const Way& way) {
  const auto of_maps = problem.batch * wear::pair_memory_bytes({problem.shape, 1, 0, way.recomputes});
  constexpr std::int64_t kBytesAParameter = 4 * sizeof(float);
  return static_cast<double>(of_maps + kBytesAParameter * wear::weight_count(problem.shape));
}

std::string first_line(const std::string& text) {
  std::string line = text.substr(0, std::min<std::size_t>(text.find('\n'), 160));
  std::ranges::replace(line, '"', '\'');
  std::ranges::replace(line, '\\', '/');
  return line;
}

void measure(const Problem& problem, Precision precision, const HostBatch& batch, double flops,
             const at::Device& device, double deadline_s, Lines& lines) {
  double plain_s = 0;
  for (const Way& way : ways_of(problem, precision)) {
    Line line{text("size", problem.name()), text("precision", name_of(precision)), text("way", way.name)};
    if (now_s() > deadline_s) {
      line.push_back(text("left out", "no time left"));
      lines.add("training", line);
      continue;
    }
    constexpr double kGib = 1 << 30;
    try {
      const Outcome outcome = measured(problem, precision, way, batch, device);
      if (way.is_plain) plain_s = outcome.step_s;
      line.push_back(number("seconds_a_step", outcome.step_s, 6));
      line.push_back(number("images_a_second", static_cast<double>(problem.batch) / outcome.step_s, 2));
      line.push_back(number("of_plain_loop", plain_s / outcome.step_s, 3));
      line.push_back(number("tflops", flops / outcome.step_s / 1e12, 3));
      line.push_back(number("peak_gib", static_cast<double>(outcome.memory.peak) / kGib, 3));
      line.push_back(number("reserved_gib", static_cast<double>(outcome.memory.reserved) / kGib, 3));
      if (!way.is_plain) line.push_back(number("plan_gib", planned_bytes(problem, way) / kGib, 3));
      line.push_back(number("first_loss", outcome.loss, 6));
    } catch (const std::exception& error) {
      line.push_back(text("failed", first_line(error.what())));
    }
    lines.add("training", line);
    release_memory(device);
  }
}

}  // namespace

void measure_steps(const at::Device& device, double deadline_s, Lines& lines) {
  const auto problem = [](std::int64_t height_px, std::int64_t width_px, std::int64_t batch) {
    return Problem{{wear::Task::kPrediction, height_px, width_px}, batch};
  };
  const bool on_gpu = device.is_cuda();
  const std::vector<Problem> problems = {on_gpu ? problem(640, 256, 16) : problem(64, 32, 2),
                                         on_gpu ? problem(13750, 5500, 1) : problem(250, 100, 1)};
  for (const Problem& each : problems) {
    const HostBatch batch = random_batch(each, device);
    const double flops = 3 * static_cast<double>(each.batch) * wear::WearNetwork(each.shape, 1).flops();
    for (const Precision precision : {Precision::k32, Precision::kTf32, Precision::kBf16}) {
      if (precision == Precision::k32 || on_gpu) measure(each, precision, batch, flops, device, deadline_s, lines);
    }
  }
}

}  // namespace outsole::benchmarks
