#include "machine/scaling.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <sstream>

#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"

namespace outsole::machine {

namespace {

double busy(std::int64_t units, int ranks) {
  return static_cast<double>(units) / static_cast<double>(std::max<std::int64_t>(1, divide_up(units, ranks)));
}

/// A tree of messages among the ranks. Root takes what is gathered from one rank after another.
double messages_s(int ranks, const JobWork& work, const NodeSpec& node) {
  if (ranks == 1) return 0;
  const double hops = std::ceil(std::log2(ranks)), others = 1 - 1.0 / ranks;
  double round = 2 * hops * node.latency_s;  // all agree, once a round
  if (work.gathered_bytes > 0) round += ranks * node.latency_s + others * work.gathered_bytes / node.network_bytes_s;
  // Lengths along a tree, then every rank's part from rank to rank.
  if (work.spread_bytes > 0) round += (hops + ranks) * node.latency_s + work.spread_bytes / node.network_bytes_s;
  if (work.reduced_bytes > 0) {
    double bytes_s = work.sum_bytes_s > 0 ? work.sum_bytes_s : node.network_bytes_s;
    if (ranks > node.ranks) bytes_s = std::min(bytes_s, node.network_bytes_s);
    round += 2 * hops * node.latency_s + 2 * others * work.reduced_bytes / bytes_s;
  }
  return round * static_cast<double>(work.rounds);
}

const char* limit_of(const ScalingRow& row, const NodeSpec& node) {
  if (row.memory_bytes * std::min(row.ranks, node.ranks) > node.memory_bytes) return "memory of a node";
  if (row.busy < 0.9 * row.ranks) return "idle ranks";
  if (row.io_s > row.compute_s) return "reading and writing";
  if (row.messages_s > 0.1 * row.seconds) return "messages";
  return row.efficiency < 0.8 ? "what one rank does alone" : "";
}

}  // namespace

NodeSpec parse_node_spec(const std::string& text) {
  NodeSpec node;
  double ranks = node.ranks;
  struct Field {
    double* value;
    double unit;
  };
  const std::map<std::string, Field> fields = {{"ranks", {&ranks, 1}},
                                               {"speed", {&node.speed, 1}},
                                               {"memory", {&node.memory_bytes, 1e9}},
                                               {"disk", {&node.disk_bytes_s, 1e9}},
                                               {"shared-disk", {&node.shared_disk_bytes_s, 1e9}},
                                               {"network", {&node.network_bytes_s, 1e9}},
                                               {"latency", {&node.latency_s, 1e-6}}};
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const auto equals = word.find('=');
    const auto field = fields.find(word.substr(0, equals));
    double value = 0;
    int used = 0;
    const std::string number = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (field == fields.end() || std::sscanf(number.c_str(), "%lf%n", &value, &used) != 1 ||
        static_cast<std::size_t>(used) != number.size() || !(value > 0 && value < 1e12)) {
      throw UsageError(word +
                       ": not ranks, speed, memory, disk, shared-disk, network or latency, = and a positive number");
    }
    *field->second.value = value * field->second.unit;
  }
  if (ranks != std::floor(ranks) || ranks > 1e6) throw UsageError("ranks is a whole number");
  node.ranks = static_cast<int>(ranks);
  return node;
}

