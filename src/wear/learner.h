#pragma once
// A network that learns from batches which the ranks share.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "wear/prepared.h"
#include "learn/adam.h"
#include "learn/gradient_sum.h"
#include "wear/network.h"
#include "wear/pairs.h"
#include "wear/scan_images.h"
#include "wear/trainer.h"

namespace outsole::wear {

/// Every rank has the same network and optimizer; of a batch each takes its share, and the gradients are summed. Known
/// pixels are those that the target's scan shows: only they count.
class Learner {
 public:
  /// A random network from the options' seed, on their device; of scans at most `scan_bytes` are kept. `scans` and
  /// `comm` must outlive it. Throws DataError when the store is damaged. Collective.
  Learner(const wear::PreparedStore& scans, const TrainOptions& options, std::int64_t scan_bytes,
          const comm::Communicator& comm);

  /// Leaves in every rank's parameters the gradient of what the options have it lessen, the batch's mean squared
  /// difference + ssim_weight (1 - structural similarity), and returns this rank's part of the mean squared difference:
  /// the sum over ranks is the loss. A pixel that a pair's movement takes out of the image counts as right.
  /// Meanwhile the scans of `next` are read. Throws DataError on all ranks when the store is damaged. Collective.
  double compute_gradients(std::span<const TrainingPair> batch, std::span<const TrainingPair> next);

  /// Moves the weights by the gradients, at `share` of the learning rate. Every rank does, and comes to the same
  /// weights.
  void update(double share = 1) { adam_.step(share); }

  /// The mean squared difference of `pairs`, without learning from them, at most `batch` at a time. Collective.
  double loss_of(std::span<const TrainingPair> pairs, std::int64_t batch);

  /// Pixels of the pairs' targets that the scanner saw, unmoved; at least 1.
  double known_pixels(std::span<const TrainingPair> pairs) const;

  /// The loss of answering them all with one grey, the best one: their variance.
  double one_grey_loss(std::span<const TrainingPair> pairs) const;

  WearNetwork& network() { return *network_; }
  learn::Adam& adam() { return adam_; }

 private:
  std::span<const TrainingPair> my_share(std::span<const TrainingPair> pairs) const;
  ScanBatch read(std::span<const TrainingPair> pairs);
  at::Tensor answer(std::span<const TrainingPair> pairs, const ScanBatch& scans);

  const comm::Communicator& comm_;
  at::Device device_;
  bool mixed_precision_;
  double ssim_weight_;
  std::vector<KnownPixels> known_pixels_;  // of each scan
  std::shared_ptr<WearNetwork> network_;
  learn::GradientSum gradients_;
  learn::Adam adam_;
  ScanImages images_;
};

}  // namespace outsole::wear
