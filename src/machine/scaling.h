#pragma once
// What a job would take on more ranks than there are: one model for all jobs, printed by --plan --plan-ranks.
//
//   seconds(R) = max(sum over kinds of work of seconds / busy(R), reading and writing) + messages
//
// busy(R) = units / ceil(units / R) is what the partition of that work into whole units keeps busy; what every rank
// does all of is one unit. Ranks may be cut into teams, of which each has its part of the items and R is a team's.
// Files are read and written beside the computation, at the speed of the nodes' disks, or of a file system that all
// share; a broadcast or reduction takes ceil(log2 R) hops of latency, and its bytes at the network's speed.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/partition.h"

namespace outsole::machine {

/// A node of the cluster, and how nodes are joined.
struct NodeSpec {
  int ranks = 1;
  double speed = 1;                   // of a rank, over the rank that the compute time was measured or estimated on
  double memory_bytes = 64e9;         // of a node
  double disk_bytes_s = 1e9;          // a node reads or writes
  double shared_disk_bytes_s = 50e9;  // all nodes together
  double network_bytes_s = 10e9;      // a node sends or receives
  double latency_s = 2e-6;            // of a message
};

/// "ranks=2,speed=1,memory=64,disk=1,shared-disk=50,network=10,latency=2": GB, GB/s and microseconds; what is left out
/// keeps its default. Throws UsageError naming the word that is wrong.
NodeSpec parse_node_spec(const std::string& text);

/// Some seconds of work, in so many whole units.
struct Share {
  std::int64_t units = 1;  // 1: every rank does all of it
  double seconds = 0;      // on one rank
  bool once = false;       // of ranks in teams: not for each item of the team
};

/// One way to share the work out: into so many whole units.
struct Partition {
  std::string of;  // "blocks"
  std::int64_t units = 1;
  double passes = 1;  // of each rank over its data, where they do not fit into memory; in teams, times those for items
  /// For items that each meet all units: ranks are cut into teams, which share out the items.
  std::optional<comm::TeamWork> teams = {};
  std::vector<Share> besides = {};  // of the compute time, what is not shared out by these units
  /// Where a rank's time is no multiple of its units: its compute time for so many of them, measured; a line between
  /// two of these, and beyond the last one as much a unit as there. Empty: the compute time is proportional.
  std::map<std::int64_t, double> rank_s = {};
};

/// A job's work on all ranks together, unless it says otherwise.
struct JobWork {
  std::vector<Partition> partitions;  // the first, unless another keeps 5% more ranks busy
  double compute_s = 0;               // on one rank
  double read_bytes = 0, written_bytes = 0;
  double read_s_a_byte = 0;  // of processor time, which the computation does not have, as a rank has no core to spare
  double memory_bytes = 0;   // of a rank, without data
  double unit_memory_bytes = 0;      // and for each unit of its share, where it works on all of them at once
  double memory_for_data_bytes = 0;  // of a rank; 0: data only passes through
  std::int64_t rounds = 0;           // of collective operations
  double gathered_bytes = 0;         // to root, a round, from all
  double spread_bytes = 0;           // to every rank, a round
  double reduced_bytes = 0;          // summed over ranks, a round
  double sum_bytes_s = 0;            // of the summing ranks of this machine, as measured; 0: not measured
  double most_s = std::numeric_limits<double>::infinity();  // the job ends itself after so long, done or not
};

struct ScalingRow {
  int ranks = 1, nodes = 1;
  std::string partition;
  double busy = 1;          // ranks at work on average
  double memory_bytes = 0;  // of a rank
  double compute_s = 0, io_s = 0, messages_s = 0, seconds = 0;
  double efficiency = 1;  // seconds on one rank over ranks times seconds
};

ScalingRow predict_on(int ranks, const JobWork& work, const NodeSpec& node);

/// A line for each number of ranks, with what limits it.
std::string scaling_table(const JobWork& work, const NodeSpec& node, const std::vector<int>& ranks);

}  // namespace outsole::machine
