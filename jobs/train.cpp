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
#include "report/loss_figure.h"
#include "scaling.h"
#include "wear/step_time.h"
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
  add_scaling_options(options);
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

/// Every step's batch is cut over the ranks, and its gradients are summed over them. Of all epochs, whatever --minutes.
machine::JobWork work_of(const wear::TrainPlan& plan, const wear::TrainOptions& train, const wear::StepTime& step,
                          int ranks) {
  const std::int64_t batch = std::min(train.batch, plan.training_pairs);
  const auto epochs = static_cast<double>(train.epochs);
  // A forward pass is a third of a step's operations.
  const double pairs = epochs * (static_cast<double>(plan.training_pairs) + plan.judged_pairs / 3);
  machine::JobWork work;
  work.partitions = {{.of = "pairs", .units = batch}};
  for (const auto& [share, seconds] : step.share_s) {
    work.partitions[0].rank_s[share] = seconds * pairs / static_cast<double>(batch);
  }
  work.memory_bytes = static_cast<double>(plan.memory_bytes - divide_up(batch, ranks) * plan.pair_memory_bytes);
  work.unit_memory_bytes = static_cast<double>(plan.pair_memory_bytes);
  work.rounds = train.epochs * plan.steps_per_epoch;
  work.reduced_bytes = static_cast<double>(plan.parameters) * sizeof(float);
  work.sum_bytes_s = step.sum_bytes_s;
  return work;
}

void print_plan(const wear::TrainPlan& plan, const wear::TrainOptions& train, int ranks) {
  std::printf("scans         %lld of %lld x %lld pixels\n", static_cast<long long>(plan.scans),
              static_cast<long long>(plan.height_px), static_cast<long long>(plan.width_px));
  std::printf("pairs         %lld to train on, %lld held out (split by %s)\n",
              static_cast<long long>(plan.training_pairs), static_cast<long long>(plan.held_out_pairs),
              name_of(train.split).c_str());
  std::printf("network       %.1f million weights\n", 1e-6 * static_cast<double>(plan.parameters));
  std::printf("work          %lld epochs of %lld steps of %lld pairs, on %d ranks; %.3g GFLOP a step\n",
              static_cast<long long>(train.epochs), static_cast<long long>(plan.steps_per_epoch),
              static_cast<long long>(train.batch), ranks, 1e-9 * plan.flops_per_step);
  std::printf("memory        about %s a rank, and what --memory-gib leaves for scans\n",
              format_bytes(static_cast<double>(plan.memory_bytes)).c_str());
}

void print_time(const wear::TrainPlan& plan, const wear::TrainOptions& train, const wear::StepTime& step,
                const comm::Communicator& comm, const po::variables_map& options) {
  const machine::JobWork work = work_of(plan, train, step, comm.size());
  machine::NodeSpec here;
  here.ranks = comm.local_ranks();
  double seconds = machine::predict_on(comm.size(), work, here).seconds;
  double one_rank_s = machine::predict_on(1, work, here).seconds;
  if (train.minutes) {
    seconds = std::min(seconds, 60 * *train.minutes);
    one_rank_s = std::min(one_rank_s, 60 * *train.minutes * comm.size());
  }
  const auto& [pairs, step_s] = *step.share_s.rbegin();
  std::printf("time          about %s; a step of %lld pairs takes a rank %.3g s, measured now\n",
              format_duration(seconds).c_str(), static_cast<long long>(pairs), step_s);
  std::printf("plan: seconds_on_one_rank=%.0f\n", one_rank_s);  // read by slurm/allocation.sh
  print_scaling(work, options);
}

/// Collective.
void plan(const wear::TrainOptions& train, const comm::Communicator& comm, const po::variables_map& options) {
  wear::TrainPlan plan;
  comm.together([&] {
    plan = plan_training(train, comm.size());
    if (comm.is_root()) print_plan(plan, train, comm.size());
  });
  if (!train.device.is_cpu()) {
    if (comm.is_root()) std::printf("time          not planned on a GPU: add --device cpu for --plan-ranks\n");
    return;
  }
  const wear::StepTime step = measure_step(train, plan, comm);
  comm.together([&] {
    if (comm.is_root()) print_time(plan, train, step, comm, options);
  });
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
  if (context.common.plan) return plan(train, context.comm, options);
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
