#include "wear/pairs.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "core/errors.h"
#include "prepared_fixture.h"

namespace outsole::wear {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::paper_year;
using testing::scan_of;
using Scans = std::vector<wear::PreparedInfo>;

/// "input>target:weeks", by id; a star marks an unseen target.
std::vector<std::string> told(const Scans& scans, const std::vector<TrainingPair>& pairs) {
  std::vector<std::string> texts;
  for (const TrainingPair& pair : pairs) {
    texts.push_back(scans[static_cast<std::size_t>(pair.input)].id + ">" +
                    scans[static_cast<std::size_t>(pair.target)].id + ":" +
                    std::to_string(static_cast<int>(pair.weeks)) + (pair.unseen_target ? "*" : ""));
  }
  return texts;
}

Scans two_shoes() { return {scan_of("a", 0), scan_of("a", 4), scan_of("b", 0), scan_of("b", 2)}; }

TEST(MakePairs, PredictionGoesForwardWithinAShoeItselfIncluded) {
  const Scans scans = two_shoes();
  const PairSets sets = make_pairs(scans, Task::kPrediction, Split::kShoe, 1);
  std::vector<std::string> all = told(scans, sets.training), held_out = told(scans, sets.held_out);
  all.insert(all.end(), held_out.begin(), held_out.end());
  std::ranges::sort(all);
  EXPECT_THAT(all, ElementsAre("a_0>a_0:0", "a_0>a_4:4", "a_4>a_4:0", "b_0>b_0:0", "b_0>b_2:2", "b_2>b_2:0"));
}

TEST(MakePairs, ReconstructionGoesBackwardAndAsksForTheTargetsWeek) {
  const Scans scans = two_shoes();
  const PairSets sets = make_pairs(scans, Task::kReconstruction, Split::kTime, 1);
  EXPECT_THAT(told(scans, sets.training), ElementsAre("a_4>a_4:4", "b_2>b_2:2"));
  EXPECT_THAT(told(scans, sets.held_out), ElementsAre("a_0>a_0:0*", "a_4>a_0:0*", "b_0>b_0:0*", "b_2>b_0:0*"));
}

TEST(MakePairs, ThePapersYearTrainsOn42Of52Scans) {
  const Scans scans = paper_year();
  ASSERT_EQ(scans.size(), 52U);
  for (const Task task : {Task::kPrediction, Task::kReconstruction}) {
    const PairSets sets = make_pairs(scans, task, Split::kTime, 1);
    EXPECT_EQ(sets.training_scans.size(), 42U);
    EXPECT_EQ(sets.held_out_scans.size(), 10U);
    EXPECT_EQ(sets.training.size(), 2U * 21 * 22 / 2);
    EXPECT_EQ(sets.training.size() + sets.held_out.size(), 2U * 26 * 27 / 2);
    for (const std::int64_t index : sets.held_out_scans) {
      const double week = scans[static_cast<std::size_t>(index)].subject.week;
      EXPECT_TRUE(task == Task::kPrediction ? week >= 44 : week <= 10) << week;
    }
  }
}

TEST(MakePairs, TheBackwardModelOfThePapersYearNeverSeesWeeks0To10) {
  const Scans scans = paper_year();
  const PairSets sets = make_pairs(scans, Task::kReconstruction, Split::kTime, 1);
  for (const TrainingPair& pair : sets.held_out) EXPECT_EQ(pair.unseen_target, pair.weeks <= 10) << pair.weeks;
  for (const TrainingPair& pair : sets.training) EXPECT_FALSE(pair.unseen_target);
}

TEST(MakePairs, PredictionHasNoUnseenTargets) {
  const Scans scans = paper_year();
  for (const TrainingPair& pair : make_pairs(scans, Task::kPrediction, Split::kTime, 1).held_out) {
    EXPECT_FALSE(pair.unseen_target);
  }
}

TEST(MakePairs, ReplicatesOfAWeekArePairedBothWaysAndHeldOutTogether) {
  const Scans scans{scan_of("a", 0), scan_of("a", 8, "y"), scan_of("a", 8, "x")};
  const PairSets sets = make_pairs(scans, Task::kPrediction, Split::kTime, 1);
  EXPECT_THAT(sets.held_out_scans, ElementsAre(1, 2));
  EXPECT_THAT(told(scans, sets.training), ElementsAre("a_0>a_0:0"));
  EXPECT_THAT(told(scans, sets.held_out),
              ElementsAre("a_0>a_8x:8", "a_0>a_8y:8", "a_8x>a_8x:0", "a_8x>a_8y:0", "a_8y>a_8x:0", "a_8y>a_8y:0"));
}

TEST(MakePairs, FlaggedScansAreLeftOut) {
  Scans scans = two_shoes();
  scans[3].flag = "correlates too little";
  const PairSets sets = make_pairs(scans, Task::kPrediction, Split::kTime, 1);
  EXPECT_THAT(sets.training_scans, ElementsAre(0, 2));
  EXPECT_THAT(sets.held_out_scans, ElementsAre(1));
}

TEST(MakePairs, NoPredictionReachesFurtherThanAYear) {
  const Scans scans{scan_of("a", 0), scan_of("a", 20), scan_of("a", 60), scan_of("a", 72)};
  const PairSets sets = make_pairs(scans, Task::kPrediction, Split::kTime, 1);
  EXPECT_THAT(told(scans, sets.held_out), ElementsAre("a_20>a_72:52", "a_60>a_72:12", "a_72>a_72:0"));
}

TEST(MakePairs, ASplitByPairKeepsBothShoesOfAPairTogether) {
  Scans scans;
  for (const char* const shoe : {"1L", "1R", "2L", "2R", "3L", "3R", "4L", "4R", "5L", "5R"}) {
    for (const double week : {0, 2, 4}) {
      scans.push_back(scan_of(shoe, week));
      scans.back().subject.pair = std::string(1, shoe[0]);
    }
  }
  std::set<std::string> drawn;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const PairSets sets = make_pairs(scans, Task::kPrediction, Split::kPair, seed);
    std::set<std::string> held_out;
    for (const std::int64_t index : sets.held_out_scans) {
      held_out.insert(scans[static_cast<std::size_t>(index)].subject.pair);
    }
    EXPECT_EQ(sets.held_out_scans.size(), 6U);
    EXPECT_EQ(held_out.size(), 1U);
    drawn.merge(held_out);
  }
  EXPECT_GE(drawn.size(), 4U);  // the seed decides
}

