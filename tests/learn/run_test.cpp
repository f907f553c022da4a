// A line through points, learned on one rank or several, that is stopped, fails and is taken up again.

#include "learn/run.h"

#include <gmock/gmock.h>

#include <memory>

#include "../shared_folder.h"
#include "core/csv.h"
#include "core/errors.h"
#include "learn/checkpoint.h"
#include "learn/run_folder.h"
#include "message_of.h"
#include "toy_line.h"

namespace outsole::learn {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using outsole::testing::kSteps;
using outsole::testing::Line;
using outsole::testing::line_subject;
using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// One rank that sees all points of each step: no shares, no sums over ranks, no files.
class PlainLoop {
 public:
  explicit PlainLoop(const RunOptions& options)
      : adam_({line_.parameters()[0].tensor, line_.parameters()[1].tensor}, options.adam) {}

  void train(std::int64_t epochs) {
    for (; position_.epoch < epochs; ++position_.epoch) {
      line_.begin_epoch(position_.epoch);
      double losses = 0;
      for (std::int64_t step = 0; step < kSteps; ++step, ++position_.steps) {
        for (const NamedTensor& parameter : line_.parameters()) {
          at::Tensor tensor = parameter.tensor;
          tensor.mutable_grad() = at::zeros_like(tensor);
        }
        losses += line_.add_gradients(step).value() * line_.weight(step, step + 1);
        adam_.step();
      }
      position_.epoch_loss = losses / line_.weight(0, kSteps);
    }
  }

  at::Tensor learned() const {
    return at::cat({line_.parameters()[0].tensor.detach(), line_.parameters()[1].tensor.detach()});
  }

  Line line_{0, 1};
  Adam adam_;
  Position position_;
};

class RunTest : public outsole::testing::SharedFolder {
 protected:
  RunOptions options(const std::string& name, std::int64_t epochs) const {
    RunOptions options;
    options.output = folder_ / name;
    options.epochs = epochs;
    options.adam.learning_rate = 0.05;
    return options;
  }

  /// Every step leaves a checkpoint.
  RunOptions careful_options(const std::string& name, std::int64_t epochs) const {
    RunOptions careful = options(name, epochs);
    careful.checkpoint_minutes = 1e-9;
    careful.keep_checkpoints = 1000;
    return careful;
  }

  using BeforeStep = std::function<void(std::int64_t epoch, std::int64_t step)>;

  RunSummary train(const RunOptions& wanted, const BeforeStep& before_step = {},
                   const Subject& subject = line_subject()) const {
    const auto make_line = [&] {
      auto line = std::make_unique<Line>(comm_.rank(), comm_.size());
      line->before_step = before_step;
      line->is_late = losses_are_late_;
      return line;
    };
    return run(subject, make_line, wanted, comm_);
  }

  /// Slope and offset in the model of a run.
  at::Tensor learned(const std::string& name) const {
    const store::Store model(model_path(folder_ / name), "outsole.model");
    return at::cat(read_tensors(model, Line(0, 1).parameters()));
  }

  std::string model_digest(const std::string& name) const { return store::Store(model_path(folder_ / name)).sha256(); }

  CsvTable history(const std::string& name) const { return read_csv(history_path(folder_ / name)); }

