#include "learn/run.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

#include "comm/watchdog.h"
#include "core/errors.h"
#include "core/file_lock.h"
#include "core/out_of_memory.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "learn/checkpoint.h"
#include "learn/determinism.h"
#include "learn/gradient_sum.h"
#include "learn/run_folder.h"

namespace outsole::learn {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Makes RUN_DIR this job's own.
void claim(const fs::path& run, std::optional<FileLock>& lock) {
  std::error_code error;
  fs::create_directories(run / "checkpoints", error);
  if (error) throw EnvironmentError(run.string() + ": cannot be created: " + error.message());
  lock.emplace(run / "lock", "this folder");
  remove_leftovers(run);
}

std::vector<at::Tensor> tensors_of(const std::vector<NamedTensor>& parameters) {
  std::vector<at::Tensor> tensors;
  for (const NamedTensor& parameter : parameters) tensors.push_back(parameter.tensor);
  return tensors;
}

// --- A run that is over --------------------------------------------------------------------------------------------

/// How far the model in RUN_DIR was trained, if there is one that can be read. Throws UsageError when it is of another
/// run.
std::optional<RunSummary> finished_model(const Subject& subject, const fs::path& path) try {
  if (!fs::exists(path)) return std::nullopt;
  const json training = training_of(store::Store(path, subject.model_schema));
  require_same_training(training, subject, path);
  return RunSummary{training.at("epochs"), training.at("steps"), training.at("loss"), true};
} catch (const DataError& error) {
  spdlog::warn("{}; it will be written again", error.what());
  return std::nullopt;
} catch (const json::exception&) {
  throw DataError(path.string() + ": does not say how far it was trained; remove it");
}

/// For a job that was killed between the model and its provenance.
void complete_provenance(const Subject& subject, const RunOptions& options, const comm::Communicator& comm) {
  const fs::path model = model_path(options.output);
  const json training = training_of(store::Store(model, subject.model_schema));
  write_provenance(model, options.command_line, comm.size(), {{"training", training}}, true);
}

// --- The run -------------------------------------------------------------------------------------------------------

/// What the ranks tell each other at the end of a step, in one reduction.
struct StepReport {
  double loss = 0;         // of the step
  bool stop = false;       // TERM came to one of them
  bool time_over = false;  // by root's clock, as the next
  bool save = false;       // a checkpoint is due
  bool failed = false;     // one of them could not do its part
  double bytes_read = 0;   // in this step
};

/// This rank's part of the loss of a step.
struct LossPart {
  PendingNumber part = 0;
  double weight = 0;  // of the step
  std::string place;
};

class Run {
 public:
  /// Not collective.
  Run(const Subject& subject, Learner& learner, const RunOptions& options, const comm::Communicator& comm)
      : subject_(subject),
        learner_(learner),
        options_(options),
        comm_(comm),
        parameters_(learner.parameters()),
        steps_per_epoch_(learner.steps_per_epoch()),
        gradients_(tensors_of(parameters_), comm),
        adam_(tensors_of(parameters_), options.adam) {
    require_determinism(parameters_.front().tensor.device());
  }

  /// Goes to the newest good checkpoint, if there is one. Collective.
  void resume();
  /// Trains from there to the end. Collective.
  void go_on();
  /// Writes model.h5. Collective.
  void save_model();

  RunSummary summary() const { return {position_.epoch, position_.steps, loss(), false, stands_still_}; }

 private:
  fs::path newest_good_checkpoint();
  void begin_epoch();
  StepReport step();
  PendingNumber gradients_of_step(std::exception_ptr& failure);
  std::optional<LossPart> known_loss(LossPart of_this_step);
  void count(const LossPart& step, double loss);
  void count_loss_behind();
  StepReport agreed(const StepReport& mine) const;
  void tell_failure(const std::exception_ptr& failure) const;
  void end_epoch();
  void notice_standstill(double loss_before);
  EpochRecord record_of(std::int64_t epoch, double loss) const;
  void add_to_history(const EpochRecord& record);
  void save();

