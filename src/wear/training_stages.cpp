#include "wear/training_stages.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/provenance.h"
#include "learn/checkpoint.h"
#include "learn/run_folder.h"
#include "learn/tensor_file.h"
#include "wear/model_file.h"

namespace outsole::wear {

namespace {

namespace fs = std::filesystem;

/// Gives `field` the stage's value of a list.
template <typename Value, typename Field>
void choose(const std::vector<Value>& values, std::size_t stage, std::size_t stages, const std::string& option,
            Field& field) {
  if (values.empty()) return;
  if (values.size() > 1 && values.size() != stages) {
    throw UsageError("`" + option + "`: " + std::to_string(values.size()) + " values for " +
                     (stages > 1 ? std::to_string(stages) + " `sizes`" : "one training") +
                     "; give one value, or one for each of the `sizes`");
  }
  field = values[values.size() == 1 ? 0 : stage];
}

TrainOptions chosen(TrainOptions options, const StageLists& lists, std::size_t stage, std::size_t stages) {
  choose(lists.epochs, stage, stages, "epochs", options.epochs);
  choose(lists.batch, stage, stages, "batch", options.batch);
  choose(lists.learning_rate, stage, stages, "learning_rate", options.adam.learning_rate);
  choose(lists.minutes, stage, stages, "minutes", options.minutes);
  return options;
}

void require_larger(ShownSize size, ShownSize before, const std::string& name) {
  if (size.height_px >= before.height_px && size.width_px >= before.width_px && size != before) return;
  throw UsageError("`sizes`: " + name + " (" + name_of(size) + " pixels) is not larger than " + name_of(before) +
                   " before it; they go from coarse to fine");
}

/// Throws UsageError where the folder holds a training of the other kind.
void require_kind(const fs::path& output, bool has_stages) {
  const auto holds_run = [](const fs::path& folder) { return fs::exists(folder / "checkpoints"); };
  if (has_stages && holds_run(output)) {
    throw UsageError(output.string() + ": holds a training without `sizes`; choose another `output`");
  }
  if (has_stages || !fs::is_directory(output)) return;
  for (const auto& entry : fs::directory_iterator(output)) {
    if (!entry.is_directory() || !holds_run(entry.path())) continue;
    throw UsageError(output.string() + ": holds a training in stages (" + entry.path().filename().string() +
                     "); go on with it by the same `sizes`, or choose another `output`");
  }
}

/// Throws what would keep a later stage from beginning. On one rank.
void require_all_can_be_done(const std::vector<Stage>& stages, int ranks) {
  for (const Stage& stage : stages) {
    TrainOptions alone = stage.options;
    if (&stage != &stages.front()) alone.init.reset();  // it is not there yet
    memory_for_scans(alone, plan_training(alone, ranks));
  }
}

std::string with_decimals(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", value);
  return text.data();
}

/// history.csv of all stages: theirs one after another, what counts up counted on, and the size of each.
void write_history(const fs::path& output, const std::vector<Stage>& stages) {
  std::string text;
  std::int64_t epochs = 0, steps = 0;
  double seconds = 0;
  for (const Stage& stage : stages) {
    const fs::path path = learn::history_path(stage.options.output);
    if (!fs::exists(path)) continue;
    const CsvTable table = read_csv(path);
    const std::size_t epoch = table.column("epoch"), step = table.column("steps"), second = table.column("seconds");
    if (text.empty()) {
      for (const std::string& column : table.columns) text += column + ",";
      text += "size\n";
    }
    std::int64_t epochs_here = 0, steps_here = 0;
    double seconds_here = 0;
    for (std::vector<std::string> row : table.rows) {
      epochs_here = std::strtoll(row[epoch].c_str(), nullptr, 10);
      steps_here = std::strtoll(row[step].c_str(), nullptr, 10);
      seconds_here = std::strtod(row[second].c_str(), nullptr);
      row[epoch] = std::to_string(epochs + epochs_here);
      row[step] = std::to_string(steps + steps_here);
      row[second] = with_decimals(seconds + seconds_here);
      for (const std::string& field : row) text += field + ",";
      text += stage.name + "\n";
    }
    epochs += epochs_here;
    steps += steps_here;
    seconds += seconds_here;
  }
  if (!text.empty()) write_file_atomically(learn::history_path(output), text);
}

std::string sha256_of_model(const fs::path& path) try {
  return fs::exists(path) ? store::Store(path, kModelSchema).sha256() : "";
} catch (const DataError& error) {
  spdlog::warn("{}; it will be written again", error.what());
  return "";
}

/// Makes the last stage's model that of the output folder. On one rank.
void publish_model(const TrainOptions& options, const std::vector<Stage>& stages, int ranks) {
  const fs::path from = learn::model_path(stages.back().options.output), to = learn::model_path(options.output);
  const bool was_there = sha256_of_model(to) == sha256_of_model(from);
  if (!was_there) {
    std::error_code ignored;
    fs::remove(provenance_path(to), ignored);  // of the model that was there
    learn::copy_tensor_store(from, to);
  }
  nlohmann::json names;
  for (const Stage& stage : stages) names.push_back(stage.name);
  write_provenance(to, options.command_line, ranks,
                   {{"training", learn::training_of(store::Store(to, kModelSchema))}, {"stages", names}}, was_there);
}

}  // namespace

std::vector<Stage> stages_of(const TrainOptions& options, const StageLists& lists, ShownSize stored) {
  const std::size_t count = lists.sizes.size();
  if (count == 0) return {{"", chosen(options, lists, 0, 1)}};
  std::vector<Stage> stages;
  for (std::size_t i = 0; i < count; ++i) {
    const ShownSize size = lists.sizes[i].value_or(stored);
    Stage stage{lists.sizes[i] ? name_of(size) : "native", chosen(options, lists, i, count)};
    require_reducible(stored, size, "`sizes`: " + options.scans.string());
    if (i > 0) require_larger(size, lists.sizes[i - 1].value_or(stored), stage.name);
    stage.options.size = lists.sizes[i];
    stage.options.output = options.output / stage.name;
    if (i > 0) stage.options.init = learn::model_path(stages.back().options.output);
    stages.push_back(std::move(stage));
  }
  return stages;
}

TrainSummary train_in_stages(const TrainOptions& options, const StageLists& lists, const comm::Communicator& comm) {
  std::vector<Stage> stages;
  {
    const PreparedStore scans = PreparedStore::open_together(comm, options.scans);
    comm.together([&] { stages = stages_of(options, lists, scans.stored_size()); });
  }
  const bool has_stages = !lists.sizes.empty();
  comm.together([&] {
    if (!comm.is_root()) return;
    require_kind(options.output, has_stages);
    if (has_stages) require_all_can_be_done(stages, comm.size());
  });
  if (!has_stages) return train(stages.front().options, comm);
  TrainSummary summary;
  bool was_finished = true, stands_still = false;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (comm.is_root()) spdlog::info("stage {} of {}: {}", i + 1, stages.size(), stages[i].name);
    summary = train(stages[i].options, comm);
    was_finished = was_finished && summary.was_finished;
    stands_still = stands_still || summary.stands_still;
    comm.together([&] {
      if (comm.is_root()) write_history(options.output, stages);
    });
  }
  comm.together([&] {
    if (comm.is_root()) publish_model(options, stages, comm.size());
  });
  summary.was_finished = was_finished;
  summary.stands_still = stands_still;
  return summary;
}

}  // namespace outsole::wear
