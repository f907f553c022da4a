// Runs of training on one rank or several, that are ended, damaged and taken up again.

#include "wear/trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <array>
#include <fstream>
#include <functional>

#include "core/csv.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "learn/checkpoint.h"
#include "learn/epoch_order.h"
#include "learn/gradient_sum.h"
#include "learn/run_folder.h"
#include "message_of.h"
#include "prepared_fixture.h"
#include "wear/learner.h"
#include "wear/loss.h"
#include "wear/model_file.h"
#include "wear/network.h"
#include "wear/step_time.h"

namespace outsole::wear {
namespace {

namespace fs = std::filesystem;
using learn::checkpoint_path;
using learn::list_checkpoints;
using learn::remove_tensor_store;
using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A folder that all ranks share, with scans of one shoe in five weeks: ten pairs of the first four to train on.
class TrainerTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kTrainingPairs = 10,
                                kSteps = 3;  // an epoch; the last has 2 pairs: some ranks have none

  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "outsole-XXXXXX").string();
    if (comm_.is_root()) {
      ASSERT_NE(mkdtemp(name.data()), nullptr);
    }
    folder_ = comm_.broadcast(name);
    on_root([&] {
      std::vector<wear::PreparedInfo> scans;
      for (const double week : {0, 2, 4, 8, 10}) scans.push_back(testing::scan_of("shoe", week));
      testing::write_prepared(folder_ / "scans.h5", scans);
    });
  }
  void TearDown() override {
    comm_.barrier();
    if (comm_.is_root()) fs::remove_all(folder_);
  }

  void on_root(const std::function<void()>& work) const {
    comm_.barrier();
    if (comm_.is_root()) work();
    comm_.barrier();
  }

  TrainOptions options(const std::string& run, std::int64_t epochs) const {
    TrainOptions options;
    options.scans = folder_ / "scans.h5";
    options.output = folder_ / run;
    options.epochs = epochs;
    options.batch = 4;
    options.adam.learning_rate = 1e-4;
    options.time_hidden = 4;
    options.time_maps = 2;
    options.first_maps = 4;  // checkpoints of 1 MB
    return options;
  }

  std::string model_digest(const std::string& run) const { return store::Store(folder_ / run / "model.h5").sha256(); }

  /// The column `epoch` of history.csv.
  std::vector<std::string> epochs_told(const std::string& run) const {
    const CsvTable table = read_csv(folder_ / run / "history.csv");
    std::vector<std::string> epochs;
    for (const auto& row : table.rows) epochs.push_back(row[table.column("epoch")]);
    return epochs;
  }

  comm::Communicator comm_;
  fs::path folder_;
};

/// One process that sees the whole batch: the equation, with neither shares nor sums over ranks.
class PlainLoop {
 public:
  explicit PlainLoop(const TrainOptions& options)
      : options_(options),
        scans_(options.scans),
        sets_(make_pairs(scans_.scans(), options.task, options.split, options.seed)),
        images_(scans_, 0),
        network_(network_shape(options, scans_), options.seed),
        adam_(network_.parameters(), options.adam) {}

  double gradients(std::span<const TrainingPair> batch) {
    std::vector<ShownScan> inputs, targets;
    at::Tensor times = at::empty({std::ssize(batch), time_inputs(options_.task)});
    for (std::size_t i = 0; i < batch.size(); ++i) {
      inputs.push_back({batch[i].input, batch[i].movement});
      targets.push_back({batch[i].target, batch[i].movement});
      times[static_cast<std::int64_t>(i)] = batch[i].weeks / kLongestWeeks;
    }
    network_.zero_grad();
    const at::Tensor predicted = network_.forward(images_.batch(inputs).grey, times);
    const ScanBatch target = images_.batch(targets);
    const at::Tensor error = (target.known * (predicted - target.grey).square()).sum() / target.known.sum();
    (error + options_.ssim_weight *
                 structural_dissimilarity(predicted, target.grey, target.known, target.known.sum().item<double>()))
        .backward();
    return error.item<double>();
  }

