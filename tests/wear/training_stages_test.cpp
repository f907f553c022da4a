// Trainings from coarse to fine, on one rank or several, and trainings that start from a model.

#include "wear/training_stages.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "../shared_folder.h"
#include "core/checked.h"
#include "core/csv.h"
#include "core/errors.h"
#include "learn/run_folder.h"
#include "learn/tensor_file.h"
#include "message_of.h"
#include "prepared_fixture.h"
#include "wear/initial_weights.h"
#include "wear/model_file.h"

namespace outsole::wear {
namespace {

namespace fs = std::filesystem;
using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kStoredHeight = 96, kStoredWidth = 80;
constexpr ShownSize kSmall{48, 40}, kMiddle{72, 60};

/// Scans of one shoe in five weeks: ten pairs of the first four to train on, three steps an epoch.
class TrainingStages : public testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] {
      std::vector<PreparedInfo> scans;
      for (const double week : {0, 2, 4, 8, 10}) scans.push_back(testing::scan_of("shoe", week));
      testing::write_prepared(folder_ / "scans.h5", scans, kStoredHeight, kStoredWidth);
    });
  }

  TrainOptions options(const std::string& run, std::int64_t epochs = 2) const {
    TrainOptions options;
    options.scans = folder_ / "scans.h5";
    options.output = folder_ / run;
    options.epochs = epochs;
    options.batch = 4;
    options.adam.learning_rate = 1e-4;
    options.time_hidden = 4;
    options.time_maps = 2;
    options.first_maps = 4;
    return options;
  }

  std::string digest(const std::string& run) const { return store::Store(folder_ / run / "model.h5").sha256(); }

  std::string refusal(const TrainOptions& options, const StageLists& lists) const {
    return message_of<UsageError>([&] { train_in_stages(options, lists, comm_); });
  }
};

TEST_F(TrainingStages, EachStartsFromTheOneBeforeAndTheLastModelIsTheRuns) {
  const TrainSummary summary =
      train_in_stages(options("run"), {{kSmall, kMiddle, std::nullopt}, {2, 1, 3}, {4, 5, 3}, {1e-4}, {}}, comm_);
  EXPECT_EQ(summary.epochs, 3);
  EXPECT_EQ(summary.steps, 12);
  EXPECT_FALSE(summary.was_finished);
  EXPECT_EQ(summary.plan.height_px, kStoredHeight);
  // By hand.
  TrainOptions by_hand = options("small");
  by_hand.size = kSmall;
  train(by_hand, comm_);
  EXPECT_EQ(digest("small"), digest("run/48x40"));
  by_hand = options("middle", 1);
  by_hand.size = kMiddle;
  by_hand.init = folder_ / "small/model.h5";
  by_hand.batch = 5;
  train(by_hand, comm_);
  EXPECT_EQ(digest("middle"), digest("run/72x60"));
  by_hand = options("native", 3);
  by_hand.init = folder_ / "middle/model.h5";
  by_hand.batch = 3;
  train(by_hand, comm_);
  EXPECT_EQ(digest("native"), digest("run/native"));
  EXPECT_EQ(digest("native"), digest("run"));
  const CsvTable history = read_csv(folder_ / "run/history.csv");
  const auto column = [&](const char* name) {
    std::vector<std::string> values;
    for (const auto& row : history.rows) values.push_back(row[history.column(name)]);
    return values;
  };
  EXPECT_THAT(column("epoch"), ElementsAre("1", "2", "3", "4", "5", "6"));
  EXPECT_THAT(column("steps"), ElementsAre("3", "6", "8", "12", "16", "20"));
  EXPECT_THAT(column("size"), ElementsAre("48x40", "48x40", "72x60", "native", "native", "native"));
}

TEST_F(TrainingStages, AreTakenUpWhereTheyWereLeft) {
  const StageLists lists{{kSmall, std::nullopt}, {2}, {}, {}, {}};
  train_in_stages(options("straight"), lists, comm_);
  for (const char* lost : {"model.h5", "native/model.h5", "native", "48x40/model.h5", "48x40"}) {
    train_in_stages(options("again"), lists, comm_);
    prepare([&] { fs::remove_all(folder_ / "again" / lost); });
    const TrainSummary summary = train_in_stages(options("again"), lists, comm_);
    EXPECT_EQ(digest("again"), digest("straight")) << lost;
    EXPECT_EQ(digest("again/48x40"), digest("straight/48x40")) << lost;
    EXPECT_EQ(summary.was_finished, lost == std::string("model.h5")) << lost;
    EXPECT_TRUE(fs::exists(folder_ / "again/model.provenance.json"));
  }
  // Another stage at the end goes on from what is there.
  train_in_stages(options("more"), {{kSmall}, {2}, {}, {}, {}}, comm_);
  EXPECT_EQ(digest("more"), digest("straight/48x40"));
  train_in_stages(options("more"), lists, comm_);
  EXPECT_EQ(digest("more"), digest("straight"));
}

TEST_F(TrainingStages, AnotherStageBeforeWhatIsThereIsRefused) {
  train_in_stages(options("run", 1), {{kSmall, std::nullopt}, {}, {}, {}, {}}, comm_);
  comm_.barrier();
  EXPECT_THAT(refusal(options("run", 1), {{kMiddle, std::nullopt}, {}, {}, {}, {}}),
              AllOf(HasSubstr("native"), HasSubstr("`init`")));
}

