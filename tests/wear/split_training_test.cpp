// Training, predicting and judging by teams of ranks that hold an image together.

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "core/errors.h"
#include "core/stop.h"
#include "learn/run_folder.h"
#include "learn/tensor_file.h"
#include "message_of.h"
#include "shared_folder.h"
#include "wear/evaluate_wear.h"
#include "wear/learner.h"
#include "wear/model_file.h"
#include "wear/predict.h"
#include "wear/prepared_fixture.h"
#include "wear/step_memory.h"
#include "wear/trainer.h"

namespace outsole::wear {
namespace {

using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Scans of one shoe in five weeks, 99 x 40: up to four slabs, the last of three rows.
class SplitTraining : public outsole::testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] {
      std::vector<PreparedInfo> scans;
      for (const double week : {0, 2, 4, 8, 10}) scans.push_back(outsole::testing::scan_of("shoe", week));
      outsole::testing::write_prepared(folder_ / "scans.h5", scans, 99, 40);
    });
  }

  TrainOptions options(const std::string& run, int split_ranks) const {
    TrainOptions options;
    options.scans = folder_ / "scans.h5";
    options.output = folder_ / run;
    options.epochs = 2;
    options.batch = 4;
    options.adam.learning_rate = 1e-4;
    options.time_hidden = 4;
    options.time_maps = 2;
    options.first_maps = 4;
    options.ssim_weight = 1;
    options.movements = {5, true};
    options.split_ranks = split_ranks;
    return options;
  }

  std::vector<at::Tensor> weights(const std::string& run) const {
    std::vector<at::Tensor> weights;
    for (const learn::NamedTensor& named : weights_of(*load_model(folder_ / run / "model.h5").network)) {
      weights.push_back(named.tensor.detach().clone());
    }
    comm_.barrier();
    return weights;
  }

  static double distance(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected) {
    double largest = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double value = ((found[i] - expected[i]).norm() / expected[i].norm()).item<double>();
      largest = std::max(largest, std::isnan(value) ? HUGE_VAL : value);
    }
    return largest;
  }

  std::string digest(const std::string& run) const { return store::Store(folder_ / run / "model.h5").sha256(); }
};

TEST_F(SplitTraining, IsThatOfWholeImagesAndRecomputingChangesNoByte) {
  train(options("whole", 1), comm_);
  TrainOptions wanted = options("split", comm_.size());
  const TrainSummary summary = train(wanted, comm_);
  EXPECT_EQ(summary.plan.slab_height_px, slab_of(99, 0, comm_.size()).padded_rows.size());
  EXPECT_LE(distance(weights("split"), weights("whole")), 1e-5);
  wanted.output = folder_ / "recomputed";
  wanted.recompute = true;
  train(wanted, comm_);
  EXPECT_EQ(digest("recomputed"), digest("split"));
}

TEST_F(SplitTraining, CheckpointsCarryOnInOtherTeams) {
  train(options("whole", 1), comm_);
  TrainOptions first = options("run", comm_.size()), then = options("run", 1);
  first.epochs = 1;
  train(first, comm_);
  then.recompute = true;
  train(then, comm_);
  EXPECT_LE(distance(weights("run"), weights("whole")), 1e-5);
}

