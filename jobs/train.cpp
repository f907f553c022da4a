#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/files.h"
#include "job.h"
#include "machine/device.h"
#include "plan.h"
#include "report/loss_figure.h"
#include "wear/model_file.h"
#include "wear/trainer.h"
#include "wear/training_plan.h"
#include "wear/training_stages.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct TrainJob {
  wear::TrainOptions train;
  wear::StageLists stages;
  bool mixed_precision = false;
};

/// "640x256,2560x1024,native".
std::vector<std::optional<wear::ShownSize>> parse_sizes(const std::string& text) {
  std::vector<std::optional<wear::ShownSize>> sizes;
  for (std::size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (word == "native") {
      sizes.emplace_back();
    } else {
      const HeightWidth size = parse_size(word);
      sizes.push_back(wear::ShownSize{size.height_px, size.width_px});
    }
  }
  return sizes;
}

/// A number for all of --sizes, or one for each.
template <typename Number>
auto numbers_from(Number least, const std::string& expected) {
  return [=](const std::string& text) {
    return parse_list<Number>(text, least, expected + ", or one for each of --sizes, as in 30,10,3");
  };
}

void declare_stages(TrainJob& own, Options& options) {
  const wear::TrainOptions& train = own.train;
  const auto whole = numbers_from<std::int64_t>(1, "expected a whole number, at least 1");
  const auto positive = numbers_from<double>(std::numeric_limits<double>::min(), "expected a number above 0");
  options.add_parsed("sizes", "HxW,HxW...", own.stages.sizes, parse_sizes, "",
                     "train from coarse to fine: on the scans reduced to the first size, then from that model on to "
                     "the next; native: as they are stored");
  options.add("init", "MODEL.h5", own.train.init,
              "start from this model, of any size, instead of random weights; with --sizes the first of them");
  options.add_parsed("epochs", "N,N...", own.stages.epochs, whole, text_of(train.epochs), "passes over all pairs");
  options.add_parsed("minutes", "M,M...", own.stages.minutes, positive, "",
                     "end after so much training, whatever --epochs");
  options.add_parsed("batch", "N,N...", own.stages.batch, whole, text_of(train.batch),
                     "pairs a step, shared by the ranks");
  options.add_parsed("learning-rate", "R,R...", own.stages.learning_rate, positive, text_of(train.adam.learning_rate),
                     "of Adam");
}

void declare_learning(TrainJob& own, Options& options) {
  wear::TrainOptions& train = own.train;
  options.add("seed", "N", train.seed, "of first weights, order of pairs, and what is held out by shoe or pair");
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
  options.add_parsed("precision", "32|tf32|bf16", train.precision, learn::parse_precision, name_of(train.precision),
                     "of products and convolutions on a GPU, whose inputs are rounded to TF32 or bfloat16 for tensor "
                     "cores; weights, sums and the loss stay in 32 bit");
  options.add_switch("mixed-precision", own.mixed_precision, "as --precision bf16");
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

void declare_train(TrainJob& own, Options& options) {
  wear::TrainOptions& train = own.train;
  options.add("scans", "NAME.h5", train.scans, "the scans, as prepared").required();
  options
      .add_parsed("task", "prediction|reconstruction", train.task, wear::parse_task, "",
                  "learn what an outsole will look like so many weeks later, or what it looked like in a given week")
      .required();
  options.add_parsed(
      "split", "time|shoe|pair", train.split, wear::parse_split, name_of(train.split),
      "what is held out: of every shoe the last weeks (reconstruction: the first), or whole shoes or pairs "
      "of shoes");
  options
      .add("held-out", "S", train.held_out_share,
           "the share of weeks, shoes or pairs that is held out; a larger one leaves weeks to choose settings by that "
           "are neither trained on nor those of the last judgement")
      .above(0)
      .below(1);
  declare_stages(own, options);
  declare_learning(own, options);
  declare_network(train, options);
  options.add("checkpoint-minutes", "M", train.checkpoint_minutes, "time between checkpoints").above(0);
  options.add("keep-checkpoints", "N", train.keep_checkpoints, "how many are kept").at_least(1);
  options.add("output", "RUN_DIR", train.output, "the folder to write").required();
}

/// FOLDER/history.svg; nothing before the first epoch is done.
void draw_losses(const fs::path& folder, const std::string& title) {
  const fs::path history = folder / "history.csv";
  if (!fs::exists(history)) return;
  const auto losses = report::read_losses(history);
  if (losses.empty()) return;
  write_file_atomically(folder / "history.svg", report::loss_figure(losses, title));
}

/// Of the run and of each of its stages.
void draw_losses(const wear::TrainOptions& train, const wear::StageLists& stages) {
  const std::string title = name_of(train.task) + " of wear, split by " + name_of(train.split);
  draw_losses(train.output, title);
  for (const auto& size : stages.sizes) {
    const std::string name = size ? wear::name_of(*size) : "native";
    draw_losses(train.output / name, title + ", " + name);
  }
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

/// Throws UsageError where two options ask for two.
learn::Precision precision_of(const TrainJob& own) {
  if (!own.mixed_precision) return own.train.precision;
  if (own.train.precision == learn::Precision::kTf32) throw UsageError("`mixed_precision`: not with `precision` tf32");
  return learn::Precision::kBf16;
}

Report run_train(TrainJob& own, const JobContext& context) {
  own.train.memory_bytes = context.memory_bytes();
  own.train.command_line = context.command_line;
  context.comm.together([&] {
    own.train.device = machine::choose_device(context.common.device, context.comm);
    own.train.precision = precision_of(own);
  });
  if (context.common.plan) return plan_report(wear::training_plan(context.comm, own.train, own.stages), context);
  const wear::TrainSummary summary = wear::train_in_stages(own.train, own.stages, context.comm);
  return [=] {
    draw_losses(own.train, own.stages);
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
       "With --sizes each size has its own folder in RUN_DIR, as a run of its own, which starts from the model of the\n"
       "size before; RUN_DIR/model.h5 is the last one's, and history.csv tells of all. Of --epochs, --minutes, "
       "--batch\n"
       "and --learning-rate one number holds for all sizes; as many as there are sizes are one for each:\n"
       "  mpirun -n 2 outsole train --scans prepared.h5 --task prediction --network residual --schedule cosine \\\n"
       "      --sizes 160x64,640x256,native --epochs 30,5,1 --learning-rate 1e-3,3e-4,1e-4 --output forward/\n"
       "A step's batch is shared by the ranks: the result does not depend on their number but for rounding. Nor does "
       "it\n"
       "on --split-ranks, by which each image is shared, too: that and --recompute may change from run to run. --plan\n"
       "says what memory a rank needs, and names a --split-ranks that fits where it does not:\n"
       "  mpirun -n 4 outsole train --scans native.h5 --task prediction --batch 1 --split-ranks 4 --recompute --output "
       "r/\n"},
      declare_train, run_train);
}

}  // namespace outsole::jobs