  /// The loss of the last epoch.
  double train() {
    double loss = 0;
    for (std::int64_t epoch = 0; epoch < options_.epochs; ++epoch) {
      const auto order = learn::epoch_order(std::ssize(pairs()), options_.seed, epoch);
      loss = 0;
      for (std::size_t first = 0; first < order.size(); first += static_cast<std::size_t>(options_.batch)) {
        std::vector<TrainingPair> batch;
        for (std::size_t i = first; i < std::min(order.size(), first + static_cast<std::size_t>(options_.batch)); ++i) {
          batch.push_back(pairs()[static_cast<std::size_t>(order[i])]);
        }
        loss += gradients(batch) * static_cast<double>(batch.size());
        adam_.step();
      }
    }
    return loss / static_cast<double>(pairs().size());
  }

  const PairSets& sets() const { return sets_; }
  const std::vector<TrainingPair>& pairs() const { return sets_.training; }
  WearNetwork& network() { return network_; }

 private:
  TrainOptions options_;
  wear::PreparedStore scans_;
  PairSets sets_;
  ScanImages images_;
  WearNetwork network_;
  learn::Adam adam_;
};

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const double difference = (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
  return difference / std::max(b.to(at::kDouble).norm().item<double>(), 1e-30);
}

TEST_F(TrainerTest, RanksThatShareABatchComeToTheGradientOfOneRankWithAllOfIt) {
  for (const auto& [kind, ssim_weight] : {std::pair{NetworkKind::kPaper, 0.0}, std::pair{NetworkKind::kResidual, 0.0},
                                          std::pair{NetworkKind::kPaper, 0.5}}) {
    TrainOptions wanted = options("run", 1);
    wanted.network = kind;
    wanted.ssim_weight = ssim_weight;
    wanted.first_maps = 32;
    const wear::PreparedStore scans(wanted.scans);
    PlainLoop plain(wanted);
    Learner learner(scans, plain.sets(), wanted, 0, comm_);
    std::vector<at::Tensor> parameters;
    for (const auto& parameter : learner.parameters()) parameters.push_back(parameter.tensor);
    learn::GradientSum sum(parameters, comm_);
    for (const std::size_t size : {1U, 2U, 3U, 7U, 10U}) {
      const std::span<const TrainingPair> batch(plain.pairs().data(), size);
      const double expected = plain.gradients(batch);
      sum.zero();
      std::array<double, 1> loss{learner.add_gradients(batch, {}).value()};
      sum.finish();
      comm_.start_sum(std::span<double>(loss)).wait();
      EXPECT_NEAR(loss[0], expected, 1e-5 * expected) << size << " pairs";
      const auto whole = plain.network().parameters();
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        EXPECT_LT(relative_difference(parameters[i].grad(), whole[i].grad()), 1e-5) << size << " pairs, tensor " << i;
      }
    }
  }
}

TEST_F(TrainerTest, TheLossOfPairsIsThatOfOneRank) {
  const TrainOptions wanted = options("run", 1);
  const wear::PreparedStore scans(wanted.scans);
  PlainLoop plain(wanted);
  Learner learner(scans, plain.sets(), wanted, 0, comm_);
  const double expected = plain.gradients(plain.pairs());
  EXPECT_NEAR(learner.loss_of(plain.pairs()), expected, 1e-5 * expected);
}

TEST_F(TrainerTest, AGreyForAllPixelsHasTheLossOfTheTargetsVariance) {
  const TrainOptions wanted = options("run", 1);
  const wear::PreparedStore scans(wanted.scans);
  PlainLoop plain(wanted);
  std::vector<ShownScan> targets;
  for (const TrainingPair& pair : plain.pairs()) targets.push_back({pair.target, {}});
  const ScanBatch shown = ScanImages(scans, 0).batch(targets);
  const at::Tensor seen = shown.grey.masked_select(shown.known > 0).to(at::kDouble);
  EXPECT_NEAR(Learner(scans, plain.sets(), wanted, 0, comm_).one_grey_loss(plain.pairs()),
              seen.var(false).item<double>(), 1e-6);
}

