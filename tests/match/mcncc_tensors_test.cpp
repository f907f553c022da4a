#include "match/mcncc_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "match/every_kernel.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/naive_search.h"

namespace outsole::match {
namespace {

/// A mark of 3 angles with random features and supports, and exemplars.
struct Problem {
  FrameCells frame = {21, 10, 2, 4};
  std::int64_t radius = 2;
  std::vector<MarkView> views;
  at::Tensor exemplars;  // [N, C, H, W], without border
  ChannelModel channels;

  std::vector<at::Tensor> blocks() const {
    std::vector<at::Tensor> blocks;
    for (const at::Tensor& maps : exemplars.split(kLanes)) {
      blocks.push_back(pack_block(maps, at::zeros({maps.size(1)}), 0));
    }
    return blocks;
  }
};

struct ProblemOptions {
  std::int64_t channels = 5, exemplars = 7, stride_px = 2, border = 2;
  std::int64_t mark_height_px = 49, mark_width_px = 31;
  bool has_holes = false;
};

Problem make_problem(const ProblemOptions& options) {
  at::manual_seed(1);
  Problem problem;
  problem.frame.border = options.border;
  const std::int64_t cell = problem.frame.cell_px;
  PoseGrid grid = {{0, 1, 2}, options.stride_px};
  grid.frame_height_px = (problem.frame.height + 2 * options.border) * cell;
  grid.frame_width_px = (problem.frame.width + 2 * options.border) * cell;
  grid.mark_height_px = options.mark_height_px;
  grid.mark_width_px = options.mark_width_px;
  for (std::int64_t angle = 0; angle < 3; ++angle) {
    for (const ViewOffset& offset : view_offsets(grid, cell)) {
      const std::int64_t height = (grid.canvas_height_px() - offset.offset_y_px) / cell;
      const std::int64_t width = (grid.canvas_width_px() - offset.offset_x_px) / cell;
      at::Tensor support = at::zeros({height, width}, at::kBool);
      // As a turned mark's, it reaches beyond the upright rectangle.
      support.slice(0, grid.pad_y_px() / cell - angle, (grid.pad_y_px() + grid.mark_height_px) / cell + angle)
          .slice(1, grid.pad_x_px() / cell + angle, (grid.pad_x_px() + grid.mark_width_px) / cell)
          .fill_(true);
      if (options.has_holes) support.logical_and_(at::rand({height, width}) > 0.3);
      problem.views.push_back(
          make_mark_view(angle, offset, at::relu(at::randn({options.channels, height, width})), support));
    }
  }
  problem.exemplars =
      at::relu(at::randn({options.exemplars, options.channels, problem.frame.height, problem.frame.width}));
  problem.channels = plain_channel_model(at::full({options.channels}, 0.5, at::kDouble));
  return problem;
}

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
      const BestPose& found = best[static_cast<std::size_t>(n)];
      EXPECT_NEAR(found.score, naive.score, 1e-5) << "exemplar " << n;
      EXPECT_EQ(found.pose, naive.pose) << "exemplar " << n;
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
  EXPECT_NEAR(GetParam()->make_ready(problem.views, terms, {}).useful_flops_per_exemplar /
                  generic.make_ready(problem.views, terms, {}).useful_flops_per_exemplar,
              1, 1e-6);
  const auto expected = search(problem, generic), found = search(problem, *GetParam());
  for (std::size_t n = 0; n < 40; ++n) {
    EXPECT_NEAR(found[n].score, expected[n].score, 1e-5);
    EXPECT_EQ(found[n].pose, expected[n].pose);
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
