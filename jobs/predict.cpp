#include "wear/predict.h"

#include <cmath>
#include <cstdio>
#include <sstream>

#include "machine/device.h"
#include "comm/partition.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "job.h"
#include "report/wear_strip.h"
#include "scaling.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

void add_options(po::options_description& options) {
  options.add_options()                                                                            //
      ("model", po::value<std::string>()->value_name("model.h5")->required(), "what train wrote")  //
      ("input", po::value<std::vector<std::string>>()->multitoken()->value_name("NAME.h5|IMAGE|DIR...")->required(),
       "a prepared store, or images that look like prepared ones: cropped, toes up, the outsole in the middle")  //
      ("weeks", po::value<std::string>()->value_name("N,N...")->required(),
       "prediction: so many weeks later (0 to 52); reconstruction: in that week since the first scan")  //
      ("task", po::value<std::string>()->value_name("prediction|reconstruction"),
       "refuse a model of the other task")  //
      ("ids", po::value<std::vector<std::string>>()->multitoken()->value_name("ID..."),
       "only these scans of the store")                                                                          //
      ("input-weeks", po::value<std::string>()->value_name("N,N..."), "only scans of the store of these weeks")  //
      ("at-input-size", po::bool_switch(),
       "work at the input's own resolution, in overlapping parts of the model's size: for models of parts")  //
      ("crop", po::value<std::string>()->value_name("Y,X,HxW"),
       "also picture this part enlarged: first row and column, height and width in pixels of the predictions")  //
      ("no-pictures", po::bool_switch(), "write only predictions.h5")                                           //
      ("output", po::value<std::string>()->value_name("DIR")->required(), "folder of predictions.h5 and the pictures");
  add_scaling_options(options);
}

std::vector<double> parse_weeks(const std::string& text, const std::string& option) {
  std::vector<double> weeks;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) {
    std::size_t used = 0;
    double week = -1;
    try {
      week = std::stod(word, &used);
    } catch (const std::exception&) {
    }
    if (used == 0 || used != word.size() || !std::isfinite(week) || week < 0) {
      throw UsageError("--" + option + " " + text + ": not a list of weeks like 8,24,34");
    }
    weeks.push_back(week);
  }
  return weeks;
}

/// "y,x,HxW".
cv::Rect parse_crop(const std::string& text) {
  int y = -1, x = -1, height = 0, width = 0, used = 0;
  const int read = std::sscanf(text.c_str(), "%6d,%6d,%6dx%6d%n", &y, &x, &height, &width, &used);
  if (read != 4 || text.size() != static_cast<std::size_t>(used) || y < 0 || x < 0 || height < 1 || width < 1) {
    throw UsageError("--crop " + text + ": not of the form Y,X,HxW, such as 400,60,120x120");
  }
  return {x, y, width, height};
}

wear::PredictOptions parse(const po::variables_map& options, const JobContext& context) {
  wear::PredictOptions predict;
  predict.model = options["model"].as<std::string>();
  for (const auto& input : options["input"].as<std::vector<std::string>>()) predict.input.emplace_back(input);
  predict.weeks = parse_weeks(options["weeks"].as<std::string>(), "weeks");
  if (options.count("task") > 0) predict.task = wear::parse_task(options["task"].as<std::string>());
  if (options.count("ids") > 0) predict.choice.ids = options["ids"].as<std::vector<std::string>>();
  if (options.count("input-weeks") > 0) {
    predict.choice.weeks = parse_weeks(options["input-weeks"].as<std::string>(), "input-weeks");
  }
  predict.output = fs::path(options["output"].as<std::string>()) / "predictions.h5";
  predict.at_input_size = options["at-input-size"].as<bool>();
  predict.device = machine::choose_device(context.common.device, context.comm);
  predict.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  predict.strict = context.common.strict;
  predict.command_line = context.command_line;
  return predict;
}

void print_plan(const wear::PredictPlan& plan, const wear::PredictOptions& predict, int ranks,
                const po::variables_map& options) {
  std::printf("task          %s\n", wear::name_of(plan.task).c_str());
  std::printf("predictions   %lld of %lld inputs, model of %lld x %lld pixels\n",
              static_cast<long long>(plan.predictions), static_cast<long long>(plan.inputs),
              static_cast<long long>(plan.height_px), static_cast<long long>(plan.width_px));
  std::printf("work          %.2f GFLOP an image of that size, on %d ranks\n", plan.flops_per_image / 1e9, ranks);
  if (predict.at_input_size || !predict.device.is_cpu()) {
    std::printf("time          not planned on a GPU or with --at-input-size, and so nothing for --plan-ranks\n");
    return;
  }
  constexpr double kOfMatrixProduct = 0.5;  // what a step of training reaches (bench_train)
  const double gflops = machine::measured_sgemm_gflops();
  machine::JobWork work;
  work.partitions = {{"units", plan.units}};
  work.compute_s = static_cast<double>(plan.predictions) * plan.flops_per_image / (kOfMatrixProduct * 1e9 * gflops);
  work.written_bytes = static_cast<double>(plan.predictions * plan.height_px * plan.width_px);
  work.memory_bytes = static_cast<double>(plan.memory_bytes);
  // No line for slurm/allocation.sh: pictures and files are not counted, so that its time limit would be too short.
  std::printf(
      "time          about %s without pictures, at half of a matrix product's %.0f GFLOP/s a rank, measured now\n",
      format_duration(machine::predict_on(ranks, work, {}).compute_s).c_str(), gflops);
  print_scaling(work, options);
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

void run(const po::variables_map& options, const JobContext& context) {
  wear::PredictOptions predict;
  std::optional<cv::Rect> crop;
  context.comm.together([&] {
    predict = parse(options, context);
    if (options.count("crop") > 0) crop = parse_crop(options["crop"].as<std::string>());
  });
  if (context.common.plan) {
    const wear::PredictPlan plan = wear::plan_prediction(context.comm, predict);
    context.comm.together([&] {
      if (context.comm.is_root()) print_plan(plan, predict, context.comm.size(), options);
    });
    return;
  }
  const wear::PredictSummary summary = wear::predict(context.comm, predict);
  if (!options["no-pictures"].as<bool>()) write_pictures(predict, crop, context.comm);
  if (!context.comm.is_root()) return;
  std::printf("%s: %lld images%s\n", predict.output.c_str(), static_cast<long long>(summary.predictions),
              summary.was_finished ? ", there already" : "");
  if (summary.refused > 0) std::printf("%lld inputs left out\n", static_cast<long long>(summary.refused));
}

}  // namespace

Job predict_job() {
  return {"predict",
          "show outsoles as they will wear, or as they were in a given week",
          "",
          "Examples:\n"
          "  outsole predict --model forward/model.h5 --input prepared.h5 --input-weeks 48 --weeks 8,24,34 \\\n"
          "      --output predictions\n"
          "  outsole predict --model backward/model.h5 --input prepared.h5 --input-weeks 42 --weeks 20 \\\n"
          "      --crop 400,60,120x120 --output reconstructions\n"
          "Writes predictions.h5; of each input ID.weeks_NN.png and ID.strip.png: the input, the model's images and,\n"
          "framed in blue, the truth where the store has a scan of the same shoe within a week. An image of another\n"
          "size than the model's is fitted to it on white paper.\n",
          add_options,
          run};
}

}  // namespace outsole::jobs
