#include "comm/partition.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace outsole::comm
