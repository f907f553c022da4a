#include "wear/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <cmath>
#include <utility>

#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/file_lock.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "wear/learner.h"
#include "wear/model_file.h"
#include "wear/run_folder.h"

namespace outsole::wear {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kMostMovementPx = 4096;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void check(const TrainOptions& options) {
  const auto require = [](bool condition, const char* complaint) {
    if (!condition) throw UsageError(complaint);
  };
  require(options.epochs >= 1, "--epochs: at least 1");
  require(options.batch >= 1, "--batch: at least 1 pair");
  require(options.time_hidden >= 1 && options.time_hidden <= kMostTimeHidden, "--time-hidden: from 1 to 65536");
  require(options.time_maps >= 1 && options.time_maps <= kMostTimeMaps, "--time-maps: from 1 to 4096");
  require(options.adam.learning_rate > 0 && std::isfinite(options.adam.learning_rate),
          "--learning-rate: a positive number");
  require(options.ssim_weight >= 0 && std::isfinite(options.ssim_weight), "--ssim-weight: a number, at least 0");
  require(options.first_maps >= 1 && options.first_maps <= kMostFirstMaps, "--first-maps: from 1 to 512");
  require(options.movements.most_px >= 0 && options.movements.most_px <= kMostMovementPx,
          "--shift-px: a number of pixels, 0 to 4096");
  require(options.checkpoint_minutes > 0, "--checkpoint-minutes: a positive number");
  require(options.keep_checkpoints >= 1, "--keep-checkpoints: at least 1");
  require(!options.minutes || *options.minutes > 0, "--minutes: a positive number");
  require(!options.mixed_precision || options.device.is_cuda(), "--mixed-precision: needs a GPU (--device cuda)");
}

/// What makes this run another than one with other options. How long it lasts and where it runs do not.
json identity_of(const TrainOptions& options, const wear::PreparedStore& scans) {
  const json& prepared = scans.store().header().parameters;
  const bool has_dpi = prepared.is_object() && prepared.contains("dpi") && prepared["dpi"].is_number();
  json identity{{"scans_sha256", scans.store().sha256()},
                {"dpi", has_dpi ? prepared["dpi"].get<double>() : 0.0},
                {"task", name_of(options.task)},
                {"split", name_of(options.split)},
                {"seed", options.seed},
                {"held_out_share", kHeldOutShare},
                {"batch", options.batch},
                {"learning_rate", options.adam.learning_rate},
                {"beta1", options.adam.beta1},
                {"beta2", options.adam.beta2},
                {"epsilon", options.adam.epsilon},
                {"time_hidden", options.time_hidden},
                {"time_maps", options.time_maps},
                {"mixed_precision", options.mixed_precision}};
  // Later options are named where they are used: runs of earlier versions go on.
  if (options.first_maps != TrainOptions().first_maps) identity["first_maps"] = options.first_maps;
  if (options.network != NetworkKind::kPaper) identity["network"] = name_of(options.network);
  if (options.ssim_weight > 0) identity["ssim_weight"] = options.ssim_weight;
  if (options.movements.most_px > 0) identity["shift_px"] = options.movements.most_px;
  if (options.movements.mirrors) identity["mirror"] = true;
  if (options.schedule != learn::Schedule::kConstant) {
    identity["schedule"] = name_of(options.schedule);
    identity["scheduled_epochs"] = options.epochs;
  }
  return identity;
}

/// At most 64 held-out pairs, spread evenly. Those that ask for a week that was never trained only if there are no
/// others.
std::vector<TrainingPair> held_out_sample(const PairSets& sets) {
  std::vector<TrainingPair> candidates;
  for (const TrainingPair& pair : sets.held_out) {
    if (!pair.unseen_target) candidates.push_back(pair);
  }
  if (candidates.empty()) candidates = sets.held_out;
  constexpr std::size_t kMost = 64;
  const std::size_t count = std::min(kMost, candidates.size());
  std::vector<TrainingPair> sample;
  for (std::size_t i = 0; i < count; ++i) sample.push_back(candidates[i * candidates.size() / count]);
  return sample;
}

/// Epochs from one look at the held-out pairs to the next: so many that it takes a twentieth of the time at most, as a
/// pair costs a third of what it costs in training.
std::int64_t judging_interval(std::int64_t sample, std::int64_t training_pairs) {
  return divide_up(20 * sample, 3 * training_pairs);
}

TrainPlan plan_of(const TrainOptions& options, const wear::PreparedStore& scans, const PairSets& pairs, int ranks) {
  const WearNetwork network(network_shape(options, scans), options.seed);
  TrainPlan plan;
  plan.scans = scans.size();
  plan.training_pairs = std::ssize(pairs.training);
  plan.held_out_pairs = std::ssize(pairs.held_out);
  plan.steps_per_epoch = divide_up(plan.training_pairs, options.batch);
  plan.height_px = scans.height_px();
  plan.width_px = scans.width_px();
  for (const at::Tensor& parameter : network.parameters()) plan.parameters += parameter.numel();
  const std::int64_t batch = std::min(options.batch, plan.training_pairs);
  plan.flops_per_step = 3 * network.flops() * static_cast<double>(batch);
  const auto sample = std::ssize(held_out_sample(pairs));
  plan.judged_pairs = static_cast<double>(sample) / static_cast<double>(judging_interval(sample, plan.training_pairs));
  // Weights, gradients and two moments, and a checkpoint's copy of all but the gradients. Activations and their
  // gradients as measured, of the pairs of one rank.
  constexpr std::int64_t kBytesAParameter = 7 * sizeof(float), kBytesAPixel = 400;
  plan.pair_memory_bytes = checked_product({plan.height_px, plan.width_px, kBytesAPixel}, "the memory of a pair");
  plan.memory_bytes = plan.parameters * kBytesAParameter +
                      checked_product({divide_up(batch, ranks), plan.pair_memory_bytes}, "the memory of a batch");
  return plan;
}

/// What is left for scans of the memory a rank may use.
std::int64_t memory_for_scans(const TrainOptions& options, const TrainPlan& plan) {
  constexpr std::int64_t kLibraries = std::int64_t{400} << 20;
  const std::int64_t on_gpu = options.device.is_cpu() ? 0 : plan.memory_bytes;
  const std::int64_t left = options.memory_bytes - kLibraries - plan.memory_bytes + on_gpu;
  if (left >= 0) return left;
  throw EnvironmentError("a step needs about " + format_bytes(static_cast<double>(kLibraries + plan.memory_bytes)) +
                         " a rank; raise --memory-gib, use more ranks, a smaller --batch or smaller scans");
}

struct Data {
  wear::PreparedStore scans;
  PairSets pairs;
  json identity;
  TrainPlan plan;
};

Data read_data(const TrainOptions& options, int ranks) {
  check(options);
  wear::PreparedStore scans(options.scans);
  PairSets pairs = make_pairs(scans.scans(), options.task, options.split, options.seed, kHeldOutShare);
  json identity = identity_of(options, scans);
  const TrainPlan plan = plan_of(options, scans, pairs, ranks);
  return {std::move(scans), std::move(pairs), std::move(identity), plan};
}

/// Makes RUN_DIR this job's own.
void claim(const fs::path& run, std::optional<FileLock>& lock) {
  std::error_code error;
  fs::create_directories(run / "checkpoints", error);
  if (error) throw EnvironmentError(run.string() + ": cannot be created: " + error.message());
  lock.emplace(run / "lock", "this folder");
  remove_leftovers(run);
}

// --- A run that is over --------------------------------------------------------------------------------------------

/// How far the model in RUN_DIR was trained, if there is one that can be read. Throws UsageError when it is of another
/// run.
std::optional<TrainSummary> finished_model(const TrainOptions& options, const Data& data) try {
  const fs::path path = model_path(options.output);
  if (!fs::exists(path)) return std::nullopt;
  const json training = read_training(path);
  require_same_training(training, data.identity, path);
  return TrainSummary{data.plan, training.at("epochs"), training.at("steps"), training.at("loss"), true};
} catch (const DataError& error) {
  spdlog::warn("{}; it will be written again", error.what());
  return std::nullopt;
} catch (const json::exception&) {
  throw DataError(model_path(options.output).string() + ": does not say how far it was trained; remove it");
}

// --- The run -------------------------------------------------------------------------------------------------------

/// What the ranks tell each other at the end of a step, in one reduction.
struct StepReport {
  double loss = 0;         // of the batch
  bool stop = false;       // TERM came to one of them
  bool time_over = false;  // by root's clock, as the next
  bool save = false;       // a checkpoint is due
};

class Run {
 public:
  /// Collective.
  Run(const TrainOptions& options, const Data& data, const comm::Communicator& comm)
      : options_(options),
        data_(data),
        comm_(comm),
        sample_(held_out_sample(data.pairs)),
        learner_(data.scans, options, memory_for_scans(options, data.plan), comm) {}

