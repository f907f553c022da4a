#pragma once
// How much processor time a container or a job's control group gives, which is no matter of the cores it may run on.

#include <filesystem>
#include <optional>
#include <string>

namespace outsole::machine {

struct CpuQuota {
  double cores = 0;   // processor time over time, 1.5: one and a half
  std::string group;  // the control group that gives it, the same for all processes that share it on this machine
};

/// The least of the quotas of this process's control group and those above it (cgroup v2: cpu.max, v1:
/// cpu.cfs_quota_us); nothing where none limits it or the system does not say. `root` stands before /proc and /sys, for
/// tests. Not collective.
std::optional<CpuQuota> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace outsole::machine
