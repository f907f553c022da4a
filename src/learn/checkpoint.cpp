#include "learn/checkpoint.h"

#include <set>

#include "core/errors.h"

namespace outsole::learn {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int32_t kVersion = 2;  // 1 said less of the structure

/// The moments as the optimizer has them, not copies.
std::vector<NamedTensor> tensors_of(const std::vector<NamedTensor>& parameters, const Adam::State& state) {
  ensure(state.first_moments.size() == parameters.size() && state.second_moments.size() == parameters.size(),
         "the optimizer is that of the parameters");
  std::vector<NamedTensor> tensors;
  for (const auto& [name, parameter] : parameters) tensors.push_back({"weight/" + name, parameter});
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    tensors.push_back({"first_moment/" + parameters[i].name, state.first_moments[i]});
    tensors.push_back({"second_moment/" + parameters[i].name, state.second_moments[i]});
  }
  return tensors;
}

json json_of(const Position& position) {
  return {{"epoch", position.epoch},           {"step", position.step},
          {"steps", position.steps},           {"loss_sum", position.loss_sum},
          {"epoch_loss", position.epoch_loss}, {"seconds", position.seconds}};
}

Position position_from(const json& parameters, const fs::path& path) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  const json& position = entry(parameters, "position", path);
  return {.epoch = whole_number(position, "epoch", 0, kMost, path),
          .step = whole_number(position, "step", 0, kMost, path),
          .steps = whole_number(position, "steps", 0, kMost, path),
          .loss_sum = finite_number(position, "loss_sum", path),
          .epoch_loss = finite_number(position, "epoch_loss", path),
          .seconds = finite_number(position, "seconds", path)};
}

/// What `there` says at all is as `here` says it; a file of an earlier version says less.
bool agrees(const json& there, const json& here) {
  if (!there.is_object() || !here.is_object()) return there == here;
  for (const auto& [name, value] : there.items()) {
    if (!here.contains(name) || !agrees(value, here.at(name))) return false;
  }
  return true;
}

void require_same_structure(const json& parameters, const Subject& subject, const fs::path& path) {
  for (const auto& [name, value] : subject.structure.items()) {
    if (agrees(entry(parameters, name.c_str(), path), value)) continue;
    throw UsageError(path.string() + ": holds another " + name + " than this run's; choose another `output`");
  }
}

/// What a person would change.
std::string changed_by(const Subject& subject, const std::string& name) {
  if (const auto place = subject.changed_by.find(name); place != subject.changed_by.end()) return place->second;
  return "`" + name + "`";
}

}  // namespace

void save_checkpoint(const fs::path& path, const Subject& subject, const std::vector<NamedTensor>& parameters,
                     const Adam& adam, const Position& position) {
  ensure(adam.state().steps == position.steps, "the optimizer stands where the training does");
  json header = subject.structure;
  header["training"] = subject.identity;
  header["position"] = json_of(position);
  save_tensors(path, {kCheckpointSchema, kVersion, header}, tensors_of(parameters, adam.state()));
}

Position load_checkpoint(const fs::path& path, const Subject& subject, const std::vector<NamedTensor>& parameters,
                         Adam& adam) {
  const store::Store store(path, kCheckpointSchema);
  require_same_training(training_of(store), subject, path);
  require_same_structure(store.header().parameters, subject, path);
  const Position position = position_from(store.header().parameters, path);
  const std::vector<NamedTensor> targets = tensors_of(parameters, adam.state());
  copy_into(targets, read_tensors(store, targets));
  Adam::State state = adam.state();
  state.steps = position.steps;
  adam.restore(state);
  return position;
}

json training_of(const store::Store& store) {
  const json& training = entry(store.header().parameters, "training", store.path());
  if (!training.is_object()) throw DataError(store.path().string() + ": 'training' in its parameters is no object");
  return training;
}

void require_same_training(const json& there, const Subject& subject, const fs::path& path) {
  const json& here = subject.identity;
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
    throw UsageError(path.string() + ": is of a training with other options: " + changed_by(subject, name) + " is " +
                     text(one) + " there and " + text(other) +
                     " here; give the same options to go on with it, or choose another `output`");
  }
}

}  // namespace outsole::learn
