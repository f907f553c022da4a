#include "learn/epoch_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace outsole::learn {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(EpochOrder, IsAPermutationThatSeedAndEpochDecide) {
  const auto order = epoch_order(100, 3, 5);
  auto sorted = order;
  std::ranges::sort(sorted);
  std::vector<std::int64_t> all(100);
  std::iota(all.begin(), all.end(), std::int64_t{0});
  EXPECT_EQ(sorted, all);
  EXPECT_EQ(order, epoch_order(100, 3, 5));
  EXPECT_NE(order, epoch_order(100, 3, 6));
  EXPECT_NE(order, epoch_order(100, 4, 5));
  EXPECT_THAT(epoch_order(0, 1, 1), IsEmpty());
}

TEST(EpochOrder, IsTheSameOnEveryMachineAndForEver) {
  // A checkpoint knows its place in an epoch only by this order.
  EXPECT_THAT(epoch_order(8, 1, 0), ElementsAre(7, 6, 0, 5, 2, 3, 1, 4));
}

}  // namespace
}  // namespace outsole::learn
