#include "wear/predict.h"

#include <spdlog/fmt/fmt.h>

#include <cstdio>

#include "account.h"
#include "comm/partition.h"
#include "job.h"
#include "machine/device.h"
#include "plan.h"
#include "report/wear_strip.h"
#include "wear/prediction_plan.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct PredictJob {
  wear::PredictOptions predict;
  fs::path folder;
  std::optional<cv::Rect> crop;  // of the pictures
  bool makes_pictures = true;
};

std::vector<double> parse_weeks(const std::string& text) {
  return parse_list<double>(text, 0, "not a list of weeks like 8,24,34");
}

/// "y,x,HxW".
cv::Rect parse_crop(const std::string& text) {
  int y = -1, x = -1, height = 0, width = 0, used = 0;
  const int read = std::sscanf(text.c_str(), "%6d,%6d,%6dx%6d%n", &y, &x, &height, &width, &used);
  if (read != 4 || text.size() != static_cast<std::size_t>(used) || y < 0 || x < 0 || height < 1 || width < 1) {
    throw UsageError("not of the form Y,X,HxW, such as 400,60,120x120");
  }
  return {x, y, width, height};
}

void declare_predict(PredictJob& own, Options& options) {
  wear::PredictOptions& predict = own.predict;
  options.add("model", "model.h5", predict.model, "what train wrote").required();
  options
      .add("input", "NAME.h5|IMAGE|DIR...", predict.input,
           "a prepared store, or images that look like prepared ones: cropped, toes up, the outsole in the middle")
      .required();
  options
      .add_parsed("weeks", "N,N...", predict.weeks, parse_weeks, "",
                  "prediction: so many weeks later (0 to 52); reconstruction: in that week since the first scan")
      .required();
  options.add_parsed("task", "prediction|reconstruction", predict.task, wear::parse_task, "",
                     "refuse a model of the other task");
  options.add("ids", "ID...", predict.choice.ids, "only these scans of the store");
  options.add_parsed("input-weeks", "N,N...", predict.choice.weeks, parse_weeks, "",
                     "only scans of the store of these weeks; of a shoe without, the nearest within two weeks");
  options.add_switch("recursive", predict.choice.recursive, "images in folders below the folders of images, too");
  options.add_switch("at-input-size", predict.at_input_size,
                     "work at the input's own resolution, in overlapping parts of the model's size: for models of "
                     "parts");
  options
      .add("split-ranks", "K", predict.split_ranks,
           "K ranks hold an image together, each a slab of its rows: for models that one rank cannot hold")
      .at_least(1)
      .not_with("at-input-size");
  options
      .add_parsed("crop", "Y,X,HxW", own.crop, parse_crop, "",
                  "also picture this part enlarged: first row and column, height and width in pixels of the "
                  "predictions")
      .not_with("no-pictures");
  options.add_switch("no-pictures", own.makes_pictures, "write only predictions.h5");
  options.add("output", "DIR", own.folder, "folder of predictions.h5 and the pictures").required();
}

/// Each rank pictures its share of the inputs.
void write_pictures(const wear::PredictOptions& predict, const std::optional<cv::Rect>& crop,
                    const comm::Communicator& comm) {
  const wear::WearInputs inputs(comm, predict.input, predict.choice);
  comm.together([&] {
    const comm::UnitRange mine = comm::units_of(inputs.size(), comm.rank(), comm.size());
    report::write_wear_pictures({predict.output, predict.output.parent_path(), crop}, inputs, mine.begin, mine.end);
  });
}

std::string summary_text(const wear::PredictSummary& summary, const PredictJob& own) {
  const fs::path& output = own.predict.output;
  std::string text = fmt::format("{}: {} images{}\n", output.string(), summary.predictions,
                                 summary.was_finished ? ", there already" : "");
  if (summary.refused > 0) text += fmt::format("{} inputs left out\n", summary.refused);
  const bool is_store = own.predict.input.size() == 1 && own.predict.input.front().extension() == ".h5";
  return is_store ? text : text + account_text(summary.facts.inputs, summary.not_read);
}

Report run_predict(PredictJob& own, const JobContext& context) {
  wear::PredictOptions& predict = own.predict;
  predict.output = own.folder / "predictions.h5";
  predict.memory_bytes = context.memory_bytes();
  predict.strict = context.common.strict;
  predict.command_line = context.command_line;
  context.comm.together([&] { predict.device = machine::choose_device(context.common.device, context.comm); });
  if (context.common.plan) return plan_report(wear::prediction_plan(context.comm, predict), context);
  const wear::PredictSummary summary = wear::predict(context.comm, predict);
  if (own.makes_pictures) write_pictures(predict, own.crop, context.comm);
  return [=] { return summary_text(summary, own); };
}

}  // namespace

Job predict_job() {
  return make_job(
      {"predict", "show outsoles as they will wear, or as they were in a given week", "",
       "Examples:\n"
       "  outsole predict --model forward/model.h5 --input prepared.h5 --input-weeks 48 --weeks 8,24,34 \\\n"
       "      --output predictions\n"
       "  outsole predict --model backward/model.h5 --input prepared.h5 --input-weeks 42 --weeks 20 \\\n"
       "      --crop 400,60,120x120 --output reconstructions\n"
       "Writes predictions.h5; of each input ID.weeks_NN.png and ID.strip.png: the input, the model's images and,\n"
       "framed in blue, the truth where the store has a scan of the same shoe within a week. An image of another\n"
       "size than the model's is fitted to it on white paper.\n"},
      declare_predict, run_predict);
}

}  // namespace outsole::jobs
