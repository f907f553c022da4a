#pragma once
// Trained models and checkpoints as stores: a row is a tensor. `model.h5` (schema outsole.model) holds the weights and
// in its parameters all that is needed to use them; a checkpoint (schema outsole.checkpoint) adds what the next
// training step needs.
//
// None of these calls is collective.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "learn/adam.h"
#include "store/store.h"
#include "wear/network.h"

namespace outsole::wear {

inline constexpr char kModelSchema[] = "outsole.model";
inline constexpr char kCheckpointSchema[] = "outsole.checkpoint";

/// The widest network that a file may ask for.
inline constexpr std::int64_t kMostTimeHidden = 1 << 16, kMostTimeMaps = 1 << 12, kMostFirstMaps = 1 << 9;

/// A model as read from a file.
struct Model {
  std::shared_ptr<WearNetwork> network;  // on the CPU
  nlohmann::json training;               // how it was made: data_schemas/README.md lists the entries
};

/// Writes NAME.h5 and its shards whole or not at all; replaces an older one. Throws DataError when a weight is not
/// finite, EnvironmentError when the disk refuses. One rank.
void save_model(const std::filesystem::path& path, const WearNetwork& network, const nlohmann::json& training);

/// Throws DataError naming file and tensor when it is no model, of a version this program does not know, or damaged;
/// sizes are checked before memory is taken. It may come from elsewhere: a child process tries it first.
Model load_model(const std::filesystem::path& path);
/// The same of a store that is open, tried before if it comes from elsewhere.
Model load_model(const store::Store& store);

/// `training` of a model, without its weights. Throws DataError as load_model.
nlohmann::json read_training(const std::filesystem::path& path);

/// Where a training run stands, after `epoch` epochs and `step` steps of the next one.
struct TrainingPosition {
  std::int64_t epoch = 0, step = 0;
  std::int64_t steps = 0;  // in all
  double loss_sum = 0;     // of this epoch's steps so far, times their known pixels
  double epoch_loss = 0;   // of the last whole epoch
  double seconds = 0;      // trained, over all runs
};

/// Weights, optimizer and position, as save_model does. One rank.
void save_checkpoint(const std::filesystem::path& path, const WearNetwork& network, const learn::Adam& adam,
                     const TrainingPosition& position, const nlohmann::json& training);

/// Copies a checkpoint into the network and optimizer, which stay as they were when it throws: DataError naming file
/// and tensor when it is damaged, UsageError naming the entry of `training` or of the network's shape that differs when
/// it is of another run. Every rank may read it.
TrainingPosition load_checkpoint(const std::filesystem::path& path, WearNetwork& network, learn::Adam& adam,
                                 const nlohmann::json& training);

/// Removes NAME.h5, then its shards. Throws EnvironmentError.
void remove_tensor_store(const std::filesystem::path& path);

/// Throws UsageError naming the option unless `there`, the `training` of the file at `path`, has the entries of `here`
/// and no other, but for how far it came (`epochs`, `steps`, `loss`).
void require_same_training(const nlohmann::json& there, const nlohmann::json& here, const std::filesystem::path& path);

}  // namespace outsole::wear
