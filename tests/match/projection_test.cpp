#include "match/projection.h"

#include <gtest/gtest.h>
#include <omp.h>

namespace outsole::match {
namespace {

TEST(ProjectChannels, IsTheProductWithEveryColumn) {
  at::manual_seed(1);
  for (const std::int64_t components : {1, 4, 7, 12}) {
    const at::Tensor projection = at::randn({components, 9}), maps = at::randn({9, 5, 7, 3});
    const at::Tensor expected =
        at::mm(projection.to(at::kDouble), maps.to(at::kDouble).view({9, -1})).view({components, 5, 7, 3});
    const at::Tensor projected = project_channels(projection, maps);
    EXPECT_EQ(projected.sizes(), expected.sizes());
    EXPECT_LT((projected.to(at::kDouble) - expected).abs().max().item<double>(), 1e-5) << components;
  }
}

TEST(ProjectChannels, BitsDependOnAColumnAloneNotOnThreadsOrTheSizeOfTheMaps) {
  at::manual_seed(2);
  const at::Tensor projection = at::randn({6, 33}), maps = at::randn({33, 101});
  const at::Tensor whole = project_channels(projection, maps);
  EXPECT_TRUE(at::equal(project_channels(projection, maps.slice(1, 13, 42)), whole.slice(1, 13, 42)));
  EXPECT_TRUE(at::equal(project_channels(projection.slice(0, 2, 5), maps), whole.slice(0, 2, 5)));
  const int threads = omp_get_max_threads();
  for (const int other : {1, 3}) {
    omp_set_num_threads(other);
    EXPECT_TRUE(at::equal(project_channels(projection, maps), whole));
  }
  omp_set_num_threads(threads);
}

}  // namespace
}  // namespace outsole::match
