#include "wear/model_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "store/image_rows.h"

namespace outsole::wear {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int32_t kVersion = 2;  // of both schemas; 1 knew only the paper's network

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

std::string text_of(at::IntArrayRef shape) {
  std::string text;
  for (const std::int64_t length : shape) text += (text.empty() ? "" : ", ") + std::to_string(length);
  return "[" + text + "]";
}

// --- Writing -------------------------------------------------------------------------------------------------------

std::vector<NamedTensor> weights_of(const WearNetwork& network) {
  std::vector<NamedTensor> tensors;
  for (const auto& parameter : network.named_parameters()) tensors.push_back({parameter.key(), parameter.value()});
  return tensors;
}

/// The moments as the optimizer has them, not copies.
std::vector<NamedTensor> training_tensors(const WearNetwork& network, const learn::Adam::State& state) {
  const std::vector<NamedTensor> weights = weights_of(network);
  ensure(state.first_moments.size() == weights.size() && state.second_moments.size() == weights.size(),
         "the optimizer is that of the network");
  std::vector<NamedTensor> tensors;
  for (const auto& [name, weight] : weights) tensors.push_back({"weight/" + name, weight});
  for (std::size_t i = 0; i < weights.size(); ++i) {
    tensors.push_back({"first_moment/" + weights[i].name, state.first_moments[i]});
    tensors.push_back({"second_moment/" + weights[i].name, state.second_moments[i]});
  }
  return tensors;
}

store::Columns columns_of(const std::vector<NamedTensor>& tensors, const fs::path& path) {
  std::vector<std::string> names;
  std::vector<std::int64_t> shapes, ranks, lengths;
  std::vector<float> values;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    if (!plain.isfinite().all().item<bool>()) {
      throw DataError(path.string() + ": not written, since tensor '" + name + "' is no longer finite");
    }
    names.push_back(name);
    shapes.insert(shapes.end(), plain.sizes().begin(), plain.sizes().end());
    ranks.push_back(plain.dim());
    values.insert(values.end(), plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
    lengths.push_back(plain.numel());
  }
  const std::int64_t rows = std::ssize(names);
  store::Columns columns;
  columns["name"] = {{rows}, std::move(names), {}};
  columns["shape"] = {{rows}, std::move(shapes), std::move(ranks)};
  columns["values"] = {{rows}, std::move(values), std::move(lengths)};
  return columns;
}

fs::path shards_of(const fs::path& path) { return fs::path(path).replace_extension(".shards"); }

/// Writes a store in a folder beside `path` and moves it there, so that nothing half-written ever bears the name.
void write_store(const fs::path& path, const store::StoreHeader& header, const store::Columns& columns) {
  const fs::path staging = fs::path(path).replace_extension(".part"), staged = staging / path.filename();
  try {
    fs::remove_all(staging);
    {
      store::StoreWriter writer(staged, header, 1, true);
      writer.write_unit(0, columns);
      writer.finish();
    }
    remove_tensor_store(path);
    fs::rename(shards_of(staged), shards_of(path));
    publish_file(staged, path);
    fs::remove_all(staging);
  } catch (const fs::filesystem_error& error) {
    throw EnvironmentError(path.string() + ": cannot be written: " + error.what());
  }
}

json json_of(const NetworkShape& shape) {
  return {{"task", name_of(shape.task)},      {"height_px", shape.height_px}, {"width_px", shape.width_px},
          {"time_hidden", shape.time_hidden}, {"time_maps", shape.time_maps}, {"kind", name_of(shape.kind)},
          {"first_maps", shape.first_maps}};
}

json json_of(const TrainingPosition& position) {
  return {{"epoch", position.epoch},           {"step", position.step},
          {"steps", position.steps},           {"loss_sum", position.loss_sum},
          {"epoch_loss", position.epoch_loss}, {"seconds", position.seconds}};
}

// --- Reading -------------------------------------------------------------------------------------------------------

/// One entry of `parameters`, which a stranger may have written.
const json& entry(const json& object, const char* name, const fs::path& path) {
  if (!object.is_object() || !object.contains(name)) {
    throw DataError(path.string() + ": '" + name + "' is missing in its parameters");
  }
  return object.at(name);
}

std::int64_t whole_number(const json& object, const char* name, std::int64_t least, std::int64_t most,
                          const fs::path& path) {
  const json& value = entry(object, name, path);
  const bool is_small = value.is_number_integer() && value >= least && value <= most;
  if (!is_small) {
    throw DataError(path.string() + ": '" + name + "' is " +
                    value.dump(-1, ' ', false, json::error_handler_t::replace) + ", not a whole number from " +
                    std::to_string(least) + " to " + std::to_string(most));
  }
  return value.get<std::int64_t>();
}

double finite_number(const json& object, const char* name, const fs::path& path) {
  const json& value = entry(object, name, path);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw DataError(path.string() + ": '" + name + "' is not a number");
  }
  return value.get<double>();
}

