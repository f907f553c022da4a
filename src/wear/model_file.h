#pragma once
// Trained models as stores: a row is a tensor. `model.h5` (schema outsole.model) holds the weights and in its
// parameters all that is needed to use them.
//
// None of these calls is collective.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "learn/tensor_file.h"
#include "store/store.h"
#include "wear/network.h"

namespace outsole::wear {

inline constexpr char kModelSchema[] = "outsole.model";
inline constexpr std::int32_t kModelVersion = 2;  // 1 knew only the paper's network

/// The widest network that a file may ask for.
inline constexpr std::int64_t kMostTimeHidden = 1 << 16, kMostTimeMaps = 1 << 12, kMostFirstMaps = 1 << 9;

/// A model as read from a file.
struct Model {
  std::shared_ptr<WearNetwork> network;  // on the CPU
  nlohmann::json training;               // how it was made: data_schemas/README.md lists the entries
};

/// What the parameters of a model's file say of its network: {"network": ...}.
nlohmann::json structure_of(const NetworkShape& shape);

/// What an open model says of its network; throws DataError when it makes no sense.
NetworkShape shape_of(const store::Store& store);

/// The network's parameters, not copies.
std::vector<learn::NamedTensor> weights_of(const WearNetwork& network);

/// Writes NAME.h5 and its shards whole or not at all; replaces an older one. Throws DataError when a weight is not
/// finite, EnvironmentError when the disk refuses. One rank.
void save_model(const std::filesystem::path& path, const WearNetwork& network, const nlohmann::json& training);

/// Throws DataError naming file and tensor when it is no model, of a version this program does not know, or damaged;
/// sizes are checked before memory is taken. It may come from elsewhere: a child process tries it first.
Model load_model(const std::filesystem::path& path);
/// The same of a store that is open, tried before if it comes from elsewhere.
Model load_model(const store::Store& store);

}  // namespace outsole::wear
