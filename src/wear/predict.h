#pragma once
// Images of the past or future of outsoles, by a trained model, over ranks.

#include <ATen/Device.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "wear/time_encoding.h"
#include "wear/wear_inputs.h"

namespace outsole::wear {

inline constexpr char kPredictionsSchema[] = "outsole.predictions";

struct PredictOptions {
  std::filesystem::path model;               // model.h5
  std::vector<std::filesystem::path> input;  // images, or a store of schema outsole.prepared
  WearInputs::Choice choice;                 // of them
  std::vector<double> weeks;                 // prediction: weeks later; reconstruction: weeks since the first scan
  std::optional<Task> task;                  // that the model must be of
  std::filesystem::path output;              // NAME.h5
  bool at_input_size = false;  // the model works on overlapping parts of the input at the input's own resolution
  int split_ranks = 1;         // that hold an image together, each a slab of its rows
  at::Device device = at::kCPU;
  std::int64_t memory_bytes = std::int64_t{4} << 30;
  bool strict = false;
  std::vector<std::string> command_line;
};

struct PredictFacts {
  Task task = Task::kPrediction;
  std::int64_t inputs = 0, predictions = 0;
  std::int64_t unit_inputs = 1, units = 0;   // inputs of a unit; units
  std::int64_t height_px = 0, width_px = 0;  // of the model
  double flops_per_image = 0;                // of the model's size
  std::int64_t memory_bytes = 0;             // of a rank, estimated
};

struct PredictSummary {
  PredictFacts facts;
  std::int64_t predictions = 0;
  std::int64_t refused = 0;       // inputs that could not be read
  std::vector<NotRead> not_read;  // what lies among the image files besides
  bool was_finished = false;
};

/// What predict would do. Collective; throws as predict.
PredictFacts prediction_facts(const comm::Communicator& comm, const PredictOptions& options);

/// Writes a store of schema outsole.predictions: a row for each input and time. A reconstruction takes of a store's
/// scan only weeks up to its own. Inputs of another size than the model's are fitted on paper (fitted_on_paper), unless
/// `at_input_size`. Units that exist from an earlier, interrupted run of the same command are kept. Throws UsageError
/// for times the model does not reach and a model of another task; DataError for a damaged model or when no input can
/// be read. An image that cannot be read is told, counted and left out (`strict`: DataError). Collective.
PredictSummary predict(const comm::Communicator& comm, const PredictOptions& options);

}  // namespace outsole::wear
