#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "machine/device.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "job.h"
#include "plan.h"
#include "report/loss_figure.h"
#include "wear/training_plan.h"
#include "wear/trainer.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

void add_options(po::options_description& options) {
  const wear::TrainOptions defaults;
  options.add_options()                                                                                 //
      ("scans", po::value<std::string>()->value_name("NAME.h5")->required(), "the scans, as prepared")  //
      ("task", po::value<std::string>()->value_name("prediction|reconstruction")->required(),
       "learn what an outsole will look like so many weeks later, or what it looked like in a given week")  //
      ("split", po::value<std::string>()->value_name("time|shoe|pair")->default_value("time"),
       "what a fifth of is held out: of every shoe the last weeks (reconstruction: the first), or whole shoes or "
       "pairs of shoes")  //
      ("seed", po::value<std::uint64_t>()->value_name("N")->default_value(defaults.seed),
       "of first weights, order of pairs, and what is held out by shoe or pair")  //
      ("epochs", po::value<std::int64_t>()->value_name("N")->default_value(defaults.epochs),
       "passes over all pairs")                                                                           //
      ("minutes", po::value<double>()->value_name("M"), "end after so much training, whatever --epochs")  //
      ("batch", po::value<std::int64_t>()->value_name("N")->default_value(defaults.batch),
       "pairs a step, shared by the ranks")                                                           //
      ("learning-rate", po::value<std::string>()->value_name("R")->default_value("1e-5"), "of Adam")  //
      ("ssim-weight", po::value<double>()->value_name("W")->default_value(defaults.ssim_weight),
       "lessen not only the mean squared difference, but with so much weight structural dissimilarity (1 - SSIM) "
       "too")  //
      ("schedule", po::value<std::string>()->value_name("constant|cosine")->default_value("constant"),
       "the learning rate, always; or a short rise and half a cosine down to nothing at the last of --epochs")  //
      ("network", po::value<std::string>()->value_name("paper|residual")->default_value("paper"),
       "the paper's, which draws an outsole from memory; or one that learns the change of what it is given, for shoes "
       "it has not seen")  //
      ("shift-px", po::value<std::int64_t>()->value_name("N")->default_value(defaults.movements.most_px),
       "each epoch moves each pair at random by up to so many pixels, up or down and left or right")  //
      ("mirror", po::bool_switch(), "each epoch mirrors half of the pairs, left to right")            //
      ("first-maps", po::value<std::int64_t>()->value_name("N")->default_value(defaults.first_maps),
       "maps of the encoder's first layer; each of the further four has twice as many")  //
      ("time-hidden", po::value<std::int64_t>()->value_name("N")->default_value(defaults.time_hidden),
       "width of the first layer of the time branch")  //
      ("time-maps", po::value<std::int64_t>()->value_name("N")->default_value(defaults.time_maps),
       "maps that the time branch gives the decoder")                               //
      ("mixed-precision", po::bool_switch(), "on a GPU: convolutions in bfloat16")  //
      ("checkpoint-minutes", po::value<double>()->value_name("M")->default_value(defaults.checkpoint_minutes),
       "time between checkpoints")  //
      ("keep-checkpoints", po::value<std::int64_t>()->value_name("N")->default_value(defaults.keep_checkpoints),
       "how many are kept")  //
      ("output", po::value<std::string>()->value_name("RUN_DIR")->required(), "the folder to write");
}

/// Text, so that help shows 1e-5 as people write it.
double parse_learning_rate(const std::string& text) {
  std::size_t end = 0;
  try {
    const double rate = std::stod(text, &end);
    if (end == text.size() && std::isfinite(rate) && rate > 0) return rate;
  } catch (const std::logic_error&) {
  }
  throw UsageError("--learning-rate " + text + ": expected a positive number, as in 1e-5");
}

