#include "machine/plan.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "core/errors.h"

namespace outsole::machine::testing {
namespace {

TEST(Plan, IsEstimatedOnTheRanksThereAre) {
  const comm::Communicator comm;
  Plan plan;
  EXPECT_FALSE(plan.knows_time());
  EXPECT_THROW(estimate_here(plan, comm), Bug);
  plan.work.partitions = {{"units", 6}};
  plan.work.compute_s = 600;
  const ScalingRow row = estimate_here(plan, comm);
  EXPECT_EQ(row.ranks, comm.size());
  EXPECT_NEAR(row.seconds, 600.0 / comm.size(), 1e-3);
  EXPECT_EQ(node_here(comm).ranks, comm.local_ranks());
}

TEST(Plan, WorkIsTimedOnAllRanksAtOnceAndTheSlowestCounts) {
  const comm::Communicator comm;
  int runs = 0;
  const double seconds = measured_seconds(comm, 3, [&] {
    ++runs;
    if (comm.rank() == comm.size() - 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  EXPECT_EQ(runs, 4);
  EXPECT_GE(seconds, 0.02);
  EXPECT_EQ(comm.max(seconds), seconds);
}

}  // namespace
}  // namespace outsole::machine::testing
