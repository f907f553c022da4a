#include "machine/scaling.h"

#include <gmock/gmock.h>

#include "core/errors.h"

namespace outsole::machine::testing {
namespace {

using ::testing::HasSubstr;

JobWork search_of(std::int64_t blocks, std::int64_t marks) {
  JobWork work;
  work.partitions = {{.of = "blocks",
                      .units = blocks,
                      .teams = comm::TeamWork{.items = marks, .blocks = blocks, .kept_blocks = blocks}}};
  work.compute_s = 1000;
  return work;
}

TEST(Scaling, WholeUnitsLeaveRanksIdle) {
  const ScalingRow row = predict_on(1000, search_of(37, 1), {});
  EXPECT_EQ(row.partition, "blocks");
  EXPECT_DOUBLE_EQ(row.busy, 37);
  EXPECT_NEAR(row.compute_s, 1000.0 / 37, 1e-9);
}

TEST(Scaling, RanksAreCutIntoTheTeamsThatKeepMostOfThemBusy) {
  EXPECT_EQ(predict_on(300, search_of(1, 300), {}).partition, "300 teams");
  EXPECT_EQ(predict_on(1000, search_of(31250, 300), {}).partition, "blocks");
  EXPECT_EQ(predict_on(37, search_of(37, 37), {}).partition, "blocks");  // each then holds only its own
  const ScalingRow row = predict_on(4096, search_of(37, 150), {});
  EXPECT_GE(row.busy, 0.6 * 4096);
  EXPECT_NEAR(row.compute_s, 1000 / row.busy, 1e-9);
}

TEST(Scaling, WhatATeamDoesForEachMarkIsSharedOutWithTheMarks) {
  JobWork work = search_of(1, 100);  // 1000 s
  work.partitions[0].besides = {{.units = 1, .seconds = 300}, {.units = 1, .seconds = 50, .once = true}};
  EXPECT_DOUBLE_EQ(predict_on(1, work, {}).compute_s, 1000);
  EXPECT_DOUBLE_EQ(predict_on(100, work, {}).compute_s, 6.5 + 3 + 50);
}

TEST(Scaling, OneRankIsTheMeasureOfEfficiency) {
  EXPECT_DOUBLE_EQ(predict_on(1, search_of(37, 3), {}).efficiency, 1);
  EXPECT_NEAR(predict_on(2, search_of(37, 3), {}).efficiency, 37.0 / 38, 1e-3);
}

TEST(Scaling, WhatEveryRankDoesAllOfIsNotShared) {
  JobWork work = search_of(40, 1);  // 1000 s
  work.partitions[0].besides = {{.units = 10, .seconds = 200}, {.units = 1, .seconds = 50}};
  EXPECT_DOUBLE_EQ(predict_on(1, work, {}).compute_s, 1000);
  EXPECT_DOUBLE_EQ(predict_on(20, work, {}).compute_s, 750.0 / 20 + 200.0 / 10 + 50);
}

TEST(Scaling, ATimeMeasuredForAShareIsThatOfARankWithThisShare) {
  JobWork work;
  work.partitions = {{.of = "pairs", .units = 16, .rank_s = {{1, 20}, {4, 35}, {8, 55}}}};
  EXPECT_DOUBLE_EQ(predict_on(2, work, {}).compute_s, 55);
  EXPECT_DOUBLE_EQ(predict_on(3, work, {}).compute_s, 45);  // 6 pairs: between 4 and 8
  EXPECT_DOUBLE_EQ(predict_on(1000, work, {}).compute_s, 20);
  EXPECT_DOUBLE_EQ(predict_on(1, work, {}).compute_s, 110);  // not measured: as much a pair as for 8
  EXPECT_NEAR(predict_on(2, work, {}).efficiency, 1, 1e-3);
}

TEST(Scaling, ASumWithinANodeIsAsFastAsItWasMeasuredBetweenNodesNoFasterThanTheNetwork) {
  JobWork work = search_of(1 << 20, 1);
  work.rounds = 1;
  work.reduced_bytes = 1e9;
  work.sum_bytes_s = 4e9;
  NodeSpec node;
  node.ranks = 2;
  node.network_bytes_s = 1e9;
  EXPECT_NEAR(predict_on(2, work, node).messages_s, 0.25, 1e-3);
  EXPECT_NEAR(predict_on(4, work, node).messages_s, 1.5, 1e-3);
}

TEST(Scaling, DataThatFitsIntoAllRanksIsReadOnce) {
  JobWork work = search_of(1000, 1);
  work.read_bytes = 100e9;
  work.partitions[0].passes = 10;
  work.memory_for_data_bytes = 10e9;
  NodeSpec node;
  node.disk_bytes_s = node.shared_disk_bytes_s = 1e9;
  EXPECT_DOUBLE_EQ(predict_on(1, work, node).io_s, 1000);
  EXPECT_NEAR(predict_on(10, work, node).io_s, 100, 1e-9);
}

TEST(Scaling, ReadingTakesProcessorTimeFromTheComputation) {
  JobWork work = search_of(8, 1);  // 1000 s
  work.read_bytes = 8e9;
  work.read_s_a_byte = 1e-9;
  EXPECT_DOUBLE_EQ(predict_on(1, work, {}).compute_s, 1008);
  EXPECT_DOUBLE_EQ(predict_on(4, work, {}).compute_s, 252);
}

TEST(Scaling, ATeamReadsAllTheDataForItsOwnItems) {
  JobWork work;
  work.partitions = {{.of = "blocks", .units = 1, .teams = comm::TeamWork{.items = 10, .blocks = 1}}};
  work.read_bytes = 1e9;
  NodeSpec node;
  node.disk_bytes_s = node.shared_disk_bytes_s = 1e9;
  EXPECT_DOUBLE_EQ(predict_on(1, work, node).io_s, 10);
  EXPECT_DOUBLE_EQ(predict_on(10, work, node).io_s, 10);  // one file system, and each mark's pass still
}

TEST(Scaling, MessagesOfASumGrowWithTheBytesAndTheLogarithmOfTheRanks) {
  JobWork work = search_of(1 << 20, 1);
  work.rounds = 1;
  work.reduced_bytes = 1e9;
  NodeSpec node;
  node.network_bytes_s = 1e9;
  EXPECT_DOUBLE_EQ(predict_on(1, work, node).messages_s, 0);
  EXPECT_NEAR(predict_on(2, work, node).messages_s, 1, 1e-3);
  EXPECT_NEAR(predict_on(4096, work, node).messages_s, 2, 1e-2);
}

TEST(Scaling, ABatchSharedByRanksTakesTheMemoryOfTheLargestShare) {
  JobWork work;
  work.partitions = {{"pairs", 5}};
  work.compute_s = 10;
  work.memory_bytes = 100;
  work.unit_memory_bytes = 10;
  EXPECT_DOUBLE_EQ(predict_on(1, work, {}).memory_bytes, 150);
  EXPECT_DOUBLE_EQ(predict_on(2, work, {}).memory_bytes, 130);
  EXPECT_DOUBLE_EQ(predict_on(2, work, {}).compute_s, 6);  // three pairs of five
  EXPECT_DOUBLE_EQ(predict_on(100, work, {}).memory_bytes, 110);
}

TEST(Scaling, AJobThatEndsItselfTakesNoLonger) {
  JobWork work = search_of(40, 1);  // 1000 s
  work.most_s = 300;
  EXPECT_DOUBLE_EQ(predict_on(1, work, {}).seconds, 300);
  EXPECT_NEAR(predict_on(10, work, {}).seconds, 100, 1e-3);
  EXPECT_NEAR(predict_on(10, work, {}).efficiency, 1, 1e-3);
}

TEST(Scaling, ANodeIsReadByItsWords) {
  const NodeSpec node = parse_node_spec("ranks=4,memory=128,network=12.5,latency=3");
  EXPECT_EQ(node.ranks, 4);
  EXPECT_DOUBLE_EQ(node.memory_bytes, 128e9);
  EXPECT_DOUBLE_EQ(node.network_bytes_s, 12.5e9);
  EXPECT_DOUBLE_EQ(node.latency_s, 3e-6);
  EXPECT_DOUBLE_EQ(node.disk_bytes_s, NodeSpec().disk_bytes_s);
}

TEST(Scaling, AWordThatANodeDoesNotHaveIsRefused) {
  for (const std::string text : {"cores=4", "ranks", "ranks=", "ranks=0", "ranks=1.5", "disk=fast", "disk=1x"}) {
    EXPECT_THROW(parse_node_spec(text), UsageError) << text;
  }
}

TEST(Scaling, TheTableSaysWhatLimits) {
  EXPECT_THAT(scaling_table(search_of(37, 1), {}, {1, 1000}), HasSubstr("idle ranks"));
}

}  // namespace
}  // namespace outsole::machine::testing