namespace {

/// How ranks share a partition out: in teams, or all as one.
struct Cut {
  int teams = 1;
  int ranks = 1;     // of the smallest team
  double busy = 1;   // of all
  double items = 1;  // of the team that has most
  double part = 1;   // which that is of all items
};

Cut cut_of(const Partition& partition, int ranks) {
  if (!partition.teams) return {1, ranks, busy(partition.units, ranks)};
  const comm::Teams teams = comm::choose_teams(*partition.teams, ranks);
  const auto items = static_cast<double>(divide_up(partition.teams->items, teams.count));
  return {teams.count, ranks / teams.count, teams.busy, items, items / static_cast<double>(partition.teams->items)};
}

/// What the busiest rank computes.
double compute_s(const Cut& cut, const Partition& partition, double all_s) {
  if (partition.rank_s.empty()) {
    double seconds = 0;
    for (const Share& share : partition.besides) {
      seconds += (share.once ? 1 : cut.part) * share.seconds / busy(share.units, cut.ranks);
      all_s -= share.seconds;
    }
    return seconds + cut.part * all_s / busy(partition.units, cut.ranks);
  }
  const auto& measured = partition.rank_s;
  const auto share = divide_up(partition.units, cut.ranks);
  const auto above = measured.lower_bound(share);
  const auto line = [](auto from, auto to, std::int64_t at) {
    const auto part = static_cast<double>(at - from->first) / static_cast<double>(to->first - from->first);
    return from->second + part * (to->second - from->second);
  };
  if (above == measured.end()) {
    const auto& [units, seconds] = *measured.rbegin();
    return seconds * static_cast<double>(share) / static_cast<double>(units);
  }
  return above == measured.begin() ? above->second : line(std::prev(above), above, share);
}

ScalingRow predict_alike(int ranks, const JobWork& work, const NodeSpec& node) {
  ScalingRow row;
  row.ranks = ranks;
  row.nodes = static_cast<int>(divide_up(ranks, node.ranks));
  row.busy = 0;
  const Partition* chosen = nullptr;
  Cut cut;
  for (const Partition& partition : work.partitions) {
    const Cut candidate = cut_of(partition, ranks);
    if (candidate.busy <= 1.05 * row.busy) continue;
    row.busy = candidate.busy;
    chosen = &partition;
    cut = candidate;
  }
  ensure(chosen != nullptr, "work is shared out in some way");
  row.partition = cut.teams == 1 ? chosen->of : std::to_string(cut.teams) + " teams";
  const double passes =  // of a rank over its data
      chosen->passes * (chosen->teams ? std::max(1.0, cut.items * chosen->teams->passes_an_item) : 1);
  const std::int64_t share = divide_up(chosen->units, cut.ranks);  // of the busiest rank
  const double busy_in_team = busy(chosen->units, cut.ranks);
  const double own_bytes = work.read_bytes / busy_in_team;
  const bool keeps = own_bytes <= work.memory_for_data_bytes;
  row.memory_bytes = work.memory_bytes + static_cast<double>(share) * work.unit_memory_bytes +
                     (keeps ? own_bytes : work.memory_for_data_bytes);
  row.compute_s = compute_s(cut, *chosen, work.compute_s) / node.speed;
  const double rank_bytes = own_bytes * (keeps ? 1 : passes);
  const double bytes = rank_bytes * busy_in_team * cut.teams + work.written_bytes;
  row.compute_s += rank_bytes * work.read_s_a_byte / node.speed;
  const double busy_nodes = std::max(1.0, std::min<double>(row.nodes, row.busy));
  row.io_s = bytes / std::min(busy_nodes * node.disk_bytes_s, node.shared_disk_bytes_s);
  row.messages_s = cut.part * messages_s(cut.ranks, work, node);
  row.seconds = std::max(row.compute_s, row.io_s) + row.messages_s;
  return row;
}

}  // namespace

ScalingRow predict_on(int ranks, const JobWork& work, const NodeSpec& node) {
  ScalingRow row = predict_alike(ranks, work, node);
  const double one_rank_s = ranks == 1 ? row.seconds : predict_alike(1, work, node).seconds;
  row.efficiency = row.seconds > 0 ? one_rank_s / (row.seconds * ranks) : 1;
  row.seconds = std::min(row.seconds, work.most_s);
  return row;
}

std::string scaling_table(const JobWork& work, const NodeSpec& node, const std::vector<int>& ranks) {
  std::string table =
      "  ranks  nodes      busy  shared by     memory a rank      compute     files  messages       "
      "all  efficiency\n";
  for (const int count : ranks) {
    const ScalingRow row = predict_on(count, work, node);
    char line[256];
    std::snprintf(line, sizeof line, "%7d %6d %9.1f  %-12s %14s %12s %9s %9s %9s %10.0f%%  %s\n", row.ranks, row.nodes,
                  row.busy, row.partition.c_str(), format_bytes(row.memory_bytes).c_str(),
                  format_duration(row.compute_s).c_str(), format_duration(row.io_s).c_str(),
                  format_duration(row.messages_s).c_str(), format_duration(row.seconds).c_str(), 100 * row.efficiency,
                  limit_of(row, node));
    table += line;
  }
  return table;
}

}  // namespace outsole::machine
