#pragma once
// Training a model of wear: what is to be done, and `learn::run` doing it.

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <optional>

#include "comm/communicator.h"
#include "learn/precision.h"
#include "learn/run.h"
#include "wear/network.h"
#include "wear/pairs.h"
#include "wear/time_encoding.h"

namespace outsole::wear {

struct TrainOptions : learn::RunOptions {
  std::filesystem::path scans;  // a store of schema outsole.prepared
  Task task = Task::kPrediction;
  std::optional<ShownSize> size;              // that scans are reduced to; empty: as they are stored
  std::optional<std::filesystem::path> init;  // the model to start from, of another size; empty: random weights
  Split split = Split::kTime;
  double held_out_share = kHeldOutShare;  // of weeks, shoes or pairs
  std::uint64_t seed = 1;
  std::int64_t batch = 16;  // pairs a step, over all ranks
  double ssim_weight = 0;   // of 1 - structural similarity, beside the mean squared difference
  MovementRange movements;  // what each epoch moves and mirrors its pairs by
  NetworkKind network = NetworkKind::kPaper;
  std::int64_t first_maps = 32;
  std::int64_t time_hidden = 64, time_maps = 8;
  learn::Precision precision = learn::Precision::k32;  // on a GPU
  int split_ranks = 1;                                // that hold an image together, each a slab of its rows
  bool recompute = false;                             // activations, in the backward pass
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank
  c10::Device device = c10::kCPU;
};

/// The network that the options and the size of the scans call for.
NetworkShape network_shape(const TrainOptions& options, std::int64_t height_px, std::int64_t width_px);
NetworkShape network_shape(const TrainOptions& options, const wear::PreparedStore& scans);

struct TrainPlan {
  std::int64_t scans = 0, training_pairs = 0, held_out_pairs = 0, steps_per_epoch = 0;
  std::int64_t height_px = 0, width_px = 0;
  std::int64_t parameters = 0;
  double flops_per_step = 0;
  int ranks = 1;
  std::int64_t slab_height_px = 0;     // of a padded image, that a rank has
  std::int64_t rank_pairs = 0;         // of a batch, of which a rank has a slab
  std::int64_t halo_bytes = 0;         // that a rank with two neighbours sends in a step
  double judged_pairs = 0;             // held-out pairs whose loss is told, an epoch on average: a forward pass each
  std::int64_t memory_bytes = 0;       // of a rank, estimated, without the scans that are kept
  std::int64_t pair_memory_bytes = 0;  // of it, for each of rank_pairs
};

/// The loss is a mean squared difference of grey in [0, 1].
struct TrainSummary : learn::RunSummary {
  TrainPlan plan;
};

/// What training would do on `ranks` ranks. Any one rank; reads only the list of scans. Throws UsageError when the
/// ranks or the images cannot be cut as `split_ranks` says.
TrainPlan plan_training(const TrainOptions& options, int ranks);

/// What is left for scans of the memory a rank may use. Where a step takes more, EnvironmentError, naming the
/// `split_ranks` with which it would fit, on the plan's ranks or on more, and whether with `recompute`.
std::int64_t memory_for_scans(const TrainOptions& options, const TrainPlan& plan);

/// Trains as learn::run does. The global batch is cut over teams of `split_ranks` ranks, and each image over the ranks
/// of its team; the result is that of one rank with the whole batch, to rounding. Throws EnvironmentError, too, when a
/// step would take more memory than a rank may; UsageError for a `size` that scans cannot be reduced to and an `init`
/// that differs in more than size. Collective.
TrainSummary train(const TrainOptions& options, const comm::Communicator& comm);

}  // namespace outsole::wear