wear::TrainOptions parse(const po::variables_map& options, const JobContext& context) {
  wear::TrainOptions train;
  train.scans = options["scans"].as<std::string>();
  train.output = options["output"].as<std::string>();
  train.task = wear::parse_task(options["task"].as<std::string>());
  train.split = wear::parse_split(options["split"].as<std::string>());
  train.seed = options["seed"].as<std::uint64_t>();
  train.epochs = options["epochs"].as<std::int64_t>();
  if (options.count("minutes") > 0) train.minutes = options["minutes"].as<double>();
  train.batch = options["batch"].as<std::int64_t>();
  train.adam.learning_rate = parse_learning_rate(options["learning-rate"].as<std::string>());
  train.ssim_weight = options["ssim-weight"].as<double>();
  train.schedule = learn::parse_schedule(options["schedule"].as<std::string>());
  train.network = wear::parse_network_kind(options["network"].as<std::string>());
  train.movements = {options["shift-px"].as<std::int64_t>(), options["mirror"].as<bool>()};
  train.first_maps = options["first-maps"].as<std::int64_t>();
  train.time_hidden = options["time-hidden"].as<std::int64_t>();
  train.time_maps = options["time-maps"].as<std::int64_t>();
  train.mixed_precision = options["mixed-precision"].as<bool>();
  train.checkpoint_minutes = options["checkpoint-minutes"].as<double>();
  train.keep_checkpoints = options["keep-checkpoints"].as<std::int64_t>();
  train.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  train.device = machine::choose_device(context.common.device, context.comm);
  train.command_line = context.command_line;
  return train;
}

/// RUN_DIR/history.svg; nothing before the first epoch is done.
void draw_losses(const wear::TrainOptions& train) {
  const fs::path history = train.output / "history.csv";
  if (!fs::exists(history)) return;
  const auto losses = report::read_losses(history);
  if (losses.empty()) return;
  const std::string title = name_of(train.task) + " of wear, split by " + name_of(train.split);
  write_file_atomically(train.output / "history.svg", report::loss_figure(losses, title));
}

void print_summary(const wear::TrainSummary& summary, const wear::TrainOptions& train) {
  const std::string model = (train.output / "model.h5").string();
  if (summary.was_finished) std::printf("%s was there already, trained by the same options\n", model.c_str());
  std::printf("%s: %lld epochs, %lld steps, loss %.6f\n", model.c_str(), static_cast<long long>(summary.epochs),
              static_cast<long long>(summary.steps), summary.loss);
  if (summary.stands_still) {
    std::printf(
        "It has learned nothing: its loss stands still. Start anew in another folder with a lower --learning-rate\n");
  }
}

void run(const po::variables_map& options, const JobContext& context) {
  wear::TrainOptions train;
  context.comm.together([&] { train = parse(options, context); });
  if (context.common.plan) return print_plan(context, [&] { return wear::training_plan(context.comm, train); });
  const wear::TrainSummary summary = wear::train(train, context.comm);
  context.comm.together([&] {
    if (!context.comm.is_root()) return;
    draw_losses(train);
    print_summary(summary, train);
  });
}

}  // namespace

Job train_job() {
  return {
      "train",
      "learn how outsoles wear from prepared scans",
      "",
      "Examples:\n"
      "  mpirun -n 2 outsole train --scans prepared.h5 --task prediction --output forward/\n"
      "  mpirun -n 2 outsole train --scans prepared.h5 --task prediction --network residual --schedule cosine \\\n"
      "      --learning-rate 1e-3 --batch 8 --ssim-weight 8 --epochs 30 --output forward/\n"
      "The first are the paper's settings, for days on GPUs; the second a start for minutes on a few cores. With shoes "
      "held\n"
      "out, --shift-px 4 --mirror help. Where the loss stands still from the start, lower --learning-rate.\n"
      "RUN_DIR holds model.h5 at the end, history.csv (a line an epoch: losses, time) with history.svg, and "
      "checkpoints/.\n"
      "Stopped by TERM or by a crash, the same command carries on from the newest checkpoint, on any number of ranks.\n"
      "The same command with more --epochs or --minutes goes on with a finished run (not with --schedule cosine, "
      "which\n"
      "--epochs shape); other options want another folder.\n"
      "A step's batch is shared by the ranks: the result does not depend on their number but for rounding.\n",
      add_options,
      run};
}

}  // namespace outsole::jobs