TEST(MakePairs, WhatIsHeldOutByShoeAppearsInNoTrainingPair) {
  const Scans scans = paper_year();
  const PairSets sets = make_pairs(scans, Task::kReconstruction, Split::kShoe, 7);
  const std::set<std::int64_t> held_out(sets.held_out_scans.begin(), sets.held_out_scans.end());
  EXPECT_EQ(held_out.size(), 26U);
  for (const TrainingPair& pair : sets.training) {
    EXPECT_FALSE(held_out.contains(pair.input) || held_out.contains(pair.target));
  }
  for (const TrainingPair& pair : sets.held_out) {
    EXPECT_TRUE(held_out.contains(pair.input) && held_out.contains(pair.target));
    EXPECT_FALSE(pair.unseen_target);
  }
}

TEST(MakePairs, SaysWhyThereIsNothingToTrainOnOrToHoldOut) {
  Scans flagged = two_shoes();
  for (wear::PreparedInfo& scan : flagged) scan.flag = "upside down";
  EXPECT_THROW(make_pairs(flagged, Task::kPrediction, Split::kTime, 1), DataError);
  EXPECT_THROW(make_pairs({}, Task::kPrediction, Split::kTime, 1), DataError);
  const Scans one_shoe{scan_of("a", 0), scan_of("a", 2)};
  EXPECT_THROW(make_pairs(one_shoe, Task::kPrediction, Split::kShoe, 1), DataError);
  const Scans one_week{scan_of("a", 0), scan_of("b", 0)};
  for (const Split split : {Split::kTime, Split::kShoe}) {
    EXPECT_THROW(make_pairs(one_week, Task::kPrediction, split, 1), DataError);
  }
}

TEST(Split, LeavesCopiesOfHeldOutFilesOutOfTraining) {
  Scans scans = {scan_of("a", 0), scan_of("a", 4), scan_of("a", 8), scan_of("a", 12), scan_of("b", 0), scan_of("b", 4)};
  for (std::size_t i = 0; i < scans.size(); ++i) scans[i].source_sha256 = std::to_string(i);
  scans[1].source_sha256 = scans[3].source_sha256;  // week 4 is week 12's file
  scans[0].source_sha256 = scans[2].source_sha256;  // two training scans may be one file
  const PairSets time = make_pairs(scans, Task::kPrediction, Split::kTime, 0);
  EXPECT_THAT(time.held_out_scans, ElementsAre(3, 5));
  EXPECT_THAT(time.training_scans, ElementsAre(0, 2, 4));
  EXPECT_THAT(time.left_out_copies, ElementsAre(1));
  for (const auto* pairs : {&time.training, &time.held_out}) {
    for (const TrainingPair& pair : *pairs) EXPECT_TRUE(pair.input != 1 && pair.target != 1);
  }
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    scans[4].source_sha256 = scans[0].source_sha256;  // of two shoes
    const PairSets shoe = make_pairs(scans, Task::kPrediction, Split::kShoe, seed);
    std::set<std::string> held_out;
    for (const std::int64_t scan : shoe.held_out_scans)
      held_out.insert(scans[static_cast<std::size_t>(scan)].source_sha256);
    for (const std::int64_t scan : shoe.training_scans) {
      EXPECT_FALSE(held_out.contains(scans[static_cast<std::size_t>(scan)].source_sha256)) << seed;
    }
  }
  for (PreparedInfo& scan : scans) scan.source_sha256.clear();  // unknown
  EXPECT_THAT(make_pairs(scans, Task::kPrediction, Split::kTime, 0).left_out_copies, IsEmpty());
}

TEST(Split, NamesAreReadBack) {
  for (const Split split : {Split::kTime, Split::kShoe, Split::kPair}) EXPECT_EQ(parse_split(name_of(split)), split);
  EXPECT_THROW(parse_split("week"), UsageError);
}

TEST(EpochMovements, DependOnSeedAndEpochAloneAndStayWithinTheirRange) {
  const auto movements = epoch_movements(1000, {3, true}, 7, 5);
  EXPECT_EQ(movements, epoch_movements(1000, {3, true}, 7, 5));
  EXPECT_NE(movements, epoch_movements(1000, {3, true}, 7, 6));
  EXPECT_NE(movements, epoch_movements(1000, {3, true}, 8, 5));
  std::set<std::int64_t> down, right;
  std::int64_t mirrored = 0;
  for (const Movement& movement : movements) {
    down.insert(movement.down_px);
    right.insert(movement.right_px);
    mirrored += movement.is_mirrored ? 1 : 0;
  }
  EXPECT_EQ(down, (std::set<std::int64_t>{-3, -2, -1, 0, 1, 2, 3}));
  EXPECT_EQ(right, down);
  EXPECT_NEAR(static_cast<double>(mirrored), 500, 80);
}

TEST(EpochMovements, OfNoRangeAreNone) {
  for (const Movement& movement : epoch_movements(50, {}, 1, 0)) EXPECT_EQ(movement, Movement{});
}

}  // namespace
}  // namespace outsole::wear
