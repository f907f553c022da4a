#pragma once
// Data-parallel training over ranks.

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "learn/adam.h"
#include "wear/network.h"
#include "wear/pairs.h"
#include "learn/schedule.h"
#include "wear/time_encoding.h"

namespace outsole::wear {

struct TrainOptions {
  std::filesystem::path scans;   // a store of schema outsole.prepared
  std::filesystem::path output;  // RUN_DIR
  Task task = Task::kPrediction;
  Split split = Split::kTime;
  std::uint64_t seed = 1;
  std::int64_t epochs = 10000;
  std::int64_t batch = 16;  // pairs a step, over all ranks
  double ssim_weight = 0;   // of 1 - structural similarity, beside the mean squared difference
  learn::AdamOptions adam;
  learn::Schedule schedule = learn::Schedule::kConstant;
  MovementRange movements;  // what each epoch moves and mirrors its pairs by
  NetworkKind network = NetworkKind::kPaper;
  std::int64_t first_maps = 32;
  std::int64_t time_hidden = 64, time_maps = 8;
  double checkpoint_minutes = 10;  // time between checkpoints
  std::int64_t keep_checkpoints = 3;
  std::optional<double> minutes;                      // stop after so much training, as if `epochs` were reached
  bool mixed_precision = false;                       // bfloat16 convolutions on a GPU
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank
  c10::Device device = c10::kCPU;
  std::vector<std::string> command_line;  // for provenance
};

/// The network that the options and the size of the scans call for.
NetworkShape network_shape(const TrainOptions& options, std::int64_t height_px, std::int64_t width_px);
NetworkShape network_shape(const TrainOptions& options, const wear::PreparedStore& scans);

struct TrainPlan {
  std::int64_t scans = 0, training_pairs = 0, held_out_pairs = 0, steps_per_epoch = 0;
  std::int64_t height_px = 0, width_px = 0;
  std::int64_t parameters = 0;
  double flops_per_step = 0;
  double judged_pairs = 0;             // held-out pairs whose loss is told, an epoch on average: a forward pass each
  std::int64_t memory_bytes = 0;       // of a rank, estimated, without the scans that are kept
  std::int64_t pair_memory_bytes = 0;  // of it, for each pair of the rank's share of a batch
};

struct TrainSummary {
  TrainPlan plan;
  std::int64_t epochs = 0, steps = 0;  // done, over all runs
  double loss = 0;                     // of the last epoch: mean squared difference, grey in [0, 1]
  bool was_finished = false;
  /// After some epoch of this run the network did no better than one grey for all pixels, and no longer changed: it is
  /// dead (too large a learning rate drives all images to white paper, where the gradient vanishes).
  bool stands_still = false;
};

/// What training would do on `ranks` ranks. Any one rank; reads only the list of scans.
TrainPlan plan_training(const TrainOptions& options, int ranks);

/// Trains until `epochs` or `minutes`, from the newest good checkpoint in RUN_DIR if there is one made by the same
/// options; writes checkpoints/ and history.csv, and at the end model.h5. The global batch is cut over ranks; the
/// result is that of one rank with the whole batch, to rounding. Throws StopRequested (see core/stop, exit code 75)
/// once all is saved when TERM came; DataError naming epoch and step when the loss is not finite (the last checkpoint
/// stays). Collective.
TrainSummary train(const TrainOptions& options, const comm::Communicator& comm);

}  // namespace outsole::wear
