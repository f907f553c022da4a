#include "wear/learner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <string>

#include "comm/partition.h"
#include "wear/loss.h"
#include "learn/mixed_precision.h"

namespace outsole::wear {

namespace {

using Pairs = std::span<const TrainingPair>;

/// Of every scan; each rank counts its part of them.
std::vector<KnownPixels> agreed_known_pixels(const comm::Communicator& comm, const wear::PreparedStore& scans) {
  const comm::UnitRange mine = comm::units_of(scans.size(), comm.rank(), comm.size());
  std::vector<KnownPixels> own;
  comm.together([&] { own = sum_known_pixels(scans, mine.begin, mine.size()); });
  const std::string bytes(reinterpret_cast<const char*>(own.data()), own.size() * sizeof own[0]);
  std::vector<KnownPixels> all(static_cast<std::size_t>(scans.size()));
  auto* position = reinterpret_cast<char*>(all.data());
  for (const std::string& part : comm.all_gather(bytes)) position = std::copy(part.begin(), part.end(), position);
  return all;
}

std::shared_ptr<WearNetwork> make_network(const wear::PreparedStore& scans, const TrainOptions& options) {
  auto network = std::make_shared<WearNetwork>(network_shape(options, scans), options.seed);
  network->to(options.device);
  return network;
}

/// Inputs, then targets.
std::vector<ShownScan> scans_of(Pairs pairs) {
  std::vector<ShownScan> scans;
  for (const TrainingPair& pair : pairs) scans.push_back({pair.input, pair.movement});
  for (const TrainingPair& pair : pairs) scans.push_back({pair.target, pair.movement});
  return scans;
}

/// The second half of a batch of inputs, then targets.
at::Tensor targets_of(const at::Tensor& batch) { return batch.chunk(2)[1]; }

/// The time inputs, [pairs, time_inputs].
at::Tensor times_of(Task task, Pairs pairs) {
  const std::int64_t inputs = time_inputs(task);
  at::Tensor times = at::empty({std::ssize(pairs), inputs}, at::kFloat);
  auto* row = times.data_ptr<float>();
  for (const TrainingPair& pair : pairs) {
    encode_time(task, pair.weeks, {row, static_cast<std::size_t>(inputs)});
    row += inputs;
  }
  return times;
}

}  // namespace

Learner::Learner(const wear::PreparedStore& scans, const TrainOptions& options, std::int64_t scan_bytes,
                 const comm::Communicator& comm)
    : comm_(comm),
      device_(options.device),
      mixed_precision_(options.mixed_precision),
      ssim_weight_(options.ssim_weight),
      known_pixels_(agreed_known_pixels(comm, scans)),
      network_(make_network(scans, options)),
      gradients_(network_->parameters(), comm),
      adam_(network_->parameters(), options.adam),
      images_(scans, scan_bytes) {}

double Learner::compute_gradients(Pairs batch, Pairs next) {
  const double known = known_pixels(batch);
  const Pairs mine = my_share(batch);
  const ScanBatch scans = read(mine);
  images_.prefetch(scans_of(my_share(next)));
  gradients_.zero();
  double loss = 0;
  if (!mine.empty()) {
    const Loss losses =
        training_loss(answer(mine, scans), targets_of(scans.grey), targets_of(scans.known), known, ssim_weight_);
    losses.lessened.backward();
    loss = losses.squared_error.item<double>();
  }
  gradients_.finish();
  return loss;
}

double Learner::loss_of(Pairs pairs, std::int64_t batch) {
  const at::NoGradGuard no_gradients;
  const double known = known_pixels(pairs);
  const std::size_t step = static_cast<std::size_t>(batch);
  std::array<double, 1> loss{};
  for (std::size_t first = 0; first < pairs.size(); first += step) {
    const Pairs mine = my_share(pairs.subspan(first, std::min(step, pairs.size() - first)));
    const ScanBatch scans = read(mine);
    if (mine.empty()) continue;
    const at::Tensor answers = answer(mine, scans);
    loss[0] += squared_error(answers, targets_of(scans.grey), targets_of(scans.known), known).item<double>();
  }
  comm_.start_sum(std::span<double>(loss)).wait();
  return loss[0];
}

double Learner::known_pixels(Pairs pairs) const {
  double known = 0;
  for (const TrainingPair& pair : pairs) {
    known += static_cast<double>(known_pixels_[static_cast<std::size_t>(pair.target)].count);
  }
  return std::max(known, 1.0);
}

double Learner::one_grey_loss(Pairs pairs) const {
  const double known = known_pixels(pairs);
  double grey = 0, square = 0;
  for (const TrainingPair& pair : pairs) {
    const KnownPixels& pixels = known_pixels_[static_cast<std::size_t>(pair.target)];
    grey += pixels.grey_sum / known;
    square += pixels.square_sum / known;
  }
  return square - grey * grey;
}

Pairs Learner::my_share(Pairs pairs) const {
  const comm::UnitRange mine = comm::units_of(std::ssize(pairs), comm_.rank(), comm_.size());
  return pairs.subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size()));
}

ScanBatch Learner::read(Pairs pairs) {
  ScanBatch scans;
  comm_.together([&] {
    if (pairs.empty()) return;
    scans = images_.batch(scans_of(pairs));
    scans = {scans.grey.to(device_), scans.known.to(device_)};
  });
  return scans;
}

at::Tensor Learner::answer(Pairs pairs, const ScanBatch& scans) {
  const at::Tensor inputs = scans.grey.chunk(2)[0], times = times_of(network_->shape().task, pairs).to(device_);
  const learn::MixedPrecision mixed(mixed_precision_);
  return network_->forward(inputs, times).to(at::kFloat);
}

}  // namespace outsole::wear