NetworkShape shape_from(const store::Store& store) {
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

TrainingPosition position_from(const json& parameters, const fs::path& path) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  const json& position = entry(parameters, "position", path);
  return {.epoch = whole_number(position, "epoch", 0, kMost, path),
          .step = whole_number(position, "step", 0, kMost, path),
          .steps = whole_number(position, "steps", 0, kMost, path),
          .loss_sum = finite_number(position, "loss_sum", path),
          .epoch_loss = finite_number(position, "epoch_loss", path),
          .seconds = finite_number(position, "seconds", path)};
}

/// A network of that shape cannot be larger than the file that claims to hold it: found out before memory is taken.
void require_plausible(const NetworkShape& shape, const store::Store& store) {
  if (weight_count(shape) > store.size_bytes() / static_cast<std::int64_t>(sizeof(float))) {
    throw DataError(store.path().string() + ": claims a network of more weights than the file holds");
  }
}

/// The tensors of a store by name.
class TensorTable {
 public:
  explicit TensorTable(const store::Store& store) : store_(store) {
    const auto names = store::read_values<std::string>(store, "name");
    for (std::size_t row = 0; row < names.size(); ++row) {
      if (!rows_.emplace(names[row], static_cast<std::int64_t>(row)).second) {
        throw DataError(store.path().string() + ": tensor '" + names[row] + "' appears twice");
      }
    }
  }

  /// Throws DataError unless the tensors are exactly those named by `expected`.
  void require_only(const std::vector<NamedTensor>& expected) const {
    auto others = rows_;
    for (const NamedTensor& tensor : expected) others.erase(tensor.name);
    if (others.empty()) return;
    throw DataError(store_.path().string() + ": tensor '" + others.begin()->first + "' does not belong to the network");
  }

  /// The tensor of that name, which must have the shape of `expected.tensor`.
  at::Tensor read(const NamedTensor& expected) const {
    const std::string where = store_.path().string() + ": tensor '" + expected.name + "'";
    const auto row = rows_.find(expected.name);
    if (row == rows_.end()) throw DataError(where + " is missing");
    const auto shape = store::read_values<std::int64_t>(store_, "shape", row->second, 1);
    const auto wanted = expected.tensor.sizes();
    if (at::IntArrayRef(shape) != wanted) {
      throw DataError(where + " has the shape " + text_of(shape) + " where the network has " + text_of(wanted));
    }
    if (const std::int64_t elements = store::row_lengths(store_, "values", row->second, 1).front();
        elements != expected.tensor.numel()) {
      throw DataError(where + " has " + std::to_string(elements) + " values, which do not fill its shape");
    }
    const auto values = store::read_values<float>(store_, "values", row->second, 1);
    at::Tensor tensor = at::empty(wanted, at::kFloat);
    std::memcpy(tensor.data_ptr<float>(), values.data(), values.size() * sizeof(float));
    if (!tensor.isfinite().all().item<bool>()) throw DataError(where + " holds values that are not finite");
    return tensor;
  }

 private:
  const store::Store& store_;
  std::map<std::string, std::int64_t> rows_;
};

