#pragma once
// Work is cut into units by the data; ranks only take turns at the units.

#include <cstdint>

namespace outsole::comm {

/// A contiguous range of units [begin, end).
struct UnitRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// The units of `rank` out of `ranks`: contiguous, sizes differ by at most one, larger first.
constexpr UnitRange units_of(std::int64_t units, int rank, int ranks) {
  const std::int64_t base = units / ranks, extra = units % ranks;
  const std::int64_t begin = rank * base + (rank < extra ? rank : extra);
  return {begin, begin + base + (rank < extra ? 1 : 0)};
}

/// Work on items (marks) that each meet all the blocks of some data. Ranks are cut into teams: a team takes its part of
/// the items, and its ranks share the blocks. Times are in those of one item on one block.
struct TeamWork {
  std::int64_t items = 1, blocks = 1;
  std::int64_t kept_blocks = 0;  // a rank has memory for; one with more reads all of its own for each pass
  double passes_an_item = 1;     // over the blocks of a rank that does not keep them
  /// Of a rank: what it does for every item beside the blocks, and reading a block. Those of a crime-scene mark and a
  /// block of 80 MB of deep features, which are compared in about a second.
  double each_item = 0.1, reading = 0.1;
};

/// How ranks are cut into teams, by units_of in the order of ranks; items go to teams the same way.
struct Teams {
  int count = 1;
  double busy = 1;  // ranks at work on blocks, on average
};

/// One given number of teams, from 1 to the number of ranks.
Teams cut_into_teams(const TeamWork& work, int teams, int ranks);

/// The number of teams that ends soonest, or the least number that takes 5% longer at most: a rank then has fewer
/// blocks to hold. There are no more teams than items. The work has some.
Teams choose_teams(const TeamWork& work, int ranks);

/// The team of a rank, out of `teams`.
int team_of(int rank, int teams, int ranks);

}  // namespace outsole::comm
