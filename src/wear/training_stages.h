#pragma once
// Training from coarse to fine: every size starts from the model of the size before it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "wear/shown_size.h"
#include "wear/trainer.h"

namespace outsole::wear {

/// What changes from stage to stage. Of a list with one value, it holds for every stage; else there is one for each. An
/// empty list leaves what the options say.
struct StageLists {
  /// From coarse to fine; the size that scans are stored at is an empty one. None at all: a single training in the
  /// output folder itself, at the options' size.
  std::vector<std::optional<ShownSize>> sizes;
  std::vector<std::int64_t> epochs, batch;
  std::vector<double> learning_rate, minutes;
};

struct Stage {
  std::string name;  // "640x256" or "native", also of its folder
  TrainOptions options;
};

/// The stages of a training on scans stored at `stored`. Each but the first starts from the model of the one before.
/// Throws UsageError naming the size that is larger than the scans, of another shape, or not larger than the one before
/// it, and the list that has neither one value nor one for each.
std::vector<Stage> stages_of(const TrainOptions& options, const StageLists& lists, ShownSize stored);

/// Trains the stages one after another, each as `train` does, in a folder of its own in the output folder; the same
/// command carries on wherever it was stopped. At the end model.h5 of the output folder is the last stage's, and
/// history.csv tells of all stages, epochs and steps counted on. Whatever can be refused is, before anything is
/// trained. The summary is the last stage's. Throws as train, and UsageError for a folder that holds a training of the
/// other kind, in one stage or in several. Collective.
TrainSummary train_in_stages(const TrainOptions& options, const StageLists& lists, const comm::Communicator& comm);

}  // namespace outsole::wear