TEST_F(TrainingStages, ThatCannotBeDoneAreRefusedByNameBeforeAnythingIsTrained) {
  const TrainOptions run = options("run");
  EXPECT_THAT(refusal(run, {{std::nullopt, kSmall}, {}, {}, {}, {}}),
              AllOf(HasSubstr("`sizes`"), HasSubstr("48x40"), HasSubstr("from coarse to fine")));
  EXPECT_THAT(refusal(run, {{kSmall, kSmall}, {}, {}, {}, {}}), HasSubstr("48x40"));
  EXPECT_THAT(refusal(run, {{kSmall, ShownSize{kStoredHeight, kStoredWidth}, std::nullopt}, {}, {}, {}, {}}),
              HasSubstr("native (96x80 pixels) is not larger than 96x80"));
  EXPECT_THAT(refusal(run, {{ShownSize{192, 160}}, {}, {}, {}, {}}), HasSubstr("cannot be shown at 192x160"));
  EXPECT_THAT(refusal(run, {{ShownSize{48, 48}}, {}, {}, {}, {}}), HasSubstr("another shape than 48x48"));
  EXPECT_THAT(refusal(run, {{kSmall, std::nullopt}, {1, 2, 3}, {}, {}, {}}),
              AllOf(HasSubstr("`epochs`"), HasSubstr("3 values for 2 `sizes`")));
  EXPECT_THAT(refusal(run, {{kSmall}, {}, {1, 2}, {}, {}}), AllOf(HasSubstr("`batch`"), HasSubstr("one training")));
  EXPECT_THAT(refusal(run, {{}, {}, {}, {1e-4, 1e-5}, {}}), HasSubstr("`learning_rate`"));
  EXPECT_FALSE(fs::exists(folder_ / "run"));
  TrainOptions small_memory = run;
  small_memory.batch = 10;
  const std::int64_t share = divide_up(small_memory.batch, comm_.size());
  small_memory.memory_bytes =
      (std::int64_t{400} << 20) + share * kStoredHeight * kStoredWidth * 400;  // enough for the small ones
  EXPECT_THROW(train_in_stages(small_memory, {{kSmall, std::nullopt}, {}, {}, {}, {}}, comm_), EnvironmentError);
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

TEST_F(TrainingStages, AndTrainingsInOneStageDoNotShareAFolder) {
  train_in_stages(options("plain", 1), {}, comm_);
  comm_.barrier();
  EXPECT_THAT(refusal(options("plain", 1), {{kSmall}, {}, {}, {}, {}}), HasSubstr("without `sizes`"));
  train_in_stages(options("stages", 1), {{kSmall}, {}, {}, {}, {}}, comm_);
  comm_.barrier();
  EXPECT_THAT(refusal(options("stages", 1), {}), AllOf(HasSubstr("in stages (48x40)"), HasSubstr("`sizes`")));
}

TEST_F(TrainingStages, ATrainingOfAnotherInitOrSizeIsRefusedNamingIt) {
  train(options("first", 1), comm_);
  train(options("second", 2), comm_);
  TrainOptions started = options("run", 1);
  started.init = folder_ / "first/model.h5";
  train(started, comm_);
  comm_.barrier();
  EXPECT_NE(digest("run"), digest("first"));
  started.init = folder_ / "second/model.h5";
  EXPECT_THAT(message_of<UsageError>([&] { train(started, comm_); }), HasSubstr("the model of `init`"));
  started.init.reset();
  EXPECT_THAT(message_of<UsageError>([&] { train(started, comm_); }), HasSubstr("not set here"));
  started.init = folder_ / "first/model.h5";
  started.size = kSmall;
  EXPECT_THAT(message_of<UsageError>([&] { train(started, comm_); }),
              HasSubstr("the dpi of `scans` is 40.0 there and 20.0 here"));
  started = options("other", 1);
  started.init = folder_ / "first/model.h5";
  started.first_maps = 8;
  EXPECT_THAT(message_of<UsageError>([&] { train(started, comm_); }), HasSubstr("`first_maps` is 4, here it is 8"));
  started.init = folder_ / "nothing.h5";
  EXPECT_THROW(train(started, comm_), DataError);
}

TEST_F(TrainingStages, ThatStartFromAModelBeginWithItsWeights) {
  train(options("first", 1), comm_);
  TrainOptions started = options("run", 1);
  started.init = folder_ / "first/model.h5";
  started.adam.learning_rate = 1e-30;  // nothing changes
  started.size = kSmall;
  train(started, comm_);
  if (!comm_.is_root()) return;
  const Model first = load_model(folder_ / "first/model.h5"), run = load_model(folder_ / "run/model.h5");
  WearNetwork expected(run.network->shape(), 9);
  start_from(*first.network, expected);
  const auto wanted = weights_of(expected), found = weights_of(*run.network);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_LT((found[i].tensor - wanted[i].tensor).abs().max().item<double>(), 1e-25) << wanted[i].name;
  }
}

}  // namespace
}  // namespace outsole::wear