  bool losses_are_late_ = false;
};

double largest_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST_F(RunTest, LearnsTheLine) {
  const RunSummary summary = train(options("run", 60));
  EXPECT_EQ(summary.epochs, 60);
  EXPECT_EQ(summary.steps, 60 * kSteps);
  EXPECT_FALSE(summary.was_finished);
  EXPECT_FALSE(summary.stands_still);
  EXPECT_LT(summary.loss, 1e-3);
  EXPECT_LT(largest_difference(learned("run"), at::tensor({1.0F, -2.0F, 3.0F, 0.5F})), 0.05);
}

TEST_F(RunTest, TheModelSaysWhatItIsAndHowItWasMade) {
  const RunSummary summary = train(options("run", 2));
  const store::Store model(model_path(folder_ / "run"), "outsole.model");
  json expected = line_subject().structure;
  expected["training"] = {{"seed", 1}, {"points", 50}, {"epochs", 2}, {"steps", 2 * kSteps}, {"loss", summary.loss}};
  EXPECT_EQ(model.header().parameters, expected);
  EXPECT_EQ(model.header().version, 2);
}

TEST_F(RunTest, OfAnyNumberOfRanksIsAPlainLoopsToRounding) {
  const RunSummary summary = train(options("run", 3));
  PlainLoop plain(options("plain", 3));
  plain.train(3);
  EXPECT_NEAR(summary.loss, plain.position_.epoch_loss, 1e-5 * summary.loss);
  EXPECT_LT(largest_difference(learned("run"), plain.learned()), 1e-5);
}

TEST_F(RunTest, BrokenOffAndTakenUpAgainItIsThatOfOneGoBitForBit) {
  train(options("straight", 4));
  const RunOptions wanted = careful_options("broken", 4);
  const auto fail_in_epoch_3 = [](std::int64_t epoch, std::int64_t step) {
    if (epoch == 2 && step == 4) throw DataError("the points are gone");
  };
  EXPECT_THAT(message_of<DataError>([&] { train(wanted, fail_in_epoch_3); }), HasSubstr("points are gone"));
  EXPECT_FALSE(fs::exists(model_path(wanted.output)));
  comm_.barrier();
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  const RunSummary summary =
      train(wanted, [&](std::int64_t epoch, std::int64_t step) { steps.emplace_back(epoch, step); });
  EXPECT_EQ(steps.front(), std::pair(std::int64_t{2}, std::int64_t{4}));
  EXPECT_EQ(summary.steps, 4 * kSteps);
  EXPECT_EQ(model_digest("broken"), model_digest("straight"));
  EXPECT_EQ(history("broken").rows.size(), 4U);
}

TEST_F(RunTest, WhatOneRankBeganGoesOnToRoundingOnAny) {
  const RunOptions wanted = options("run", 4);
  PlainLoop plain(wanted);
  plain.train(2);
  prepare([&] {
    fs::create_directories(wanted.output / "checkpoints");
    save_checkpoint(checkpoint_path(wanted.output, 2, 0), line_subject(), plain.line_.parameters(), plain.adam_,
                    plain.position_);
  });
  const RunSummary summary = train(wanted);
  plain.train(4);
  EXPECT_EQ(summary.steps, plain.position_.steps);
  EXPECT_NEAR(summary.loss, plain.position_.epoch_loss, 1e-5 * summary.loss);
  EXPECT_LT(largest_difference(learned("run"), plain.learned()), 1e-5);
}

TEST_F(RunTest, EndedByTimeItGoesOnWhenThereIsMore) {
  train(options("straight", 2));
  RunOptions wanted = options("short", 2);
  wanted.minutes = 1e-9;
  EXPECT_EQ(train(wanted).steps, 1);
  wanted.minutes.reset();
  EXPECT_EQ(train(wanted).steps, 2 * kSteps);
  EXPECT_TRUE(at::equal(learned("short"), learned("straight")));
}

TEST_F(RunTest, AFinishedOneReturnsAtOnceWithoutALearner) {
  const RunSummary first = train(options("run", 1));
  const auto none = []() -> std::unique_ptr<Learner> { throw Bug("nothing is left to learn"); };
  const RunSummary again = run(line_subject(), none, options("run", 1), comm_);
  EXPECT_TRUE(again.was_finished);
  EXPECT_EQ(again.loss, first.loss);
}

TEST_F(RunTest, HistoryTellsEachEpochAndTheJudgementsThatWereDue) {
  train(options("run", 3));
  const CsvTable table = history("run");
  EXPECT_THAT(table.columns, ElementsAre("epoch", "steps", "loss", "held_out_loss", "seconds", "points_per_second"));
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[0][3], "");
  EXPECT_NE(table.rows[1][3], "");
  EXPECT_NE(table.rows[2][3], "");
}

