#include "comm/partition.h"

#include <algorithm>
#include <vector>

#include "core/checked.h"

namespace outsole::comm {

namespace {

/// How long a team takes for its items, whose busiest rank has so many blocks.
double time_of_team(const TeamWork& work, std::int64_t items, std::int64_t own_blocks) {
  const auto of_items = static_cast<double>(items), of_blocks = static_cast<double>(own_blocks);
  const double passes = own_blocks <= work.kept_blocks ? 1 : std::max(1.0, of_items * work.passes_an_item);
  return items == 0 ? 0 : of_items * (of_blocks + work.each_item) + passes * work.reading * of_blocks;
}

struct TeamTimes {
  double all = 0, blocks = 0;  // of the slowest team, and of the one slowest at comparing
};

TeamTimes times_of(const TeamWork& work, int teams, int ranks) {
  TeamTimes slowest;
  // Teams differ by one rank and one item at most: the first and the last, and those where either changes.
  for (const int team : {0, ranks % teams, narrow<int>(work.items % teams), teams - 1}) {
    const std::int64_t items = units_of(work.items, team, teams).size();
    const std::int64_t own_blocks = divide_up(work.blocks, units_of(ranks, team, teams).size());
    slowest.all = std::max(slowest.all, time_of_team(work, items, own_blocks));
    slowest.blocks = std::max(slowest.blocks, static_cast<double>(items * own_blocks));
  }
  return slowest;
}

}  // namespace

Teams cut_into_teams(const TeamWork& work, int teams, int ranks) {
  ensure(teams >= 1 && teams <= ranks, "a team has a rank at least");
  const double all = static_cast<double>(work.items) * static_cast<double>(work.blocks);
  return {teams, all / std::max(1.0, times_of(work, teams, ranks).blocks)};
}

Teams choose_teams(const TeamWork& work, int ranks) {
  constexpr double kWorthMoreTeams = 1.05;
  const int most = static_cast<int>(std::clamp<std::int64_t>(work.items, 1, ranks));
  std::vector<double> times;
  for (int teams = 1; teams <= most; ++teams) times.push_back(times_of(work, teams, ranks).all);
  const double least = *std::ranges::min_element(times);
  const auto chosen =
      std::ranges::find_if(times, [&](double time) { return time <= kWorthMoreTeams * least; }) - times.begin();
  return cut_into_teams(work, static_cast<int>(chosen) + 1, ranks);
}

int team_of(int rank, int teams, int ranks) {
  int team = 0;
  while (rank >= units_of(ranks, team, teams).end) ++team;
  return team;
}

}  // namespace outsole::comm
