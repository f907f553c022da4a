#include "wear/predict.h"

#include <spdlog/spdlog.h>

#include <cmath>
#include <limits>
#include <set>
#include <span>

#include "comm/from_root.h"
#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "machine/memory_budget.h"
#include "store/make_store.h"
#include "wear/predictor.h"
#include "wear/tiles.h"

namespace outsole::wear {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kUnits = 512;  // inputs share a shard when there are more of them

/// One picture to make.
struct Question {
  double weeks = 0;
  double target_week = std::numeric_limits<double>::quiet_NaN();  // since the shoe's first scan; NaN: unknown
  std::string truth_id;  // of the store's scan of that week; empty: there is none
};

/// What every rank knows before the first picture.
struct Work {
  Predictor model;
  WearInputs inputs;
  std::vector<std::vector<Question>> questions;  // of each input
  PredictFacts facts;
};

/// Throws UsageError for a time that the task does not reach.
void check_weeks(Task task, const std::vector<double>& weeks) {
  if (weeks.empty()) throw UsageError("name the weeks to show");
  std::vector<float> encoded(static_cast<std::size_t>(wear::time_inputs(task)));
  for (const double week : weeks) wear::encode_time(task, week, encoded);
}

std::vector<Question> questions_of(std::int64_t input, const WearInputs& inputs, Task task,
                                   const std::vector<double>& weeks) {
  std::vector<Question> questions;
  const PreparedInfo* scan = inputs.scan(input);
  for (const double week : weeks) {
    Question question;
    question.weeks = week;
    if (task == Task::kReconstruction) question.target_week = week;
    if (scan != nullptr) {
      if (task == Task::kPrediction) question.target_week = scan->subject.week + week;
      if (task == Task::kReconstruction && week > scan->subject.week) continue;
      if (const auto row = inputs.row_of_week(input, question.target_week)) {
        question.truth_id = inputs.scan_of_row(*row).id;
      }
    }
    questions.push_back(question);
  }
  return questions;
}

/// Of a rank. Throws EnvironmentError when it may not use as much.
std::int64_t needed_memory(const Work& work, const PredictOptions& options) {
  constexpr std::int64_t kBytesAPixel = 200;      // the network's largest maps and the images
  constexpr std::int64_t kImageBytesAPixel = 30;  // of that, images that a team's first rank has whole
  const std::int64_t bytes_a_pixel = kImageBytesAPixel + (kBytesAPixel - kImageBytesAPixel) / options.split_ranks;
  const std::int64_t bytes = machine::kProcessBytes + bytes_a_pixel * std::int64_t{work.model.size().area()};
  machine::ensure_memory(options.memory_bytes, bytes, "images of the model's size");
  return bytes;
}

/// Asks the questions and counts them.
void ask(Work& work, const PredictOptions& options) {
  const Task task = work.model.task();
  if (options.task && *options.task != task) {
    throw UsageError(options.model.string() + ": is a model of " + name_of(task) + ", not of " +
                     name_of(*options.task));
  }
  check_weeks(task, options.weeks);
  if (options.at_input_size && options.split_ranks > 1) {
    throw UsageError("`at_input_size`: works on parts of the model's size, not with `split_ranks`");
  }
  work.facts.memory_bytes = needed_memory(work, options);
  for (std::int64_t input = 0; input < work.inputs.size(); ++input) {
    work.questions.push_back(questions_of(input, work.inputs, task, options.weeks));
    work.facts.predictions += std::ssize(work.questions.back());
  }
  if (work.facts.predictions == 0) throw UsageError("every wanted week is later than the scans it is asked of");
  work.facts.task = task;
  work.facts.inputs = work.inputs.size();
  work.facts.unit_inputs = divide_up(work.facts.inputs, kUnits);
  work.facts.units = divide_up(work.facts.inputs, work.facts.unit_inputs);
  work.facts.height_px = work.model.size().height;
  work.facts.width_px = work.model.size().width;
  work.facts.flops_per_image = work.model.flops();
}

/// Collective.
Work open_work(const comm::Communicator& comm, const PredictOptions& options) {
  auto model = Predictor::open_together(comm, options.model, options.device);
  model.split(comm, options.split_ranks);
  Work work{std::move(model), WearInputs(comm, options.input, options.choice), {}, {}};
  comm.together([&] { ask(work, options); });
  return work;
}

/// Where images are split, empty but on the rank of its team that gets them.
cv::Mat1b answered(const Work& work, const cv::Mat1b& image, double weeks, const PredictOptions& options) {
  if (options.at_input_size) {
    return wear::answer_in_tiles(image, work.model.size(),
                                 [&](const cv::Mat1b& tile) { return work.model(tile, weeks); });
  }
  cv::Mat1b result;
  work.model(fitted_on_paper(image, work.model.size()), weeks).convertTo(result, CV_8U);
  return result;
}

/// The rows of a unit in the making.
struct Rows {
  std::vector<std::string> input_id, truth_id;
  std::vector<double> weeks, target_week;
  std::vector<std::int32_t> height_px, width_px;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> lengths;

  void add(const std::string& id, const Question& question, const cv::Mat1b& picture) {
    input_id.push_back(id);
    truth_id.push_back(question.truth_id);
    weeks.push_back(question.weeks);
    target_week.push_back(question.target_week);
    height_px.push_back(picture.rows);
    width_px.push_back(picture.cols);
    pixels.insert(pixels.end(), picture.begin(), picture.end());
    lengths.push_back(static_cast<std::int64_t>(picture.total()));
  }