TEST_F(SplitTraining, GradientsOfAStepDoNotDependOnTheSplitForMovedAndMirroredPairs) {
  const PreparedStore scans(folder_ / "scans.h5");
  const PairSets pairs = make_pairs(scans.scans(), Task::kPrediction, Split::kTime, 1);
  std::vector<TrainingPair> batch(pairs.training.begin(), pairs.training.begin() + 3);
  batch[0].movement = {37, -3, true};  // beyond the next slab's border
  batch[1].movement = {-40, 4, false};
  batch[2].movement = {-1, 0, true};
  const auto sums = [&](int split_ranks, std::int64_t epoch_loss_pairs) {
    const TrainOptions wanted = options("unused", split_ranks);
    Learner learner(scans, pairs, wanted, 0, comm_);
    std::vector<double> numbers{learner.add_gradients(batch, {}).value()};
    for (const learn::NamedTensor& named : learner.parameters()) {
      const at::Tensor gradient = named.tensor.grad().defined() ? named.tensor.grad() : at::zeros_like(named.tensor);
      const at::Tensor values = gradient.to(at::kDouble).contiguous();
      numbers.insert(numbers.end(), values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
    }
    comm_.start_sum(std::span<double>(numbers)).wait();
    numbers.push_back(learner.loss_of(std::span(pairs.held_out).first(static_cast<std::size_t>(epoch_loss_pairs))));
    return at::tensor(numbers, at::kDouble);
  };
  const at::Tensor whole = sums(1, 3), split = sums(comm_.size(), 3);
  EXPECT_LE(((split - whole).norm() / whole.norm()).item<double>(), 1e-6);
  EXPECT_NEAR(split[0].item<double>(), whole[0].item<double>(), 1e-6 * whole[0].item<double>());
  EXPECT_NEAR(split[-1].item<double>(), whole[-1].item<double>(), 1e-6 * whole[-1].item<double>());
}

TEST_F(SplitTraining, TeamsThatCannotBeAreRefused) {
  EXPECT_THAT(message_of<UsageError>([&] { train(options("run", comm_.size() + 1), comm_); }),
              AllOf(HasSubstr("`split_ranks`"), HasSubstr("teams")));
  EXPECT_THAT(message_of<UsageError>([&] { plan_training(options("run", 5), 10); }), HasSubstr("into 4 slabs"));
  EXPECT_THROW(train(options("run", 0), comm_), UsageError);
}

TEST_F(SplitTraining, AStepThatDoesNotFitNamesTheSplitThatDoes) {
  TrainOptions wanted = options("run", 1);
  wanted.batch = 1;
  wanted.first_maps = 32;
  const TrainPlan plan = plan_training(wanted, 1);
  const std::int64_t besides = plan.memory_bytes - plan.pair_memory_bytes + (std::int64_t{400} << 20);
  wanted.memory_bytes = besides + plan.pair_memory_bytes * 9 / 10;
  EXPECT_THAT(message_of<EnvironmentError>([&] { memory_for_scans(wanted, plan); }),
              AllOf(HasSubstr("`memory_gib`"), HasSubstr("What fits: `split_ranks` 1 and `recompute`")));
  wanted.memory_bytes = besides + plan.pair_memory_bytes * 4 / 10;
  EXPECT_THAT(message_of<EnvironmentError>([&] { memory_for_scans(wanted, plan); }),
              HasSubstr("What fits: 2 ranks with `split_ranks` 2 and `recompute`"));
  wanted.memory_bytes = besides;
  EXPECT_THAT(message_of<EnvironmentError>([&] { memory_for_scans(wanted, plan); }),
              ::testing::Not(HasSubstr("fits:")));
}

TEST_F(SplitTraining, PredictionsAndJudgementsAreThoseOfWholeImages) {
  train(options("run", 1), comm_);
  PredictOptions wanted;
  wanted.model = folder_ / "run" / "model.h5";
  wanted.input = {folder_ / "scans.h5"};
  wanted.weeks = {0, 8};
  const auto pictures = [&](const std::string& name, int split_ranks) {
    wanted.output = folder_ / name;
    wanted.split_ranks = split_ranks;
    const PredictSummary summary = predict(comm_, wanted);
    EXPECT_EQ(summary.predictions, comm_.is_root() ? 10 : 0);
    const store::Store store(wanted.output, kPredictionsSchema);
    const auto bytes = std::get<std::vector<std::uint8_t>>(store.read("pixels").values);
    comm_.barrier();
    return bytes;
  };
  const auto whole = pictures("whole.h5", 1), split = pictures("split.h5", comm_.size());
  ASSERT_EQ(whole.size(), split.size());
  std::int64_t differ = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_LE(std::abs(int{whole[i]} - int{split[i]}), 1);
    if (whole[i] != split[i]) ++differ;
  }
  EXPECT_LE(differ, static_cast<std::int64_t>(whole.size() / 1000));  // rounding of halves

  EvaluateWearOptions judged{.model = wanted.model, .scans = folder_ / "scans.h5", .clean = {}, .on_target = {}};
  const auto of_whole = evaluate_wear(judged, comm_);
  judged.split_ranks = comm_.size();
  const auto of_split = evaluate_wear(judged, comm_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(of_split["pairs"], of_whole["pairs"]);
  EXPECT_EQ(of_split["ssim"]["persistence"], of_whole["ssim"]["persistence"]);
  EXPECT_NEAR(of_split["ssim"]["model"]["mean"].get<double>(), of_whole["ssim"]["model"]["mean"].get<double>(), 1e-3);
}

}  // namespace
}  // namespace outsole::wear
