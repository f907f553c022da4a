#include "comm/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace outsole::comm {
namespace {

TEST(Partition, EveryUnitBelongsToExactlyOneRankInOrder) {
  for (int ranks = 1; ranks <= 17; ++ranks) {
    for (const std::int64_t units : {0, 1, 2, 7, 16, 17, 1175}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const UnitRange range = units_of(units, rank, ranks);
        EXPECT_EQ(range.begin, next);
        next = range.end;
      }
      EXPECT_EQ(next, units);
    }
  }
}

TEST(Partition, SharesDifferByAtMostOneAndLargerOnesComeFirst) {
  for (int ranks = 1; ranks <= 17; ++ranks) {
    for (const std::int64_t units : {0, 1, 5, 64, 513}) {
      for (int rank = 0; rank + 1 < ranks; ++rank) {
        const std::int64_t step = units_of(units, rank, ranks).size() - units_of(units, rank + 1, ranks).size();
        EXPECT_TRUE(step == 0 || step == 1);
      }
      EXPECT_LE(units_of(units, 0, ranks).size() - units_of(units, ranks - 1, ranks).size(), 1);
    }
  }
}

TEST(Partition, UnitsBeyond32BitAreCounted) {
  const std::int64_t units = (std::int64_t{1} << 40) + 1;
  EXPECT_EQ(units_of(units, 0, 1024).size(), (std::int64_t{1} << 30) + 1);
  EXPECT_EQ(units_of(units, 1023, 1024).end, units);
}

// --- Teams -----------------------------------------------------------------------------------------------------------

TEST(Teams, EveryRankIsInOneTeamAndTeamsFollowEachOther) {
  for (int ranks = 1; ranks <= 17; ++ranks) {
    for (int teams = 1; teams <= ranks; ++teams) {
      std::vector<int> sizes(static_cast<std::size_t>(teams));
      int last = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const int team = team_of(rank, teams, ranks);
        EXPECT_TRUE(team == last || team == last + 1);
        last = team;
        ++sizes[static_cast<std::size_t>(team)];
      }
      EXPECT_EQ(last, teams - 1);
      EXPECT_LE(*std::ranges::max_element(sizes) - *std::ranges::min_element(sizes), 1);
    }
  }
}

TEST(Teams, ThousandsOfRanksAreBusyWithAHundredAndFiftyMarksAndAFewBlocks) {
  const TeamWork work = {.items = 150, .blocks = 37, .kept_blocks = 37};
  const Teams teams = choose_teams(work, 4096);
  EXPECT_GE(teams.busy, 0.6 * 4096);
  EXPECT_LE(teams.busy, 4096);
  EXPECT_GT(teams.count, 1);
  EXPECT_LT(cut_into_teams(work, 1, 4096).busy, 0.01 * 4096);
  EXPECT_LT(cut_into_teams(work, 150, 4096).busy, 0.7 * 4096);
}

TEST(Teams, BusyRanksAreTheWorkOverThatOfTheBusiest) {
  for (int ranks = 1; ranks <= 40; ++ranks) {
    for (const std::int64_t items : {1, 2, 5, 7}) {
      for (int teams = 1; teams <= std::min<std::int64_t>(ranks, items); ++teams) {
        std::int64_t busiest = 0;
        for (int team = 0; team < teams; ++team) {
          const auto own_ranks = units_of(ranks, team, teams).size();
          busiest = std::max(busiest, units_of(items, team, teams).size() * ((5 + own_ranks - 1) / own_ranks));
        }
        EXPECT_DOUBLE_EQ(cut_into_teams({.items = items, .blocks = 5}, teams, ranks).busy,
                         static_cast<double>(items * 5) / static_cast<double>(busiest));
      }
    }
  }
}

TEST(Teams, OneTeamIsEnoughWhereItKeepsAllRanksBusy) {
  EXPECT_EQ(choose_teams({.items = 37, .blocks = 37, .kept_blocks = 37}, 1).count, 1);
  EXPECT_EQ(choose_teams({.items = 300, .blocks = 31250, .kept_blocks = 2000}, 64).count, 1);
}

TEST(Teams, AMarkForEachRankNeedsNoSharing) {
  EXPECT_EQ(choose_teams({.items = 300, .blocks = 1, .kept_blocks = 1}, 100).count, 100);
}

TEST(Teams, ThereAreNoMoreThanMarks) {
  EXPECT_EQ(choose_teams({.items = 1, .blocks = 2, .kept_blocks = 2}, 1000).count, 1);
  EXPECT_LE(choose_teams({.items = 3, .blocks = 1, .kept_blocks = 1}, 1000).count, 3);
}

TEST(Teams, RanksThatCannotKeepTheBlocksShareThem) {
  // Alike at comparing; alone, a rank would read every block anew for each mark.
  TeamWork work = {.items = 64, .blocks = 64, .kept_blocks = 64, .each_item = 1, .reading = 0.3};
  const int with_memory = choose_teams(work, 16).count;
  work.kept_blocks = 4;
  EXPECT_GT(with_memory, 1);
  EXPECT_EQ(choose_teams(work, 16).count, 1);
}

}  // namespace
}  // namespace outsole::comm