TEST_F(TrainerTest, TrainsLikeAPlainLoopOnOneRank) {
  TrainOptions wanted = options("run", 2);
  wanted.first_maps = 32;
  const TrainSummary summary = train(wanted, comm_);
  EXPECT_EQ(summary.epochs, 2);
  EXPECT_EQ(summary.steps, 2 * kSteps);
  EXPECT_FALSE(summary.was_finished);
  PlainLoop plain(wanted);
  const double expected = plain.train();
  EXPECT_NEAR(summary.loss, expected, 1e-4 * expected);
  const Model model = load_model(folder_ / "run/model.h5");
  EXPECT_EQ(model.training.at("epochs"), 2);
  EXPECT_EQ(model.training.at("dpi"), 40.0);
  EXPECT_THAT(epochs_told("run"), ElementsAre("1", "2"));
}

TEST_F(TrainerTest, EndedAndRaisedIsTrainedAsInOneGo) {
  train(options("straight", 3), comm_);
  train(options("twice", 1), comm_);
  const TrainSummary summary = train(options("twice", 3), comm_);
  EXPECT_EQ(summary.epochs, 3);
  EXPECT_EQ(model_digest("twice"), model_digest("straight"));
  EXPECT_THAT(epochs_told("twice"), ElementsAre("1", "2", "3"));
}

TEST_F(TrainerTest, ACrashInAnEpochLosesOnlyWhatWasNotSaved) {
  TrainOptions wanted = options("run", 2);
  wanted.network = NetworkKind::kResidual;
  wanted.schedule = learn::Schedule::kCosine;
  wanted.ssim_weight = 0.5;
  wanted.movements = {3, true};
  wanted.checkpoint_minutes = 1e-9;  // after every step
  wanted.keep_checkpoints = 100;
  train(wanted, comm_);
  const std::string expected = model_digest("run");
  on_root([&] {
    EXPECT_EQ(list_checkpoints(wanted.output).size(), 2U * kSteps);
    fs::remove(wanted.output / "model.h5");
    for (const fs::path& checkpoint : list_checkpoints(wanted.output)) {
      if (checkpoint > checkpoint_path(wanted.output, 0, 2)) remove_tensor_store(checkpoint);
    }
  });
  const TrainSummary summary = train(wanted, comm_);
  EXPECT_EQ(summary.steps, 2 * kSteps);
  EXPECT_EQ(model_digest("run"), expected);
  EXPECT_THAT(epochs_told("run"), ElementsAre("1", "2"));
}

TEST_F(TrainerTest, ADamagedCheckpointIsSkippedForTheOneBeforeIt) {
  TrainOptions wanted = options("run", 1);
  wanted.checkpoint_minutes = 1e-9;
  train(wanted, comm_);
  const std::string expected = model_digest("run");
  on_root([&] {
    fs::create_directory(wanted.output / "checkpoints/epoch_000000_step_00001.part");  // as a crash leaves them
    fs::create_directory(wanted.output / "checkpoints/epoch_000007_step_00001.shards");
    const auto checkpoints = list_checkpoints(wanted.output);
    EXPECT_EQ(checkpoints.size(), 3U);
    remove_tensor_store(wanted.output / "model.h5");
    fs::resize_file(fs::path(checkpoints[0]).replace_extension(".shards") / "00000.h5", 1000);
    std::ofstream(checkpoints[1]) << "not a store";
  });
  EXPECT_EQ(train(wanted, comm_).steps, kSteps);
  EXPECT_EQ(model_digest("run"), expected);
  EXPECT_EQ(std::distance(fs::directory_iterator(wanted.output / "checkpoints"), {}), 2 * wanted.keep_checkpoints);
}

TEST_F(TrainerTest, WithoutAnyReadableCheckpointItDoesNotStartOverUnasked) {
  const TrainOptions wanted = options("run", 1);
  train(wanted, comm_);
  on_root([&] {
    remove_tensor_store(wanted.output / "model.h5");
    std::ofstream(list_checkpoints(wanted.output).front()) << "not a store";
  });
  EXPECT_THAT(message_of<DataError>([&] { train(wanted, comm_); }), HasSubstr("checkpoints"));
}

