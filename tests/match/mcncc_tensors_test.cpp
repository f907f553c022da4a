#include "match/mcncc_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "match/every_kernel.h"
#include "match/lanes.h"
#include "match/naive_search.h"
#include "match/small_problem.h"

namespace outsole::match {
namespace {

using testing::make_problem;
using testing::Problem;

std::vector<BestPose> search(const Problem& problem, const SearchKernel& kernel,
                             ComputePrecision precision = ComputePrecision::k32) {
  return testing::search_with(kernel, problem.views, {problem.frame, problem.radius, problem.channels, {}},
                              problem.blocks(), precision);
}

std::vector<BestPose> search_in_tensors(const Problem& problem, ComputePrecision precision = ComputePrecision::k32) {
  return search(problem, *find_kernel("tensors"), precision);
}

class EveryKernelOnBlocks : public ::testing::TestWithParam<const SearchKernel*> {
 protected:
  static void expect_equals_naive(const Problem& problem) {
    const auto best = search(problem, *GetParam());
    for (std::int64_t n = 0; n < problem.exemplars.size(0); ++n) {
      const auto naive = testing::naive_search(problem.views, problem.exemplars[n].contiguous(), problem.frame,
                                               problem.radius, problem.channels);
      SCOPED_TRACE("exemplar " + std::to_string(n));
      testing::expect_near(*GetParam(), best[static_cast<std::size_t>(n)], naive.score, naive.pose, 1e-5);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, EveryKernelOnBlocks, ::testing::ValuesIn(testing::kernels_that_run_here()),
                         testing::name_of_kernel);

TEST_P(EveryKernelOnBlocks, EqualsTheDefinitionForEveryStride) {
  for (const std::int64_t stride : {1, 2, 4, 8}) {
    expect_equals_naive(make_problem({.exemplars = 3, .stride_px = stride}));
  }
}

TEST_P(EveryKernelOnBlocks, EqualsTheDefinitionForASupportWithHoles) {
  expect_equals_naive(make_problem({.has_holes = true}));
}

TEST_P(EveryKernelOnBlocks, EqualsTheDefinitionForASmallMarkWithManyShifts) {
  expect_equals_naive(make_problem({.exemplars = 2, .stride_px = 4, .mark_height_px = 24, .mark_width_px = 13}));
}

TEST_P(EveryKernelOnBlocks, EqualsTheDefinitionForAMarkAsLargeAsTheFrame) {
  expect_equals_naive(make_problem({.mark_height_px = 100, .mark_width_px = 56}));
}

TEST_P(EveryKernelOnBlocks, EqualsTheDefinitionWhenErosionIsWiderThanTheIndexBorder) {
  Problem problem = make_problem({.border = 1});
  problem.radius = 3;
  expect_equals_naive(problem);
}

TEST_P(EveryKernelOnBlocks, IgnoresFlatChannels) {
  Problem problem = make_problem({});
  problem.exemplars.select(1, 2).fill_(3.25f);
  for (MarkView& view : problem.views) view.features[1].fill_(7.0f);
  expect_equals_naive(problem);
}

TEST_P(EveryKernelOnBlocks, KeepsItsDigitsInNearDeadChannels) {
  Problem problem = make_problem({.channels = 3, .mark_height_px = 30});
  problem.exemplars.select(1, 0).mul_(1e-3f).add_(1.0f);       // small contrast on a large constant
  problem.exemplars.select(1, 1).slice(1, 5, 21).mul_(2e-3f);  // strong at the top, nearly dead below
  expect_equals_naive(problem);
}

/// True where equal rows of a matrix product come out with equal bits. OpenBLAS' kernels for AVX2 do not: a row's last
/// bits depend on its place among twelve.
bool blas_gives_equal_rows_equal_bits() {
  const at::Tensor row = at::randn({1, 200}),
                   product = at::mm(row.expand({24, 200}).contiguous(), at::randn({200, 32}));
  return at::equal(product, product.slice(0, 0, 1).expand_as(product));
}

TEST_P(EveryKernelOnBlocks, GivesTheEarlierPoseOnATie) {
  if (GetParam()->name == "tensors" && !blas_gives_equal_rows_equal_bits()) {
    GTEST_SKIP() << "this machine's BLAS gives equal rows of a product different bits, so poses do not tie";
  }
  // Turning changes nothing: every angle sees what the first one does.
  Problem problem = make_problem({});
  const std::size_t views_per_angle = problem.views.size() / 3;
  for (std::size_t v = views_per_angle; v < problem.views.size(); ++v) {
    const std::int64_t angle = problem.views[v].angle;
    problem.views[v] = problem.views[v % views_per_angle];
    problem.views[v].angle = angle;
  }
  std::reverse(problem.views.begin(), problem.views.end());
  for (std::size_t n = 0; n < 7; ++n) EXPECT_EQ(search(problem, *GetParam())[n].pose.angle, 0);
  expect_equals_naive(problem);
}

TEST_P(EveryKernelOnBlocks, NeverChoosesAnEmptySupport) {
  Problem problem = make_problem({});
  for (MarkView& view : problem.views) view.support.zero_();
  for (const BestPose& best : search(problem, *GetParam()))
    EXPECT_EQ(best.score, -std::numeric_limits<float>::infinity());
}

TEST_P(EveryKernelOnBlocks, GivesAnExemplarTheSameBitsInAnyBlock) {
  const Problem problem = make_problem({.exemplars = 40});
  const auto together = search(problem, *GetParam());
  Problem alone = problem;
  alone.exemplars = problem.exemplars.slice(0, 35, 36);
  EXPECT_EQ(search(alone, *GetParam())[0].score, together[35].score);
  EXPECT_EQ(search(alone, *GetParam())[0].pose, together[35].pose);
}

TEST_P(EveryKernelOnBlocks, AgreesWithTheGenericKernel) {
  const Problem problem = make_problem({.exemplars = 40});
  const SearchTerms terms = {problem.frame, problem.radius, problem.channels, {}};
  const SearchKernel& generic = *find_kernel("generic");
  EXPECT_NEAR(
      GetParam()->make_ready(problem.views, terms, {testing::device_for(*GetParam())}).useful_flops_per_exemplar /
          generic.make_ready(problem.views, terms, {}).useful_flops_per_exemplar,
      1, 1e-6);
  const auto expected = search(problem, generic), found = search(problem, *GetParam());
  for (std::size_t n = 0; n < 40; ++n) {
    testing::expect_near(*GetParam(), found[n], expected[n].score, expected[n].pose, 1e-5);
  }
}

TEST(McnccTensors, KeepsThreeDigitsWhenInputsAreRounded) {
  Problem problem = make_problem({.exemplars = 10});
  problem.exemplars.select(1, 3).mul_(1e6f);  // beyond the range of 16-bit floats
  problem.exemplars.select(1, 4).mul_(1e-3f);
  problem.channels.flat_std[4] = 1e-8f;
  const auto exact = search_in_tensors(problem);
  for (const ComputePrecision precision : {ComputePrecision::kTf32, ComputePrecision::k16}) {
    const auto rounded = search_in_tensors(problem, precision);
    for (std::size_t n = 0; n < 10; ++n) EXPECT_NEAR(rounded[n].score, exact[n].score, 1e-3);
  }
}

}  // namespace
}  // namespace outsole::match
