#pragma once
// What a job would do and what it would take, as a value: made beside the job's code, printed in one place (jobs/plan).

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/clock.h"
#include "machine/scaling.h"

namespace outsole::machine {

/// For people: "poses" and "122000, 12200 a mark".
struct PlanLine {
  std::string label, text;
};

struct Plan {
  std::vector<PlanLine> lines;
  /// Of all ranks together, and the memory of one. Without a partition nobody knows the time.
  JobWork work;
  std::string basis;  // what the time rests on: "comparing at 40 GFLOP/s a rank, measured now"

  bool knows_time() const { return !work.partitions.empty(); }
};

/// This machine as a node of a cluster: as many ranks a node as here. Not collective.
NodeSpec node_here(const comm::Communicator& comm);

/// What the plan takes on the ranks there are; throws Bug where it does not know the time. Not collective.
ScalingRow estimate_here(const Plan& plan, const comm::Communicator& comm);

/// Seconds of `work`, which must wait for its device: the median of `repeats`, after one that does not count, on all
/// ranks at once, so that what ranks of a machine cost each other counts; the slowest rank's. Collective; `work` may
/// be, too.
inline double measured_seconds(const comm::Communicator& comm, int repeats, const std::function<void()>& work) {
  work();
  std::vector<double> seconds;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    comm.barrier();
    const double start = now_s();
    work();
    seconds.push_back(comm.max(now_s() - start));
  }
  std::ranges::sort(seconds);
  return seconds.at(seconds.size() / 2);
}

}  // namespace outsole::machine