TEST_F(TrainerTest, KeepsTheLastCheckpoints) {
  TrainOptions wanted = options("run", 2);
  wanted.checkpoint_minutes = 1e-9;
  wanted.keep_checkpoints = 2;
  train(wanted, comm_);
  EXPECT_THAT(list_checkpoints(wanted.output),
              ElementsAre(checkpoint_path(wanted.output, 2, 0), checkpoint_path(wanted.output, 1, 2)));
  EXPECT_EQ(std::distance(fs::directory_iterator(wanted.output / "checkpoints"), {}), 4);
}

TEST_F(TrainerTest, AFinishedRunReturnsAtOnce) {
  const TrainOptions wanted = options("run", 1);
  const TrainSummary first = train(wanted, comm_);
  const TrainSummary again = train(wanted, comm_);
  EXPECT_TRUE(again.was_finished);
  EXPECT_EQ(again.steps, kSteps);
  EXPECT_EQ(again.loss, first.loss);
}

TEST_F(TrainerTest, AnotherRunsFolderIsRefusedNamingTheOption) {
  train(options("run", 1), comm_);
  TrainOptions other = options("run", 1);
  const auto expect_refusal = [&](auto member, auto value, const std::string& text) {
    TrainOptions another = options("run", 1);
    another.*member = value;
    EXPECT_THAT(message_of<UsageError>([&] { train(another, comm_); }), HasSubstr(text));
  };
  expect_refusal(&TrainOptions::network, NetworkKind::kResidual, "`network` is not set there and \"residual\" here");
  expect_refusal(&TrainOptions::schedule, learn::Schedule::kCosine, "`schedule`");
  expect_refusal(&TrainOptions::ssim_weight, 0.5, "`ssim_weight` is not set there");
  expect_refusal(&TrainOptions::ssim_weight, -0.5, "`ssim_weight`");
  expect_refusal(&TrainOptions::movements, MovementRange{2, false}, "`shift_px`");
  expect_refusal(&TrainOptions::movements, MovementRange{0, true}, "`mirror`");
  expect_refusal(&TrainOptions::first_maps, std::int64_t{5}, "`first_maps`");
  other.batch = 5;
  EXPECT_THAT(message_of<UsageError>([&] { train(other, comm_); }), AllOf(HasSubstr("`batch` is 4"), HasSubstr("5")));
  on_root([&] { remove_tensor_store(other.output / "model.h5"); });
  EXPECT_THAT(message_of<UsageError>([&] { train(other, comm_); }), AllOf(HasSubstr("`batch` is 4"), HasSubstr("5")));
}

TEST_F(TrainerTest, AnOptionThatIsLeftOutWhenARunGoesOnIsRefusedToo) {
  TrainOptions begun = options("run", 1);
  begun.movements = {2, true};
  begun.schedule = learn::Schedule::kCosine;
  begun.ssim_weight = 0.5;
  train(begun, comm_);
  const auto expect_refusal = [&](const std::string& text, const std::function<void(TrainOptions&)>& change) {
    TrainOptions other = begun;
    change(other);
    EXPECT_THAT(message_of<UsageError>([&] { train(other, comm_); }), HasSubstr(text));
  };
  for (const bool has_model : {true, false}) {  // or a checkpoint only
    if (!has_model) on_root([&] { remove_tensor_store(begun.output / "model.h5"); });
    expect_refusal("`shift_px` is 2 there and not set here", [](auto& other) { other.movements.most_px = 0; });
    expect_refusal("`mirror` is true", [](auto& other) { other.movements.mirrors = false; });
    expect_refusal("`schedule` is \"cosine\"", [](auto& other) { other.schedule = learn::Schedule::kConstant; });
    expect_refusal("`epochs`", [](auto& other) { other.epochs = 2; });
    expect_refusal("`ssim_weight` is 0.5", [](auto& other) { other.ssim_weight = 0; });
  }
}

TEST_F(TrainerTest, MinutesEndARunAsItsEpochsWould) {
  TrainOptions wanted = options("run", 1000);
  wanted.minutes = 1e-9;
  const TrainSummary first = train(wanted, comm_);
  EXPECT_EQ(first.steps, 1);
  EXPECT_TRUE(fs::exists(wanted.output / "model.h5"));
  EXPECT_TRUE(train(wanted, comm_).was_finished);
}

