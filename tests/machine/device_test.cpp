#include "machine/device.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <vector>

#include "core/errors.h"

namespace outsole::machine {
namespace {

int own_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof cores, &cores);
  return CPU_COUNT(&cores);
}

TEST(Threads, RanksShareTheCoresTheyMayRunOn) {
  const comm::Communicator comm;
  const int cores = own_cores(), before = at::get_num_threads();
  const int threads = choose_threads(0, comm);
  EXPECT_GE(threads, 1);
  EXPECT_LE(threads, cores);
  EXPECT_EQ(at::get_num_threads(), threads);
  // In the tests ranks are not bound, so all may run on the same cores. More ranks than cores get one thread each.
  if (comm.local_ranks() == comm.size()) {
    EXPECT_LE(comm.sum(threads), std::max<std::int64_t>(comm.max(std::int64_t{cores}), comm.size()));
  }
  choose_threads(before, comm);
}

TEST(Threads, AGivenNumberIsTaken) {
  const comm::Communicator comm;
  const int before = at::get_num_threads();
  EXPECT_EQ(choose_threads(3, comm), 3);
  EXPECT_EQ(at::get_num_threads(), 3);
  choose_threads(before, comm);
}

constexpr std::int64_t kGib = std::int64_t{1} << 30;

TEST(DeviceMemory, IsMostOfWhatIsFreeSharedByTheRanksOfAGpu) {
  const std::vector<DevicePlace> ranks = {{"a", "0000:01", 20 * kGib, 24 * kGib},
                                          {"a", "0000:02", 80 * kGib, 80 * kGib},
                                          {"a", "0000:02", 79 * kGib, 80 * kGib},
                                          {"b", "0000:02", 10 * kGib, 80 * kGib},
                                          {"b", "", -1, -1}};
  EXPECT_EQ(device_share_bytes(ranks, 0, 0), 16 * kGib);
  EXPECT_NEAR(static_cast<double>(device_share_bytes(ranks, 1, 0)), 79 * 0.4 * kGib, 16);
  EXPECT_EQ(device_share_bytes(ranks, 1, 0), device_share_bytes(ranks, 2, 0));
  EXPECT_EQ(device_share_bytes(ranks, 3, 0), 8 * kGib);  // another machine's
  EXPECT_EQ(device_share_bytes(ranks, 4, 0), 0);
  EXPECT_EQ(device_share_bytes(ranks, 0, 24 * kGib), 24 * kGib);
  EXPECT_THROW(device_share_bytes(ranks, 0, 25 * kGib), EnvironmentError);
  EXPECT_THROW(device_share_bytes(ranks, 2, 41 * kGib), EnvironmentError);
}

TEST(DeviceMemory, TellsWhichRankHasWhichGpuAndWhoSharesOne) {
  const std::vector<std::string> lines =
      device_lines(std::vector<DevicePlace>{{"a", "1", 1, 1}, {"a", "2", 1, 1}, {"a", "2", 1, 1}, {"b", "", 1, 1}});
  EXPECT_EQ(lines[0], "rank 0: a, GPU 1");
  EXPECT_EQ(lines[1], "rank 1: a, GPU 2, shared with rank 2");
  EXPECT_EQ(lines[2], "rank 2: a, GPU 2, shared with rank 1");
  EXPECT_EQ(lines[3], "rank 3: b, CPU");
}

TEST(DeviceMemory, IsNoMatterOnACpu) {
  const comm::Communicator comm;
  EXPECT_EQ(agreed_device_bytes(comm, at::Device(at::kCPU), 0), 0);
}

TEST(Device, AnUnknownWordIsRefusedWithTheKnownOnes) {
  const comm::Communicator comm;
  try {
    choose_device("gpu", comm);
    FAIL() << "no refusal";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("gpu"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("auto, cpu, cuda"), std::string::npos);
  }
}

TEST(Device, TheCpuIsTakenWhenAskedForAndWhereThereIsNoGpu) {
  const comm::Communicator comm;
  EXPECT_TRUE(choose_device("cpu", comm).is_cpu());
  if (at::hasCUDA()) GTEST_SKIP() << "LibTorch was built for GPUs";
  EXPECT_TRUE(choose_device("auto", comm).is_cpu());
  EXPECT_THROW(choose_device("cuda", comm), EnvironmentError);
}

TEST(Device, AMatrixProductIsMeasuredInGflops) {
  const double gflops = measured_sgemm_gflops();
  EXPECT_GT(gflops, 0.05);  // a slow BLAS on a core that others use
  EXPECT_LT(gflops, 1e6);
}

}  // namespace
}  // namespace outsole::machine