TEST_F(RunTest, ThatStandsStillIsTold) {
  RunOptions dead = options("dead", 3);
  dead.adam.learning_rate = 1e-30;
  EXPECT_TRUE(train(dead).stands_still);
}

TEST_F(RunTest, MemoryThatRunsOutOnOneRankEndsTheRunOnAllSayingWhatToLower) {
  const RunOptions wanted = careful_options("run", 2);
  for (int failing = 0; failing < comm_.size(); ++failing) {
    const auto run_out = [&](std::int64_t epoch, std::int64_t step) {
      const bool fits = epoch < 1 || step != 2 || comm_.rank() != failing;
      TORCH_CHECK(fits, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.");
    };
    EXPECT_THAT(message_of<EnvironmentError>([&] { train(wanted, run_out); }),
                AllOf(HasSubstr("out of memory"), HasSubstr("99 bytes"), HasSubstr("epoch 2, step 3"),
                      HasSubstr("use fewer points")));
    comm_.barrier();
  }
  EXPECT_EQ(train(wanted).steps, 2 * kSteps);
  train(options("straight", 2));
  EXPECT_EQ(model_digest("run"), model_digest("straight"));
}

TEST_F(RunTest, ABugOnOneRankReachesAll) {
  const auto fail = [&](std::int64_t, std::int64_t) {
    if (comm_.rank() == comm_.size() - 1) throw std::out_of_range("beyond the points");
  };
  EXPECT_THAT(message_of<Bug>([&] { train(options("run", 1), fail); }), HasSubstr("beyond the points"));
}

TEST_F(RunTest, ALossThatIsNotFiniteEndsItNamingTheStep) {
  for (const bool is_late : {false, true}) {
    losses_are_late_ = is_late;
    RunOptions wanted = options(is_late ? "late" : "run", 1);
    wanted.adam.learning_rate = 1e30;
    EXPECT_THAT(message_of<DataError>([&] { train(wanted); }), AllOf(HasSubstr("epoch 1"), HasSubstr("step 2")));
    EXPECT_FALSE(fs::exists(model_path(wanted.output)));
  }
}

TEST_F(RunTest, WhoseLossesComeLateIsTheSameBitForBit) {
  const RunSummary in_time = train(options("in_time", 4));
  losses_are_late_ = true;
  const RunSummary late = train(options("late", 4));
  train(careful_options("saved", 4));  // with a checkpoint after every step
  EXPECT_EQ(late.loss, in_time.loss);
  EXPECT_EQ(late.steps, in_time.steps);
  EXPECT_EQ(model_digest("late"), model_digest("in_time"));
  EXPECT_EQ(model_digest("saved"), model_digest("in_time"));
  const auto losses = [&](const std::string& name) {
    const CsvTable table = history(name);
    std::vector<std::string> fields;
    for (const auto& row : table.rows) {
      for (const char* column : {"epoch", "loss", "held_out_loss"}) fields.push_back(row[table.column(column)]);
    }
    return fields;
  };
  EXPECT_EQ(losses("late"), losses("in_time"));
  EXPECT_EQ(losses("saved"), losses("in_time"));
}

TEST_F(RunTest, OfAnotherSubjectIsRefusedNamingWhatAPersonWouldChange) {
  train(options("run", 1));
  EXPECT_THAT(message_of<UsageError>([&] { train(options("run", 1), {}, line_subject(2)); }),
              HasSubstr("`seed` is 1 there and 2 here"));
  Subject other = line_subject();
  other.identity["points"] = 49;
  EXPECT_THAT(message_of<UsageError>([&] { train(options("run", 1), {}, other); }),
              HasSubstr("the number of points is 50 there and 49 here"));
}

}  // namespace
}  // namespace outsole::learn