  bool is_over() const { return time_over_ || position_.epoch >= options_.epochs; }
  double seconds() const { return seconds_before_ + seconds_since(start_); }
  double loss() const;
  double loss_of_this_epoch() const { return position_.loss_sum / learner_.weight(0, position_.step); }
  std::string place() const {
    return "epoch " + std::to_string(position_.epoch + 1) + ", step " + std::to_string(position_.step + 1);
  }

  const Subject& subject_;
  Learner& learner_;
  const RunOptions& options_;
  const comm::Communicator& comm_;
  const std::vector<NamedTensor> parameters_;
  const std::int64_t steps_per_epoch_;
  GradientSum gradients_;
  Adam adam_;

  Position position_;
  bool time_over_ = false, stands_still_ = false;
  bool losses_are_late_ = false;         // of one rank at least
  std::optional<LossPart> loss_behind_;  // where they are: of the last step, still to be counted
  std::int64_t saved_steps_ = 0;  // of the newest checkpoint
  double seconds_before_ = 0;     // trained by earlier runs
  Clock::time_point start_ = Clock::now(), last_save_ = start_, epoch_start_ = start_;
  std::int64_t examples_since_epoch_start_ = 0;
  std::int64_t bytes_read_ = 0;  // by this rank
  /// Of all ranks, since the newest checkpoint.
  struct Work {
    double examples = 0, bytes_read = 0;
  };
  Work since_save_;
};

void Run::resume() {
  fs::path checkpoint;
  comm_.together([&] {
    if (comm_.is_root()) checkpoint = newest_good_checkpoint();
  });
  checkpoint = comm_.broadcast(checkpoint.string());
  if (!checkpoint.empty()) {
    comm_.together([&] {
      if (!comm_.is_root()) position_ = load_checkpoint(checkpoint, subject_, parameters_, adam_);
    });
    if (comm_.is_root()) spdlog::info("going on from {}", checkpoint.string());
  }
  saved_steps_ = position_.steps;
  seconds_before_ = position_.seconds;
  time_over_ = options_.minutes && seconds_before_ >= 60 * *options_.minutes;
}

/// Leaves parameters, optimizer and position as that checkpoint has them; empty when there is none at all.
fs::path Run::newest_good_checkpoint() {
  const std::vector<fs::path> checkpoints = list_checkpoints(options_.output);
  for (const fs::path& checkpoint : checkpoints) {
    try {
      const Position position = load_checkpoint(checkpoint, subject_, parameters_, adam_);
      if (position.step >= steps_per_epoch_ || position.steps != position.epoch * steps_per_epoch_ + position.step) {
        throw DataError(checkpoint.string() + ": its position does not fit the steps of an epoch");
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
  losses_are_late_ = comm_.any_of(learner_.losses_are_late());
  const bool by_time = options_.minutes.has_value();
  const std::int64_t total =
      by_time ? std::int64_t{std::llround(60 * *options_.minutes)} : options_.epochs * steps_per_epoch_;
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
    if (position_.step == steps_per_epoch_) end_epoch();
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
  learner_.begin_epoch(position_.epoch);
  epoch_start_ = Clock::now();
  examples_since_epoch_start_ = 0;
}

StepReport Run::step() {
  comm::now_doing("training step " + std::to_string(position_.step + 1) + " of epoch " +
                  std::to_string(position_.epoch + 1));
  std::exception_ptr failure;
  StepReport mine;
  const std::optional<LossPart> known =
      known_loss({gradients_of_step(failure), learner_.weight(position_.step, position_.step + 1), place()});
  if (known) mine.loss = known->part.value();
  mine.stop = stop_requested();
  mine.time_over = comm_.is_root() && options_.minutes && seconds() >= 60 * *options_.minutes;
  mine.save = comm_.is_root() && seconds_since(last_save_) >= 60 * options_.checkpoint_minutes;
  mine.failed = failure != nullptr;
  mine.bytes_read = static_cast<double>(learner_.bytes_read() - std::exchange(bytes_read_, learner_.bytes_read()));
  const StepReport all = agreed(mine);
  if (all.failed) tell_failure(failure);
  if (known) count(*known, all.loss);
  adam_.step(learning_rate_share(options_.schedule, position_.steps, options_.epochs * steps_per_epoch_));
  examples_since_epoch_start_ += learner_.examples(position_.step);
  since_save_.examples += static_cast<double>(learner_.examples(position_.step));
  since_save_.bytes_read += all.bytes_read;
  ++position_.step;
  ++position_.steps;
  return all;
}

/// Leaves the step's gradients, of all ranks, in the parameters and returns this rank's part of the loss. A rank that
/// fails takes part in the sum all the same, so that the others come to its end.
PendingNumber Run::gradients_of_step(std::exception_ptr& failure) {
  PendingNumber loss = 0;
  gradients_.zero();
  try {
    loss = learner_.add_gradients(position_.step);
  } catch (const Error&) {
    throw;  // known to all already, or of a rank that cannot go on
  } catch (...) {
    failure = std::current_exception();
  }
  gradients_.finish();
  return loss;
}

/// The loss that is there: that of this step, or where they are late, of the step before, if there is one.
std::optional<LossPart> Run::known_loss(LossPart of_this_step) {
  if (!losses_are_late_) return of_this_step;
  return std::exchange(loss_behind_, std::move(of_this_step));
}

/// Adds a step's loss, of all ranks, to the epoch's.
void Run::count(const LossPart& step, double loss) {
  if (!std::isfinite(loss)) {
    throw_shared_error(ExitCode::kData, "the loss is no longer finite in " + step.place +
                                            "; the last checkpoint stays. Lower `learning_rate`");
  }
  position_.loss_sum += loss * step.weight;
}

/// Waits for the loss of the last step, if that is still to be counted. Collective.
void Run::count_loss_behind() {
  const std::optional<LossPart> last = std::exchange(loss_behind_, std::nullopt);
  if (!last) return;
  std::array<double, 1> loss{last->part.value()};
  comm_.start_sum(std::span<double>(loss)).wait();
  count(*last, loss[0]);
}

StepReport Run::agreed(const StepReport& mine) const {
  std::array<double, 6> sums{
      mine.loss,      mine.stop ? 1.0 : 0.0, mine.time_over ? 1.0 : 0.0, mine.save ? 1.0 : 0.0, mine.failed ? 1.0 : 0.0,
      mine.bytes_read};
  comm_.start_sum(std::span<double>(sums)).wait();
  return {sums[0], sums[1] > 0, sums[2] > 0, sums[3] > 0, sums[4] > 0, sums[5]};
}

/// Throws on every rank what kept one of them from its part of the step.
void Run::tell_failure(const std::exception_ptr& failure) const {
  comm_.together([&] {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      const auto memory = out_of_memory(error);
      if (!memory) throw;
      throw EnvironmentError(*memory + " in " + place() + "; the last checkpoint stays. To lower what a step needs, " +
                             subject_.to_save_memory);
    }
  });
}

void Run::end_epoch() {
  count_loss_behind();
  const double loss_before = position_.epoch_loss;
  position_.epoch_loss = position_.loss_sum / learner_.weight(0, steps_per_epoch_);
  position_.loss_sum = 0;
  position_.step = 0;
  ++position_.epoch;
  EpochRecord record = record_of(position_.epoch, position_.epoch_loss);
  record.held_out_loss = learner_.judge(position_.epoch, position_.epoch == options_.epochs);
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
          .examples_per_second = static_cast<double>(examples_since_epoch_start_) / seconds_since(epoch_start_)};
}

void Run::add_to_history(const EpochRecord& record) {
  comm_.together([&] {
    if (comm_.is_root()) append_history(history_path(options_.output), record, subject_.examples);
  });
}

/// Says so, once, when the epoch's loss is that of a learner that has died.
void Run::notice_standstill(double loss_before) {
  constexpr double kNearly = 0.98, kUnchanged = 1e-4;  // at a small learning rate a loss falls slowly, but it falls
  const std::optional<BestGuess> guess = learner_.best_guess();
  const double loss = position_.epoch_loss;
  if (!guess || stands_still_ || loss < kNearly * guess->loss || std::abs(loss - loss_before) > kUnchanged * loss) {
    return;
  }
  stands_still_ = true;
  if (!comm_.is_root()) return;
  spdlog::warn(
      "epoch {}: the loss stands still at {:.6f}, where {} has {:.6f}: nothing is being learned. "
      "Start anew in another folder with a lower `learning_rate`",
      position_.epoch, loss, guess->in_words, guess->loss);
}

void Run::save() {
  count_loss_behind();
  const double seconds_since_save = seconds_since(std::exchange(last_save_, Clock::now()));
  if (saved_steps_ == position_.steps) return;
  const Work done = std::exchange(since_save_, Work());
  const auto steps = static_cast<double>(position_.steps - saved_steps_);
  position_.seconds = seconds();
  const fs::path path = checkpoint_path(options_.output, position_.epoch, position_.step);
  comm_.together([&] {
    if (!comm_.is_root()) return;
    save_checkpoint(path, subject_, parameters_, adam_, position_);
    remove_old_checkpoints(options_.output, path, options_.keep_checkpoints);
    spdlog::info("epoch {} of {}: loss {:.6f}, saved; {:.3g} {} a second, {} read a step", position_.epoch,
                 options_.epochs, loss(), done.examples / seconds_since_save, subject_.examples,
                 format_bytes(done.bytes_read / steps));
  });
  saved_steps_ = position_.steps;
}

/// Of the last epoch, or of what was done of the first one.
double Run::loss() const {
  return position_.epoch > 0 || position_.step == 0 ? position_.epoch_loss : loss_of_this_epoch();
}

void Run::save_model() {
  comm_.together([&] {
    if (!comm_.is_root()) return;
    json training = subject_.identity;
    training.update({{"epochs", position_.epoch}, {"steps", position_.steps}, {"loss", loss()}});
    const fs::path path = model_path(options_.output);
    std::error_code ignored;
    fs::remove(provenance_path(path), ignored);  // of a model trained for less long
    json header = subject_.structure;
    header["training"] = training;
    save_tensors(path, {subject_.model_schema, subject_.model_version, header}, parameters_);
    write_provenance(path, options_.command_line, comm_.size(), {{"training", training}, {"seconds", seconds()}});
  });
}

}  // namespace

void check(const RunOptions& options) {
  const auto require = [](bool condition, const char* complaint) {
    if (!condition) throw UsageError(complaint);
  };
  require(options.epochs >= 1, "`epochs`: at least 1");
  require(options.adam.learning_rate > 0 && std::isfinite(options.adam.learning_rate),
          "`learning_rate`: a positive number");
  require(options.checkpoint_minutes > 0, "`checkpoint_minutes`: a positive number");
  require(options.keep_checkpoints >= 1, "`keep_checkpoints`: at least 1");
  require(!options.minutes || *options.minutes > 0, "`minutes`: a positive number");
}

json identity_of(const RunOptions& options) {
  json identity{{"learning_rate", options.adam.learning_rate},
                {"beta1", options.adam.beta1},
                {"beta2", options.adam.beta2},
                {"epsilon", options.adam.epsilon}};
  if (options.schedule == Schedule::kConstant) return identity;  // as runs were named before there were others
  identity["schedule"] = name_of(options.schedule);
  identity["scheduled_epochs"] = options.epochs;
  return identity;
}

RunSummary run(const Subject& subject, const std::function<std::unique_ptr<Learner>()>& make_learner,
               const RunOptions& options, const comm::Communicator& comm) {
  std::optional<FileLock> lock;
  comm.together([&] {
    check(options);
    if (comm.is_root()) claim(options.output, lock);
  });
  std::optional<RunSummary> finished;
  comm.together([&] {
    finished = finished_model(subject, model_path(options.output));
    if (finished && comm.is_root()) complete_provenance(subject, options, comm);
  });
  if (finished && finished->epochs >= options.epochs) return *finished;
  const std::unique_ptr<Learner> learner = make_learner();
  Run run(subject, *learner, options, comm);
  run.resume();
  run.go_on();
  if (finished && finished->steps == run.summary().steps) return *finished;
  run.save_model();
  return run.summary();
}

}  // namespace outsole::learn
