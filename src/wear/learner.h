#pragma once
// A network that learns wear from pairs of scans, in steps that the ranks share.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "learn/learner.h"
#include "wear/network.h"
#include "wear/pairs.h"
#include "wear/prepared.h"
#include "wear/scan_images.h"
#include "wear/trainer.h"

namespace outsole::wear {

/// The held-out pairs that training is judged by: at most 64, spread evenly. Those that ask for a week that was never
/// trained only if there are no others.
std::vector<TrainingPair> held_out_sample(const PairSets& sets);

/// Epochs from one look at the sample to the next: so many that it takes a twentieth of the time at most, as a pair
/// costs a third of what it costs in training.
std::int64_t judging_interval(std::int64_t sample, std::int64_t training_pairs);

/// Every rank has the same network; of a batch each team of ranks takes its share, and of each image its ranks take a
/// slab each. Known pixels are those that the target's scan shows: only they count.
class Learner : public learn::Learner {
 public:
  /// A random network from the options' seed, on their device, or one with the weights of `init` (see start_from); of
  /// scans at most `scan_bytes` are kept. Scans, pairs, options and communicator must outlive it. Throws DataError when
  /// the store is damaged. Collective.
  Learner(const wear::PreparedStore& scans, const PairSets& pairs, const TrainOptions& options, std::int64_t scan_bytes,
          const comm::Communicator& comm, const WearNetwork* init = nullptr);

  std::vector<learn::NamedTensor> parameters() const override;
  std::int64_t steps_per_epoch() const override;
  void begin_epoch(std::int64_t epoch) override;
  learn::PendingNumber add_gradients(std::int64_t step) override;
  bool losses_are_late() const override { return !options_.device.is_cpu(); }
  double weight(std::int64_t first, std::int64_t end) const override;
  std::int64_t examples(std::int64_t step) const override;
  std::optional<double> judge(std::int64_t epochs_done, bool is_last) override;
  std::optional<learn::BestGuess> best_guess() const override;
  std::int64_t bytes_read() const override { return images_.bytes_read(); }

  /// Adds this rank's part of the gradient of what the options have it lessen, the batch's mean squared difference +
  /// ssim_weight (1 - structural similarity), and returns its part of the mean squared difference. A pixel that a
  /// pair's movement takes out of the image counts as right. Meanwhile the scans of `next` are read. Throws DataError
  /// on all ranks when the store is damaged. Collective.
  learn::PendingNumber add_gradients(std::span<const TrainingPair> batch, std::span<const TrainingPair> next);

  /// The mean squared difference of `pairs`, without learning from them, at most a batch at a time. Collective.
  double loss_of(std::span<const TrainingPair> pairs);

  /// Pixels of the pairs' targets that the scanner saw, unmoved; at least 1.
  double known_pixels(std::span<const TrainingPair> pairs) const;

  /// The loss of answering them all with one grey, the best one: their variance.
  double one_grey_loss(std::span<const TrainingPair> pairs) const;

 private:
  std::span<const TrainingPair> pairs_of(std::int64_t first, std::int64_t end) const;
  std::span<const TrainingPair> my_share(std::span<const TrainingPair> pairs) const;
  ScanBatch read(std::span<const TrainingPair> pairs);
  at::Tensor answer(std::span<const TrainingPair> pairs, const ScanBatch& scans);
  learn::PendingNumber add_gradients_of(std::span<const TrainingPair> pairs, ScanBatch scans, double known);
  void tell_halos();

  const comm::Communicator& comm_;
  const TrainOptions& options_;
  const PairSets& pairs_;
  const std::vector<TrainingPair> sample_;
  std::vector<KnownPixels> known_pixels_;  // of each scan
  std::shared_ptr<WearNetwork> network_;
  ImageTeam team_;
  ScanImages images_;
  std::vector<TrainingPair> epoch_pairs_;  // in the epoch's order
  HaloCosts told_halos_;                   // up to the last epoch
  double epoch_start_s_ = 0;
};

}  // namespace outsole::wear
