#include "machine/cpu_quota.h"

#include <gtest/gtest.h>

#include <vector>

#include "../temporary_folder.h"

namespace outsole::machine {
namespace {

namespace fs = std::filesystem;

constexpr char kV2[] = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr char kV1[] = "33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct\n";
constexpr char kV1Memory[] = "34 32 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:16 - cgroup cgroup rw,memory\n";

struct Machine {
  const char* what;
  std::string mounts, groups;
  std::vector<std::pair<const char*, const char*>> files;  // below /sys/fs/cgroup
  double cores;                                            // 0: no quota
};

class Quota : public testing::TemporaryFolder {
 protected:
  void make(const Machine& machine) const {
    fs::remove_all(folder_ / "proc");
    fs::remove_all(folder_ / "sys");
    fs::create_directories(folder_ / "proc/self");
    write("proc/self/mountinfo", machine.mounts);
    write("proc/self/cgroup", machine.groups);
    for (const auto& [name, content] : machine.files) {
      const fs::path file = fs::path("sys/fs/cgroup") / name;
      fs::create_directories(folder_ / file.parent_path());
      write(file, content);
    }
  }
};

TEST_F(Quota, OnOneRankIsTheLeastOfTheGroupAndThoseAboveIt) {
  const std::string root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";
  const std::vector<Machine> machines = {
      {"no control groups", root, "", {}, 0},
      {"v2 without a limit", root + kV2, "0::/\n", {{"cpu.max", "max 100000\n"}}, 0},
      {"v2 container", root + kV2, "0::/\n", {{"cpu.max", "200000 100000\n"}}, 2},
      {"v2 one and a half", root + kV2, "0::/\n", {{"cpu.max", "150000 100000\n"}}, 1.5},
      {"v2 another period", root + kV2, "0::/\n", {{"cpu.max", "20000 10000\n"}}, 2},
      {"v2 without a period", root + kV2, "0::/\n", {{"cpu.max", "200000\n"}}, 0},
      {"v2 empty file", root + kV2, "0::/\n", {{"cpu.max", ""}}, 0},
      {"v2 nonsense", root + kV2, "0::/\n", {{"cpu.max", "-5 0\n"}}, 0},
      {"v2 own group", root + kV2, "0::/job/step\n", {{"job/step/cpu.max", "400000 100000\n"}}, 4},
      {"v2 limit above",
       root + kV2,
       "0::/job/step\n",
       {{"job/step/cpu.max", "max 100000\n"}, {"job/cpu.max", "300000 100000\n"}},
       3},
      {"v2 both, less above",
       root + kV2,
       "0::/job/step\n",
       {{"job/step/cpu.max", "400000 100000\n"}, {"job/cpu.max", "100000 100000\n"}},
       1},
      {"v2 both, less below",
       root + kV2,
       "0::/job/step\n",
       {{"job/step/cpu.max", "50000 100000\n"}, {"job/cpu.max", "100000 100000\n"}},
       0.5},
      {"v2 of a sibling", root + kV2, "0::/job/step\n", {{"job/other/cpu.max", "50000 100000\n"}}, 0},
      {"v2 group outside of the namespace", root + kV2, "0::/../../other\n", {{"cpu.max", "200000 100000\n"}}, 2},
      {"v2 blank in a name", root + kV2, "0::/my job\n", {{"my job/cpu.max", "200000 100000\n"}}, 2},
      {"v2 colon in a name", root + kV2, "0::/a:b\n", {{"a:b/cpu.max", "200000 100000\n"}}, 2},
      {"v1 without a limit",
       root + kV1,
       "4:cpu,cpuacct:/\n",
       {{"cpu,cpuacct/cpu.cfs_quota_us", "-1\n"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"}},
       0},
      {"v1 container",
       root + kV1,
       "4:cpu,cpuacct:/docker/abc\n",
       {{"cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n"},
        {"cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n"}},
       2.5},
      {"v1 container that is told its host's names",
       root + kV1,
       "4:cpu,cpuacct:/docker/abc\n",
       {{"cpu,cpuacct/cpu.cfs_quota_us", "250000\n"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"}},
       2.5},
      {"v1 group shown as the root",
       root + "33 32 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
       "4:cpu:/docker/abc\n",
       {{"cpu/cpu.cfs_quota_us", "100000\n"}, {"cpu/cpu.cfs_period_us", "50000\n"}},
       2},
      {"v1 of memory only", root + kV1Memory, "3:memory:/\n", {{"memory/cpu.cfs_quota_us", "100000\n"}}, 0},
      {"v1 without a period", root + kV1, "4:cpu,cpuacct:/\n", {{"cpu,cpuacct/cpu.cfs_quota_us", "100000\n"}}, 0},
      {"both versions",
       root + kV1 + "40 32 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
       "4:cpu,cpuacct:/job\n0::/job\n",
       {{"cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n"}, {"cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"}},
       3},
      {"cpuset is another controller",
       root + "33 32 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n",
       "4:cpuset:/\n",
       {{"cpuset/cpu.cfs_quota_us", "100000\n"}, {"cpuset/cpu.cfs_period_us", "100000\n"}},
       0},
      {"lines that are none", root + "- - -\n\nx\n" + kV2, "x\n\n0:\n0::/\n", {{"cpu.max", "200000 100000\n"}}, 2},
  };
  for (const Machine& machine : machines) {
    make(machine);
    const auto quota = cpu_quota(folder_);
    EXPECT_DOUBLE_EQ(quota ? quota->cores : 0, machine.cores) << machine.what;
  }
}

TEST_F(Quota, OfOneGroupHasOneNameForAllThatShareIt) {
  make({"", kV2, "0::/job/1\n", {{"job/cpu.max", "300000 100000\n"}, {"job/1/cpu.max", "max 100000\n"}}, 3});
  const auto first = cpu_quota(folder_);
  write("proc/self/cgroup", "0::/job/2\n");
  const auto second = cpu_quota(folder_);
  write("proc/self/cgroup", "0::/other\n");
  fs::create_directory(folder_ / "sys/fs/cgroup/other");
  write("sys/fs/cgroup/other/cpu.max", "300000 100000\n");
  const auto other = cpu_quota(folder_);
  ASSERT_TRUE(first && second && other);
  EXPECT_EQ(first->group, second->group);
  EXPECT_NE(first->group, other->group);
}

}  // namespace
}  // namespace outsole::machine