  /// Goes to the newest good checkpoint, if there is one. Collective.
  void resume();
  /// Trains from there to the end. Collective.
  void go_on();
  /// Writes model.h5. Collective.
  void save_model_file();

  TrainSummary summary() const { return {data_.plan, position_.epoch, position_.steps, loss(), false, stands_still_}; }

 private:
  fs::path newest_good_checkpoint();
  void begin_epoch();
  StepReport step();
  StepReport agreed(const StepReport& mine) const;
  void end_epoch();
  void notice_standstill(double loss_before);
  EpochRecord record_of(std::int64_t epoch, double loss) const;
  void add_to_history(const EpochRecord& record);
  void save();

  bool is_over() const { return time_over_ || position_.epoch >= options_.epochs; }
  std::span<const TrainingPair> batch(std::int64_t step) const;
  bool is_held_out_due() const;
  double seconds() const { return seconds_before_ + seconds_since(start_); }
  double loss() const;
  double loss_of_this_epoch() const;

  const TrainOptions& options_;
  const Data& data_;
  const comm::Communicator& comm_;
  const std::vector<TrainingPair> sample_;
  Learner learner_;

  TrainingPosition position_;
  std::vector<TrainingPair> epoch_pairs_;  // in the epoch's order
  bool time_over_ = false, stands_still_ = false;
  std::int64_t saved_steps_ = 0;  // of the newest checkpoint
  double seconds_before_ = 0;     // trained by earlier runs
  Clock::time_point start_ = Clock::now(), last_save_ = start_, epoch_start_ = start_;
  std::int64_t pairs_since_epoch_start_ = 0;
};

void Run::resume() {
  fs::path checkpoint;
  comm_.together([&] {
    if (comm_.is_root()) checkpoint = newest_good_checkpoint();
  });
  checkpoint = comm_.broadcast(checkpoint.string());
  if (!checkpoint.empty()) {
    comm_.together([&] {
      if (comm_.is_root()) return;
      position_ = load_checkpoint(checkpoint, learner_.network(), learner_.adam(), data_.identity);
    });
    if (comm_.is_root()) spdlog::info("going on from {}", checkpoint.string());
  }
  saved_steps_ = position_.steps;
  seconds_before_ = position_.seconds;
  time_over_ = options_.minutes && seconds_before_ >= 60 * *options_.minutes;
}

/// Leaves network, optimizer and position as that checkpoint has them; empty when there is none at all.
fs::path Run::newest_good_checkpoint() {
  const std::vector<fs::path> checkpoints = list_checkpoints(options_.output);
  for (const fs::path& checkpoint : checkpoints) {
    try {
      const TrainingPosition position =
          load_checkpoint(checkpoint, learner_.network(), learner_.adam(), data_.identity);
      if (position.step >= data_.plan.steps_per_epoch ||
          position.steps != position.epoch * data_.plan.steps_per_epoch + position.step) {
        throw DataError(checkpoint.string() + ": its position does not fit the pairs of the scans");
      }
      position_ = position;
      return checkpoint;
    } catch (const DataError& error) {
      spdlog::warn("{}; an older checkpoint is used", error.what());
    }
  }
  if (checkpoints.empty()) return {};
  throw DataError((options_.output / "checkpoints").string() +
                  ": no checkpoint can be read; remove the folder to train from the start");
}

void Run::go_on() {
  start_ = last_save_ = Clock::now();
  const bool by_time = options_.minutes.has_value();
  const std::int64_t total =
      by_time ? std::int64_t{std::llround(60 * *options_.minutes)} : options_.epochs * data_.plan.steps_per_epoch;
  const auto done = [&] { return std::min(total, by_time ? std::int64_t{std::llround(seconds())} : position_.steps); };
  std::int64_t shown = done();
  Progress progress("training", by_time ? "seconds" : "steps", total, comm_.is_root(), shown);
  begin_epoch();
  if (is_over()) return save();
  comm_.together([&] {
    if (comm_.is_root()) truncate_history(history_path(options_.output), position_.epoch);
  });
  bool is_stopped = false;
  while (!is_over() && !is_stopped) {
    const StepReport report = step();
    if (position_.step == data_.plan.steps_per_epoch) end_epoch();
    time_over_ = report.time_over;
    is_stopped = report.stop;
    if (report.save) save();
    if (const std::int64_t now = done(); now > shown) progress.advance(now - std::exchange(shown, now));
  }
  save();
  // What was done of an epoch is told, too, until the line of the whole epoch takes its place.
  if (position_.step > 0) add_to_history(record_of(position_.epoch + 1, loss_of_this_epoch()));
  if (is_stopped) {
    throw_shared_error(ExitCode::kStopped, "stopped on request; run the same command again to carry on");
  }
}

void Run::begin_epoch() {
  const std::vector<TrainingPair>& pairs = data_.pairs.training;
  epoch_pairs_.clear();
  for (const std::int64_t index : epoch_order(std::ssize(pairs), options_.seed, position_.epoch)) {
    epoch_pairs_.push_back(pairs[static_cast<std::size_t>(index)]);
  }
  const auto movements = epoch_movements(std::ssize(pairs), options_.movements, options_.seed, position_.epoch);
  for (std::size_t i = 0; i < epoch_pairs_.size(); ++i) epoch_pairs_[i].movement = movements[i];
  epoch_start_ = Clock::now();
  pairs_since_epoch_start_ = 0;
}

/// The pairs of one step of this epoch, the last one may have fewer; none for the step after it.
std::span<const TrainingPair> Run::batch(std::int64_t step) const {
  const std::int64_t first = std::min(step * options_.batch, std::ssize(epoch_pairs_));
  const std::int64_t count = std::min(options_.batch, std::ssize(epoch_pairs_) - first);
  return std::span(epoch_pairs_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

StepReport Run::step() {
  const auto pairs = batch(position_.step);
  comm::now_doing("training step " + std::to_string(position_.step + 1) + " of epoch " +
                  std::to_string(position_.epoch + 1));
  StepReport mine;
  mine.loss = learner_.compute_gradients(pairs, batch(position_.step + 1));
  mine.stop = stop_requested();
  mine.time_over = comm_.is_root() && options_.minutes && seconds() >= 60 * *options_.minutes;
  mine.save = comm_.is_root() && seconds_since(last_save_) >= 60 * options_.checkpoint_minutes;
  const StepReport all = agreed(mine);
  if (!std::isfinite(all.loss)) {
    throw_shared_error(ExitCode::kData, "the loss is no longer finite in epoch " + std::to_string(position_.epoch + 1) +
                                            ", step " + std::to_string(position_.step + 1) +
                                            "; the last checkpoint stays. Lower --learning-rate");
  }
  learner_.update(
      learn::learning_rate_share(options_.schedule, position_.steps, options_.epochs * data_.plan.steps_per_epoch));
  position_.loss_sum += all.loss * learner_.known_pixels(pairs);
  ++position_.step;
  ++position_.steps;
  pairs_since_epoch_start_ += std::ssize(pairs);
  return all;
}

StepReport Run::agreed(const StepReport& mine) const {
  std::array<double, 4> sums{mine.loss, mine.stop ? 1.0 : 0.0, mine.time_over ? 1.0 : 0.0, mine.save ? 1.0 : 0.0};
  comm_.start_sum(std::span<double>(sums)).wait();
  return {sums[0], sums[1] > 0, sums[2] > 0, sums[3] > 0};
}

void Run::end_epoch() {
  const double loss_before = position_.epoch_loss;
  position_.epoch_loss = position_.loss_sum / learner_.known_pixels(data_.pairs.training);
  position_.loss_sum = 0;
  position_.step = 0;
  ++position_.epoch;
  EpochRecord record = record_of(position_.epoch, position_.epoch_loss);
  if (is_held_out_due()) record.held_out_loss = learner_.loss_of(sample_, options_.batch);
  record.seconds = seconds();
  add_to_history(record);
  if (position_.epoch > 1) notice_standstill(loss_before);
  if (position_.epoch < options_.epochs) begin_epoch();
}

EpochRecord Run::record_of(std::int64_t epoch, double loss) const {
  return {.epoch = epoch,
          .steps = position_.steps,
          .loss = loss,
          .held_out_loss = {},
          .seconds = seconds(),
          .pairs_per_second = static_cast<double>(pairs_since_epoch_start_) / seconds_since(epoch_start_)};
}

void Run::add_to_history(const EpochRecord& record) {
  comm_.together([&] {
    if (comm_.is_root()) append_history(history_path(options_.output), record);
  });
}

/// Says so, once, when the epoch's loss is that of a network that has died.
void Run::notice_standstill(double loss_before) {
  constexpr double kNearly = 0.98, kUnchanged = 1e-4;  // at a small learning rate a loss falls slowly, but it falls
  const double one_grey = learner_.one_grey_loss(data_.pairs.training), loss = position_.epoch_loss;
  if (stands_still_ || loss < kNearly * one_grey || std::abs(loss - loss_before) > kUnchanged * loss) return;
  stands_still_ = true;
  if (!comm_.is_root()) return;
  spdlog::warn(
      "epoch {}: the loss stands still at {:.6f}, where one grey for all pixels has {:.6f}: nothing is being learned. "
      "Start anew in another folder with a lower --learning-rate",
      position_.epoch, loss, one_grey);
}

bool Run::is_held_out_due() const {
  const std::int64_t interval = judging_interval(std::ssize(sample_), std::ssize(data_.pairs.training));
  return position_.epoch % interval == 0 || position_.epoch == options_.epochs;
}

void Run::save() {
  last_save_ = Clock::now();
  if (saved_steps_ == position_.steps) return;
  position_.seconds = seconds();
  const fs::path path = checkpoint_path(options_.output, position_.epoch, position_.step);
  comm_.together([&] {
    if (!comm_.is_root()) return;
    save_checkpoint(path, learner_.network(), learner_.adam(), position_, data_.identity);
    remove_old_checkpoints(options_.output, path, options_.keep_checkpoints);
    spdlog::info("epoch {} of {}: loss {:.6f}, saved", position_.epoch, options_.epochs, loss());
  });
  saved_steps_ = position_.steps;
}

/// Mean squared difference of the last epoch, or of what was done of the first one.
double Run::loss() const {
  return position_.epoch > 0 || position_.step == 0 ? position_.epoch_loss : loss_of_this_epoch();
}

/// Mean squared difference of the steps of this epoch so far, of which there is at least one.
double Run::loss_of_this_epoch() const {
  return position_.loss_sum /
         learner_.known_pixels(
             std::span(epoch_pairs_)
                 .first(static_cast<std::size_t>(std::min(position_.step * options_.batch, std::ssize(epoch_pairs_)))));
}

void Run::save_model_file() {
  comm_.together([&] {
    if (!comm_.is_root()) return;
    json training = data_.identity;
    training.update({{"epochs", position_.epoch}, {"steps", position_.steps}, {"loss", loss()}});
    const fs::path path = model_path(options_.output);
    std::error_code ignored;
    fs::remove(provenance_path(path), ignored);  // of a model trained for less long
    save_model(path, learner_.network(), training);
    write_provenance(path, options_.command_line, comm_.size(), {{"training", training}, {"seconds", seconds()}});
  });
}

}  // namespace

NetworkShape network_shape(const TrainOptions& options, const wear::PreparedStore& scans) {
  return network_shape(options, scans.height_px(), scans.width_px());
}

NetworkShape network_shape(const TrainOptions& options, std::int64_t height_px, std::int64_t width_px) {
  return {options.task,      height_px,       width_px,          options.time_hidden,
          options.time_maps, options.network, options.first_maps};
}

TrainPlan plan_training(const TrainOptions& options, int ranks) { return read_data(options, ranks).plan; }

TrainSummary train(const TrainOptions& options, const comm::Communicator& comm) {
  at::globalContext().setDeterministicCuDNN(true);  // or a resumed run would differ in the last bits
  std::optional<Data> data;
  std::optional<TrainSummary> finished;
  std::optional<FileLock> lock;
  comm.together([&] {
    data.emplace(read_data(options, comm.size()));
    memory_for_scans(options, data->plan);
    if (comm.is_root()) claim(options.output, lock);
  });
  comm.together([&] {
    finished = finished_model(options, *data);
    if (!finished || !comm.is_root()) return;
    const fs::path model = model_path(options.output);
    write_provenance(model, options.command_line, comm.size(), {{"training", read_training(model)}}, true);
  });
  if (finished && finished->epochs >= options.epochs) return *finished;
  Run run(options, *data, comm);
  run.resume();
  run.go_on();
  if (finished && finished->steps == run.summary().steps) return *finished;
  run.save_model_file();
  return run.summary();
}

}  // namespace outsole::wear
