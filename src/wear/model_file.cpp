#include "wear/model_file.h"

#include <ATen/ATen.h>

#include "core/errors.h"
#include "learn/checkpoint.h"

namespace outsole::wear {

namespace {

namespace fs = std::filesystem;
using learn::entry;
using learn::NamedTensor;
using learn::training_of;
using learn::whole_number;
using nlohmann::json;

/// A network of that shape cannot be larger than the file that claims to hold it: found out before memory is taken.
void require_plausible(const NetworkShape& shape, const store::Store& store) {
  if (weight_count(shape) > store.size_bytes() / static_cast<std::int64_t>(sizeof(float))) {
    throw DataError(store.path().string() + ": claims a network of more weights than the file holds");
  }
}

}  // namespace

NetworkShape shape_of(const store::Store& store) {
  const fs::path& path = store.path();
  const json& network = entry(store.header().parameters, "network", path);
  constexpr std::int64_t kLongestSide = 1 << 17;
  NetworkShape shape;
  const json& task = entry(network, "task", path);
  if (task == name_of(Task::kReconstruction)) {
    shape.task = Task::kReconstruction;
  } else if (task != name_of(Task::kPrediction)) {
    throw DataError(path.string() + ": 'task' is neither prediction nor reconstruction");
  }
  shape.height_px = whole_number(network, "height_px", kSizeStep, kLongestSide, path);
  shape.width_px = whole_number(network, "width_px", kSizeStep, kLongestSide, path);
  shape.time_hidden = whole_number(network, "time_hidden", 1, kMostTimeHidden, path);
  shape.time_maps = whole_number(network, "time_maps", 1, kMostTimeMaps, path);
  if (store.header().version == 1) return shape;  // there was only the paper's network
  const json& kind = entry(network, "kind", path);
  if (kind == name_of(NetworkKind::kResidual)) {
    shape.kind = NetworkKind::kResidual;
  } else if (kind != name_of(NetworkKind::kPaper)) {
    throw DataError(path.string() + ": 'kind' of its network is neither paper nor residual");
  }
  shape.first_maps = whole_number(network, "first_maps", 1, kMostFirstMaps, path);
  return shape;
}

json structure_of(const NetworkShape& shape) {
  return {{"network",
           {{"task", name_of(shape.task)},
            {"height_px", shape.height_px},
            {"width_px", shape.width_px},
            {"time_hidden", shape.time_hidden},
            {"time_maps", shape.time_maps},
            {"kind", name_of(shape.kind)},
            {"first_maps", shape.first_maps}}}};
}

std::vector<NamedTensor> weights_of(const WearNetwork& network) {
  std::vector<NamedTensor> tensors;
  for (const auto& parameter : network.named_parameters()) tensors.push_back({parameter.key(), parameter.value()});
  return tensors;
}

void save_model(const fs::path& path, const WearNetwork& network, const json& training) {
  json parameters = structure_of(network.shape());
  parameters["training"] = training;
  learn::save_tensors(path, {kModelSchema, kModelVersion, parameters}, weights_of(network));
}

Model load_model(const fs::path& path) { return load_model(store::Store(path, kModelSchema, store::Origin::kForeign)); }

Model load_model(const store::Store& store) {
  const NetworkShape shape = shape_of(store);
  require_plausible(shape, store);
  Model model{std::make_shared<WearNetwork>(shape, 0), training_of(store)};
  const std::vector<NamedTensor> weights = weights_of(*model.network);
  copy_into(weights, read_tensors(store, weights));
  return model;
}

}  // namespace outsole::wear
