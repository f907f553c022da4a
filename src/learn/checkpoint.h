#pragma once
// Where a run stands, as a store of schema outsole.checkpoint: parameters, optimizer, position.
//
// None of these calls is collective.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "learn/adam.h"
#include "learn/learner.h"
#include "learn/tensor_file.h"

namespace outsole::learn {

inline constexpr char kCheckpointSchema[] = "outsole.checkpoint";

/// After `epoch` epochs and `step` steps of the next one.
struct Position {
  std::int64_t epoch = 0, step = 0;
  std::int64_t steps = 0;  // in all
  double loss_sum = 0;     // of this epoch's steps so far, times their weights
  double epoch_loss = 0;   // of the last whole epoch
  double seconds = 0;      // trained, over all runs
};

/// Writes it as save_tensors does. One rank.
void save_checkpoint(const std::filesystem::path& path, const Subject& subject,
                     const std::vector<NamedTensor>& parameters, const Adam& adam, const Position& position);

/// Copies a checkpoint into the parameters and the optimizer, which stay as they were when it throws: DataError naming
/// file and tensor when it is damaged, UsageError naming what differs when it is of another subject. Every rank may
/// read it.
Position load_checkpoint(const std::filesystem::path& path, const Subject& subject,
                         const std::vector<NamedTensor>& parameters, Adam& adam);

/// `training` of a store's parameters: a run's identity and, in a model, how far it went. Throws DataError.
nlohmann::json training_of(const store::Store& store);

/// Throws UsageError naming what a person would change unless `there`, the `training` of the file at `path`, has the
/// entries of the subject's identity and no other, but for how far it came (`epochs`, `steps`, `loss`).
void require_same_training(const nlohmann::json& there, const Subject& subject, const std::filesystem::path& path);

}  // namespace outsole::learn