TEST_F(TrainerTest, AnEpochThatTimeCutShortIsToldUntilItIsWhole) {
  TrainOptions wanted = options("run", 2);
  wanted.minutes = 1e-9;
  train(wanted, comm_);
  EXPECT_THAT(epochs_told("run"), ElementsAre("1"));
  const std::string expected = model_digest("run");
  on_root([&] { remove_tensor_store(wanted.output / "model.h5"); });  // as if killed before it was written
  train(wanted, comm_);
  EXPECT_THAT(epochs_told("run"), ElementsAre("1"));
  EXPECT_EQ(model_digest("run"), expected);
  wanted.minutes.reset();
  train(wanted, comm_);
  EXPECT_THAT(epochs_told("run"), ElementsAre("1", "2"));
}

TEST_F(TrainerTest, ALossThatIsNotFiniteEndsTheRunNamingTheStep) {
  TrainOptions wanted = options("run", 1);
  wanted.adam.learning_rate = 1e30;
  EXPECT_THAT(message_of<DataError>([&] { train(wanted, comm_); }), AllOf(HasSubstr("epoch 1"), HasSubstr("step 2")));
  EXPECT_FALSE(fs::exists(wanted.output / "model.h5"));
}

TEST_F(TrainerTest, ANetworkThatTooLargeALearningRateKilledIsNoticed) {
  EXPECT_FALSE(train(options("alive", 4), comm_).stands_still);
  TrainOptions wanted = options("dead", 4);
  wanted.adam.learning_rate = 10;
  const TrainSummary summary = train(wanted, comm_);
  EXPECT_EQ(summary.epochs, 4);
  EXPECT_TRUE(summary.stands_still);
}

TEST_F(TrainerTest, ThePlanSaysWhatWillBeDone) {
  const TrainPlan plan = plan_training(options("run", 1), 2);
  EXPECT_EQ(plan.scans, 5);
  EXPECT_EQ(plan.training_pairs, kTrainingPairs);
  EXPECT_EQ(plan.held_out_pairs, 5);
  EXPECT_EQ(plan.steps_per_epoch, kSteps);
  EXPECT_EQ(plan.height_px, 32);
  EXPECT_EQ(plan.width_px, 40);
  EXPECT_GT(plan.parameters, 50'000);
  TrainOptions twice = options("run", 1);
  twice.batch *= 2;
  EXPECT_DOUBLE_EQ(plan_training(twice, 2).flops_per_step, 2 * plan.flops_per_step);
  EXPECT_DOUBLE_EQ(plan.judged_pairs, 5.0 / 4);  // all five every fourth epoch, at most a twentieth of the time
  EXPECT_LT(plan.memory_bytes, plan_training(options("run", 1), 1).memory_bytes);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(TrainerTest, AStepIsTimedForSharesUpToAWholeBatch) {
  const TrainOptions wanted = options("run", 1);
  const TrainPlan plan = plan_training(wanted, comm_.size());
  const StepTime step = measure_step(wanted, plan, comm_);
  ASSERT_EQ(wanted.batch, 4);
  std::vector<std::int64_t> shares;
  for (const auto& [share, seconds] : step.share_s) {
    shares.push_back(share);
    // Within what processors do: a wrong unit would not be.
    const double flops = plan.flops_per_step * static_cast<double>(share) / static_cast<double>(wanted.batch);
    EXPECT_GT(flops / seconds, 1e6);
    EXPECT_LT(flops / seconds, 1e13);
  }
  EXPECT_EQ(shares, (std::vector<std::int64_t>{1, 2, 4}));
  EXPECT_EQ(step.sum_bytes_s > 0, comm_.size() > 1);
}

TEST_F(TrainerTest, TooLittleMemoryIsRefusedBeforeTheFirstStep) {
  TrainOptions wanted = options("run", 1);
  wanted.first_maps = 32;
  wanted.memory_bytes = std::int64_t{420} << 20;
  EXPECT_THAT(message_of<EnvironmentError>([&] { train(wanted, comm_); }), HasSubstr("`memory_gib`"));
}

}  // namespace
}  // namespace outsole::wear
