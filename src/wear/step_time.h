#pragma once
// What a step of training takes on this machine, for plans.

#include <cstdint>
#include <map>

#include "comm/communicator.h"
#include "wear/trainer.h"

namespace outsole::wear {

struct StepTime {
  /// Seconds of a rank's step (forward, backward, update) without the sum over ranks, by the pairs of its share.
  std::map<std::int64_t, double> share_s;
  /// Bytes a second of the sum of gradients, counting each twice less the rank's own part: what a step takes longer
  /// when it sums. 0 on one rank.
  double sum_bytes_s = 0;
};

/// Runs a few steps on random images, for shares of 1, 2, 4, ... pairs up to a whole batch as far as a few seconds and
/// the options' memory allow, on all ranks at once, so that what ranks of a machine cost each other counts; the slowest
/// rank's. Where even a pair would take long, on smaller images, and in proportion to the operations. On the
/// options' device. Collective.
StepTime measure_step(const TrainOptions& options, const TrainPlan& plan, const comm::Communicator& comm);

}  // namespace outsole::wear