/// All of the store's tensors, checked against `expected`, in its order.
std::vector<at::Tensor> read_tensors(const store::Store& store, const std::vector<NamedTensor>& expected) {
  const TensorTable table(store);
  table.require_only(expected);
  std::vector<at::Tensor> tensors;
  for (const NamedTensor& tensor : expected) tensors.push_back(table.read(tensor));
  return tensors;
}

void copy_into(std::vector<NamedTensor> targets, const std::vector<at::Tensor>& values) {
  const at::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i].tensor.copy_(values[i]);
}

json training_of(const store::Store& store) {
  const json& training = entry(store.header().parameters, "training", store.path());
  if (!training.is_object()) throw DataError(store.path().string() + ": 'training' in its parameters is no object");
  return training;
}

/// "--shift-px" of "shift_px": what a person would change.
std::string option_of(const std::string& name) {
  if (name == "scans_sha256" || name == "dpi") return "the " + name + " of --scans";
  if (name == "scheduled_epochs") return "--epochs, which --schedule needs,";
  std::string option = "--" + name;
  std::ranges::replace(option, '_', '-');
  return option;
}

}  // namespace

void remove_tensor_store(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (!error) fs::remove_all(shards_of(path), error);
  if (error) throw EnvironmentError(path.string() + ": cannot be removed: " + error.message());
}

void save_model(const fs::path& path, const WearNetwork& network, const json& training) {
  const store::StoreHeader header{
      kModelSchema, kVersion, {{"network", json_of(network.shape())}, {"training", training}}};
  write_store(path, header, columns_of(weights_of(network), path));
}

Model load_model(const fs::path& path) { return load_model(store::Store(path, kModelSchema, store::Origin::kForeign)); }

Model load_model(const store::Store& store) {
  const NetworkShape shape = shape_from(store);
  require_plausible(shape, store);
  Model model{std::make_shared<WearNetwork>(shape, 0), training_of(store)};
  const std::vector<NamedTensor> weights = weights_of(*model.network);
  copy_into(weights, read_tensors(store, weights));
  return model;
}

json read_training(const fs::path& path) { return training_of(store::Store(path, kModelSchema)); }

void save_checkpoint(const fs::path& path, const WearNetwork& network, const learn::Adam& adam,
                     const TrainingPosition& position, const json& training) {
  ensure(adam.state().steps == position.steps, "the optimizer stands where the training does");
  const store::StoreHeader header{
      kCheckpointSchema,
      kVersion,
      {{"network", json_of(network.shape())}, {"training", training}, {"position", json_of(position)}}};
  write_store(path, header, columns_of(training_tensors(network, adam.state()), path));
}

TrainingPosition load_checkpoint(const fs::path& path, WearNetwork& network, learn::Adam& adam, const json& training) {
  const store::Store store(path, kCheckpointSchema);
  require_same_training(training_of(store), training, path);
  if (shape_from(store) != network.shape()) {
    throw UsageError(path.string() + ": holds another network than this run's; choose another --output");
  }
  const TrainingPosition position = position_from(store.header().parameters, path);
  const std::vector<at::Tensor> tensors = read_tensors(store, training_tensors(network, adam.state()));
  copy_into(training_tensors(network, adam.state()), tensors);
  learn::Adam::State state = adam.state();
  state.steps = position.steps;
  adam.restore(state);
  return position;
}

void require_same_training(const json& there, const json& here, const fs::path& path) {
  const auto text = [](const json& value) {
    return value.is_null() ? "not set" : value.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  std::set<std::string> names;
  for (const json* training : {&there, &here}) {
    for (const auto& [name, value] : training->items()) names.insert(name);
  }
  for (const char* progress : {"epochs", "steps", "loss"}) names.erase(progress);
  for (const std::string& name : names) {
    const json one = there.value(name, json()), other = here.value(name, json());
    if (one == other) continue;
    throw UsageError(path.string() + ": is of a training with other options: " + option_of(name) + " is " + text(one) +
                     " there and " + text(other) +
                     " here; give the same options to go on with it, or choose another --output");
  }
}

}  // namespace outsole::wear