  store::Columns columns() && {
    const std::vector<std::int64_t> shape{std::ssize(weeks)};
    return {{"input_id", {shape, std::move(input_id), {}}},
            {"truth_id", {shape, std::move(truth_id), {}}},
            {"weeks", {shape, std::move(weeks), {}}},
            {"target_week", {shape, std::move(target_week), {}}},
            {"height_px", {shape, std::move(height_px), {}}},
            {"width_px", {shape, std::move(width_px), {}}},
            {"pixels", {shape, std::move(pixels), std::move(lengths)}}};
  }
};

void add_input(const Work& work, std::int64_t input, const PredictOptions& options, Rows& rows) {
  const auto& questions = work.questions[static_cast<std::size_t>(input)];
  if (questions.empty()) return;
  cv::Mat1b image;
  try {
    work.model.together([&] { image = work.inputs.image(input); });
  } catch (const DataError& error) {
    if (options.strict) throw;
    spdlog::warn("left out {}", error.what());
    return;
  }
  for (const Question& question : questions) {
    const cv::Mat1b picture = answered(work, image, question.weeks, options);
    if (work.model.gets_images()) rows.add(work.inputs.id(input), question, picture);
  }
}

store::Columns rows_of_unit(const Work& work, std::int64_t unit, const PredictOptions& options) {
  Rows rows;
  const std::int64_t begin = unit * work.facts.unit_inputs, end = begin + work.facts.unit_inputs;
  for (std::int64_t input = begin; input < std::min(end, work.facts.inputs); ++input) {
    add_input(work, input, options, rows);
  }
  return std::move(rows).columns();
}

/// Each team makes its part of the units, one a turn, all its ranks together; its first rank writes them. Collective.
void make_in_teams(const comm::Communicator& comm, const Work& work, const PredictOptions& options,
                   std::span<const std::int64_t> missing, store::StoreWriter& writer) {
  const int teams = comm.size() / options.split_ranks;
  const comm::UnitRange own = comm::units_of(std::ssize(missing), comm.rank() / options.split_ranks, teams);
  Progress progress(name_of(work.facts.task), "units", std::ssize(missing), comm.is_root(), 0);
  for (std::int64_t turn = 0; turn < divide_up(std::ssize(missing), teams); ++turn) {
    store::leave_if_asked_to_stop(comm);
    comm.together_by_teams([&] {
      if (turn >= own.size()) return;
      const std::int64_t unit = missing[static_cast<std::size_t>(own.begin + turn)];
      comm::now_doing(name_of(work.facts.task) + " unit " + std::to_string(unit));
      store::Columns columns = rows_of_unit(work, unit, options);
      work.model.together([&] {
        if (work.model.gets_images()) writer.write_unit(unit, columns);
      });
    });
    progress.advance(std::min<std::int64_t>(teams, std::ssize(missing) - turn * teams));
  }
}

store::StoreHeader header_of(const Work& work, const std::string& inputs_sha256, const PredictOptions& options) {
  return {kPredictionsSchema,
          1,
          {{"model_sha256", work.model.sha256()},
           {"task", name_of(work.facts.task)},
           {"inputs_sha256", inputs_sha256},
           {"inputs", work.facts.inputs},
           {"weeks", options.weeks},
           {"at_input_size", options.at_input_size}}};
}

/// Counts what came of it. Predictions without a row are none: they are removed, and DataError says so.
void count(const Work& work, const fs::path& output, PredictSummary& summary) {
  const auto ids = std::get<std::vector<std::string>>(store::Store(output, kPredictionsSchema).read("input_id").values);
  summary.predictions = std::ssize(ids);
  const auto asked = std::ranges::count_if(work.questions, [](const auto& questions) { return !questions.empty(); });
  summary.refused = asked - std::ssize(std::set<std::string>(ids.begin(), ids.end()));
  if (!ids.empty()) return;
  store::remove_store(output);
  throw DataError("none of the " + std::to_string(work.facts.inputs) + " inputs can be read; the first is '" +
                  work.inputs.id(0) + "'");
}

}  // namespace

PredictFacts prediction_facts(const comm::Communicator& comm, const PredictOptions& options) {
  return open_work(comm, options).facts;
}

PredictSummary predict(const comm::Communicator& comm, const PredictOptions& options) {
  const Work work = open_work(comm, options);
  const std::string inputs_sha256 = comm::from_root(comm, [&] { return work.inputs.sha256(); });
  PredictSummary summary;
  summary.facts = work.facts;

  store::StoreJob job;
  job.output = options.output;
  job.header = header_of(work, inputs_sha256, options);
  job.units = work.facts.units;
  job.doing = name_of(work.facts.task);
  job.command_line = options.command_line;
  job.make = [&](std::int64_t unit, store::Columns) { return rows_of_unit(work, unit, options); };
  if (options.split_ranks > 1) {
    job.make_together = [&](std::span<const std::int64_t> missing, store::StoreWriter& writer) {
      make_in_teams(comm, work, options, missing, writer);
    };
  }
  job.conclude = [&](bool) {
    count(work, options.output, summary);
    summary.not_read = work.inputs.not_read();
    nlohmann::json details = job.header.parameters;
    details["account"] = account_of(static_cast<std::size_t>(work.inputs.size()), summary.not_read);
    return details;
  };
  summary.was_finished = store::make_store(comm, job);
  return summary;
}

}  // namespace outsole::wear
