#include "wear/learner.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string>

#include "comm/partition.h"
#include "core/checked.h"
#include "core/clock.h"
#include "core/errors.h"
#include "core/out_of_memory.h"
#include "core/progress.h"
#include "learn/epoch_order.h"
#include "learn/precision.h"
#include "wear/initial_weights.h"
#include "wear/loss.h"
#include "wear/model_file.h"

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

std::shared_ptr<WearNetwork> make_network(const wear::PreparedStore& scans, const TrainOptions& options,
                                          const WearNetwork* init) {
  auto network = std::make_shared<WearNetwork>(network_shape(options, scans), options.seed);
  if (init != nullptr) start_from(*init, *network);
  network->to(options.device);
  return network;
}

/// Neighbours in an image are neighbouring ranks. Collective.
ImageTeam make_team(const wear::PreparedStore& scans, const TrainOptions& options, const comm::Communicator& comm) {
  if (options.split_ranks == 1) return ImageTeam(scans.height_px());
  return ImageTeam(scans.height_px(), comm.split(comm.rank() / options.split_ranks));
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

std::vector<TrainingPair> held_out_sample(const PairSets& sets) {
  std::vector<TrainingPair> candidates;
  for (const TrainingPair& pair : sets.held_out) {
    if (!pair.unseen_target) candidates.push_back(pair);
  }
  if (candidates.empty()) candidates = sets.held_out;
  constexpr std::size_t kMost = 64;
  const std::size_t count = std::min(kMost, candidates.size());
  std::vector<TrainingPair> sample;
  for (std::size_t i = 0; i < count; ++i) sample.push_back(candidates[i * candidates.size() / count]);
  return sample;
}

std::int64_t judging_interval(std::int64_t sample, std::int64_t training_pairs) {
  return divide_up(20 * sample, 3 * training_pairs);
}

Learner::Learner(const wear::PreparedStore& scans, const PairSets& pairs, const TrainOptions& options,
                 std::int64_t scan_bytes, const comm::Communicator& comm, const WearNetwork* init)
    : comm_(comm),
      options_(options),
      pairs_(pairs),
      sample_(held_out_sample(pairs)),
      known_pixels_(agreed_known_pixels(comm, scans)),
      network_(make_network(scans, options, init)),
      team_(make_team(scans, options, comm)),
      images_(scans, scan_bytes, team_.slab().rows) {
  learn::allow_tf32(options.precision);
}

std::vector<learn::NamedTensor> Learner::parameters() const { return weights_of(*network_); }

std::int64_t Learner::steps_per_epoch() const { return divide_up(std::ssize(pairs_.training), options_.batch); }

void Learner::begin_epoch(std::int64_t epoch) {
  epoch_start_s_ = now_s();
  told_halos_ = team_.costs();
  const std::int64_t pairs = std::ssize(pairs_.training);
  epoch_pairs_.clear();
  for (const std::int64_t index : learn::epoch_order(pairs, options_.seed, epoch)) {
    epoch_pairs_.push_back(pairs_.training[static_cast<std::size_t>(index)]);
  }
  const auto movements = epoch_movements(pairs, options_.movements, options_.seed, epoch);
  for (std::size_t i = 0; i < epoch_pairs_.size(); ++i) epoch_pairs_[i].movement = movements[i];
}

learn::PendingNumber Learner::add_gradients(std::int64_t step) {
  return add_gradients(pairs_of(step, step + 1), pairs_of(step + 1, step + 2));
}

double Learner::weight(std::int64_t first, std::int64_t end) const { return known_pixels(pairs_of(first, end)); }

std::int64_t Learner::examples(std::int64_t step) const { return std::ssize(pairs_of(step, step + 1)); }

std::optional<double> Learner::judge(std::int64_t epochs_done, bool is_last) {
  tell_halos();
  const std::int64_t interval = judging_interval(std::ssize(sample_), std::ssize(pairs_.training));
  if (epochs_done % interval != 0 && !is_last) return std::nullopt;
  return loss_of(sample_);
}

/// What the epoch's exchanges with neighbours took of rank 0.
void Learner::tell_halos() {
  if (!team_.is_split() || !comm_.is_root()) return;
  const double bytes = static_cast<double>(team_.costs().sent_bytes - told_halos_.sent_bytes);
  const double share = (team_.costs().seconds - told_halos_.seconds) / (now_s() - epoch_start_s_);
  spdlog::info("border rows: rank 0 sent {} a step and spent {:.1f}% of the time on them and on waiting for neighbours",
               format_bytes(bytes / static_cast<double>(steps_per_epoch())), 100 * share);
}

std::optional<learn::BestGuess> Learner::best_guess() const {
  return learn::BestGuess{one_grey_loss(pairs_.training), "one grey for all pixels"};
}

learn::PendingNumber Learner::add_gradients(Pairs batch, Pairs next) {
  const double known = known_pixels(batch);
  const Pairs mine = my_share(batch);
  const ScanBatch scans = read(mine);
  images_.prefetch(scans_of(my_share(next)));
  if (mine.empty()) return 0;
  try {
    return add_gradients_of(mine, scans, known);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    if (!team_.is_split()) throw;  // who runs the training tells the others
    // Its team waits for this rank, and cannot be told.
    const auto memory = out_of_memory(error);
    if (!memory) throw Error(ExitCode::kBug, error.what());
    throw EnvironmentError(*memory +
                           " in a step; the last checkpoint stays. To lower what it needs, use a larger `split_ranks`, "
                           "`recompute`, a smaller `batch` or smaller scans");
  }
}

learn::PendingNumber Learner::add_gradients_of(Pairs pairs, ScanBatch scans, double known) {
  learn::PendingNumber squared = 0;
  const auto loss_of = [&](const at::Tensor& predicted) {
    const Loss losses =
        training_loss(predicted, targets_of(scans.grey), targets_of(scans.known), known, options_.ssim_weight, &team_);
    squared = learn::PendingNumber(losses.squared_error);
    return losses.lessened;
  };
  if (options_.recompute) {
    const at::Tensor times = on_device(times_of(options_.task, pairs), options_.device);
    network_->add_gradients_recomputing(scans.grey.chunk(2)[0], times, &team_, loss_of);
  } else {
    loss_of(answer(pairs, scans)).backward();
  }
  return squared;
}

double Learner::loss_of(Pairs pairs) {
  const c10::NoGradGuard no_gradients;
  const double known = known_pixels(pairs);
  const std::size_t batch = static_cast<std::size_t>(options_.batch);
  std::array<double, 1> loss{};
  for (std::size_t first = 0; first < pairs.size(); first += batch) {
    const Pairs mine = my_share(pairs.subspan(first, std::min(batch, pairs.size() - first)));
    const ScanBatch scans = read(mine);
    const auto add_loss = [&] {
      if (mine.empty()) return;
      const at::Tensor answers = answer(mine, scans);
      loss[0] += squared_error(answers, targets_of(scans.grey), targets_of(scans.known), known).item<double>();
    };
    if (team_.is_split()) {
      comm_.together_by_teams(add_loss);
    } else {
      comm_.together(add_loss);
    }
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

/// The pairs of the steps [first, end) of this epoch, whose last step may have fewer; none for those after it.
Pairs Learner::pairs_of(std::int64_t first, std::int64_t end) const {
  const auto place = [&](std::int64_t step) {
    return static_cast<std::size_t>(std::min(step * options_.batch, std::ssize(epoch_pairs_)));
  };
  return Pairs(epoch_pairs_).subspan(place(first), place(end) - place(first));
}

Pairs Learner::my_share(Pairs pairs) const {
  const int team = options_.split_ranks;
  const comm::UnitRange mine = comm::units_of(std::ssize(pairs), comm_.rank() / team, comm_.size() / team);
  return pairs.subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size()));
}

ScanBatch Learner::read(Pairs pairs) {
  ScanBatch scans;
  comm_.together([&] {
    if (pairs.empty()) return;
    scans = images_.batch(scans_of(pairs), options_.device);
  });
  return scans;
}

at::Tensor Learner::answer(Pairs pairs, const ScanBatch& scans) {
  const at::Tensor inputs = scans.grey.chunk(2)[0], times = on_device(times_of(options_.task, pairs), options_.device);
  const learn::MixedPrecision mixed(options_.precision);
  return network_->forward(inputs, times, &team_).to(at::kFloat);
}

}  // namespace outsole::wear
