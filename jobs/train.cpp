#include <spdlog/fmt/fmt.h>

#include <filesystem>

#include "core/files.h"
#include "job.h"
#include "machine/device.h"
#include "plan.h"
#include "report/loss_figure.h"
#include "wear/model_file.h"
#include "wear/trainer.h"
#include "wear/training_plan.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct TrainJob {
  wear::TrainOptions train;
};

void declare_learning(wear::TrainOptions& train, Options& options) {
  options.add("seed", "N", train.seed, "of first weights, order of pairs, and what is held out by shoe or pair");
  options.add("epochs", "N", train.epochs, "passes over all pairs").at_least(1);
  options.add("minutes", "M", train.minutes, "end after so much training, whatever --epochs").above(0);
  options.add("batch", "N", train.batch, "pairs a step, shared by the ranks").at_least(1);
  options.add("learning-rate", "R", train.adam.learning_rate, "of Adam").above(0);
  options
      .add("ssim-weight", "W", train.ssim_weight,
           "lessen not only the mean squared difference, but with so much weight structural dissimilarity (1 - SSIM) "
           "too")
      .at_least(0);
  options.add_parsed("schedule", "constant|cosine", train.schedule, learn::parse_schedule, name_of(train.schedule),
                     "the learning rate, always; or a short rise and half a cosine down to nothing at the last of "
                     "--epochs");
  options
      .add("shift-px", "N", train.movements.most_px,
           "each epoch moves each pair at random by up to so many pixels, up or down and left or right")
      .at_least(0)
      .at_most(4096)
      .in("px");
  options.add_switch("mirror", train.movements.mirrors, "each epoch mirrors half of the pairs, left to right");
  options
      .add("split-ranks", "K", train.split_ranks,
           "cut each image into K slabs of rows, one a rank: for images that one rank cannot hold. The ranks, a "
           "multiple of K, are teams of K that share a batch")
      .at_least(1);
  options.add_switch("recompute", train.recompute,
                     "keep few of the layers' maps and make the others again where they are needed: about half the "
                     "memory for a third more time");
  options.add_switch("mixed-precision", train.mixed_precision, "on a GPU: convolutions in bfloat16");
}

void declare_network(wear::TrainOptions& train, Options& options) {
  options.add_parsed("network", "paper|residual", train.network, wear::parse_network_kind, name_of(train.network),
                     "the paper's, which draws an outsole from memory; or one that learns the change of what it is "
                     "given, for shoes it has not seen");
  options
      .add("first-maps", "N", train.first_maps,
           "maps of the encoder's first layer; each of the further four has twice as many")
      .at_least(1)
      .at_most(wear::kMostFirstMaps);
  options.add("time-hidden", "N", train.time_hidden, "width of the first layer of the time branch")
      .at_least(1)
      .at_most(wear::kMostTimeHidden);
  options.add("time-maps", "N", train.time_maps, "maps that the time branch gives the decoder")
      .at_least(1)
      .at_most(wear::kMostTimeMaps);
}

void declare(TrainJob& own, Options& options) {
  wear::TrainOptions& train = own.train;
  options.add("scans", "NAME.h5", train.scans, "the scans, as prepared").required();
  options
      .add_parsed("task", "prediction|reconstruction", train.task, wear::parse_task, "",
                  "learn what an outsole will look like so many weeks later, or what it looked like in a given week")
      .required();
  options.add_parsed("split", "time|shoe|pair", train.split, wear::parse_split, name_of(train.split),
                     "what a fifth of is held out: of every shoe the last weeks (reconstruction: the first), or whole "
                     "shoes or pairs of shoes");
  declare_learning(train, options);
  declare_network(train, options);
  options.add("checkpoint-minutes", "M", train.checkpoint_minutes, "time between checkpoints").above(0);
  options.add("keep-checkpoints", "N", train.keep_checkpoints, "how many are kept").at_least(1);
  options.add("output", "RUN_DIR", train.output, "the folder to write").required();
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

std::string summary_text(const wear::TrainSummary& summary, const fs::path& folder) {
  const std::string model = (folder / "model.h5").string();
  std::string text;
  if (summary.was_finished) text += fmt::format("{} was there already, trained by the same options\n", model);
  text += fmt::format("{}: {} epochs, {} steps, loss {:.6f}\n", model, summary.epochs, summary.steps, summary.loss);
  if (summary.stands_still) {
    text +=
        "It has learned nothing: its loss stands still. Start anew in another folder with a lower --learning-rate\n";
  }
  return text;
}

Report run(TrainJob& own, const JobContext& context) {
  own.train.memory_bytes = context.memory_bytes();
  own.train.command_line = context.command_line;
  context.comm.together([&] { own.train.device = machine::choose_device(context.common.device, context.comm); });
  if (context.common.plan) return plan_report(wear::training_plan(context.comm, own.train), context);
  const wear::TrainSummary summary = wear::train(own.train, context.comm);
  return [=] {
    draw_losses(own.train);
    return summary_text(summary, own.train.output);
  };
}

}  // namespace

Job train_job() {
  return make_job(
      {"train", "learn how outsoles wear from prepared scans", "",
       "Examples:\n"
       "  mpirun -n 2 outsole train --scans prepared.h5 --task prediction --output forward/\n"
       "  mpirun -n 2 outsole train --scans prepared.h5 --task prediction --network residual --schedule cosine \\\n"
       "      --learning-rate 1e-3 --batch 8 --ssim-weight 8 --epochs 30 --output forward/\n"
       "The first are the paper's settings, for days on GPUs; the second a start for minutes on a few cores. With "
       "shoes "
       "held\n"
       "out, --shift-px 4 --mirror help. Where the loss stands still from the start, lower --learning-rate.\n"
       "RUN_DIR holds model.h5 at the end, history.csv (a line an epoch: losses, time) with history.svg, and "
       "checkpoints/.\n"
       "Stopped by TERM or by a crash, the same command carries on from the newest checkpoint, on any number of "
       "ranks.\n"
       "The same command with more --epochs or --minutes goes on with a finished run (not with --schedule cosine, "
       "which\n"
       "--epochs shape); other options want another folder.\n"
       "A step's batch is shared by the ranks: the result does not depend on their number but for rounding. Nor does "
       "it\n"
       "on --split-ranks, by which each image is shared, too: that and --recompute may change from run to run. --plan\n"
       "says what memory a rank needs, and names a --split-ranks that fits where it does not:\n"
       "  mpirun -n 4 outsole train --scans native.h5 --task prediction --batch 1 --split-ranks 4 --recompute --output "
       "r/\n"},
      declare, run);
}

}  // namespace outsole::jobs
