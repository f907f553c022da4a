#pragma once
// Data-parallel training of anything that is a Learner, over ranks.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "learn/adam.h"
#include "learn/learner.h"
#include "learn/schedule.h"

namespace outsole::learn {

struct RunOptions {
  std::filesystem::path output;  // RUN_DIR
  std::int64_t epochs = 10000;
  std::optional<double> minutes;  // stop after so much training, as if `epochs` were reached
  AdamOptions adam;
  Schedule schedule = Schedule::kConstant;
  double checkpoint_minutes = 10;  // time between checkpoints
  std::int64_t keep_checkpoints = 3;
  std::vector<std::string> command_line;  // for provenance
};

struct RunSummary {
  std::int64_t epochs = 0, steps = 0;  // done, over all runs
  double loss = 0;                     // of the last epoch
  bool was_finished = false;
  /// After some epoch of this run the loss was no better than the best guess's, and no longer changed: what learns is
  /// dead (as when too large a learning rate has driven all answers where the gradient vanishes).
  bool stands_still = false;
};

/// Throws UsageError naming what cannot be done.
void check(const RunOptions& options);

/// What `run` decides of a run's identity: to be part of the subject's.
nlohmann::json identity_of(const RunOptions& options);

/// Trains until `epochs` or `minutes`, from the newest good checkpoint in RUN_DIR if there is one of the same subject;
/// writes checkpoints/ and history.csv, and at the end model.h5: the learner's parameters. The learner is made (a
/// collective call) when there is something left to learn. On as many ranks the result is the same bit for bit however
/// often the run was stopped; on others to rounding. Throws StopRequested (see core/stop, exit code 75) once all is
/// saved when TERM came; DataError naming epoch and step when the loss is not finite (the last checkpoint stays);
/// EnvironmentError when memory runs out. Collective.
RunSummary run(const Subject& subject, const std::function<std::unique_ptr<Learner>()>& make_learner,
               const RunOptions& options, const comm::Communicator& comm);

}  // namespace outsole::learn
