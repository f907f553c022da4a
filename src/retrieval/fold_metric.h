#pragma once
// The metric of one fold, by each of the methods.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "retrieval/feature_moments.h"
#include "retrieval/folds.h"
#include "retrieval/learn_metric.h"
#include "retrieval/learning_pairs.h"
#include "retrieval/metric.h"

namespace outsole::retrieval {

/// What all metrics learn from. References must outlive it.
struct FoldTask {
  const comm::Communicator& comm;
  const LearnOptions& options;
  const LearningPairs& pairs;
  const Folds& folds;  // with a metric for each; with one metric, the folds that its ridge is chosen by
  std::int64_t metrics = 1;
  std::vector<FeatureMoments> moments;  // of each fold (moments_of_folds); none where no statistics are needed
  std::optional<MetricFile> init;
  std::string output_identity;  // of the metrics to be made, but for how fine-tuning goes on

  std::int64_t components() const { return options.components > 0 ? options.components : pairs.channels(); }
};

/// The moments of the true pairs of each fold: added up over pieces that the data cut, in their order, so that they are
/// the same on any number of ranks. Collective.
std::vector<FeatureMoments> moments_of_folds(const comm::Communicator& comm, const LearningPairs& pairs,
                                             const Folds& folds);

/// The metric of `fold` (where there is one metric, 0), from what it may learn from; the same on every rank. Of several
/// ridges it takes the one that does best in cross-validation among what it may learn from. Fine-tuning leaves its run
/// folder beside the output, and carries on from there. Collective; throws as learn_metric.
Metric learn_fold(const FoldTask& task, std::int64_t fold);

}  // namespace outsole::retrieval
