// The kernel of the search on GPUs, its own source run on the CPU, against the definition.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "match/emulated/device.h"
// After the device it runs on.
#include "match/gpu/mark_layout.h"
#include "match/gpu/ncc_kernel.h"
#include "match/naive_search.h"
#include "match/small_problem.h"

namespace outsole::match {
namespace {

using testing::make_problem;
using testing::Problem;

constexpr std::int64_t kSharedBytes = 160 << 10;

struct EmulatedBlock {
  at::Tensor exact;
  std::vector<unsigned short> halves;
  std::vector<unsigned> not_finite = std::vector<unsigned>(kLanes);
};

EmulatedBlock pack(const at::Tensor& block, const gpu::MarkArrays& mark) {
  EmulatedBlock packed = {block, std::vector<unsigned short>(static_cast<std::size_t>(block.numel()), 0x7e00), {}};
  packed.not_finite.resize(kLanes);
  gpu::PackWork work{};
  work.exact_y = block.data_ptr<float>();
  work.y = packed.halves.data();
  work.gain = mark.gain.data();
  work.not_finite = packed.not_finite.data();
  work.channels = mark.channels;
  work.cells = mark.height * mark.width;
  gpu::run_grid(
      2, 1, gpu::kMostThreads, 0,
      [](const void* argument) {
        gpu::pack(*static_cast<const gpu::PackWork*>(argument),
                  gpu::block_index_x() * gpu::kMostThreads + gpu::thread_index(),
                  gpu::grid_width() * gpu::kMostThreads);
      },
      &work);
  return packed;
}

struct EmulatedSearch {
  std::vector<gpu::Found> found;  // of every lane; no score where there is no pose
  std::vector<Pose> poses;
  std::vector<unsigned> not_finite;
  int bands = 0;
};

EmulatedSearch search_emulated(const Problem& problem, std::int64_t shared_bytes = kSharedBytes) {
  const PreparedMark prepared(problem.views, problem.frame, problem.radius, problem.channels);
  const gpu::MarkArrays mark = gpu::lay_out_mark(prepared.layout(), shared_bytes);
  std::vector<gpu::ViewGroup> groups;
  gpu::SearchWork work = gpu::work_at(mark, groups, [](const auto& values) { return values.data(); });
  std::vector<EmulatedBlock> blocks;
  std::vector<gpu::ExemplarBlock> table;
  EmulatedSearch result;
  for (const at::Tensor& block : problem.blocks()) {
    blocks.push_back(pack(block, mark));
    result.not_finite.insert(result.not_finite.end(), blocks.back().not_finite.begin(), blocks.back().not_finite.end());
  }
  for (const EmulatedBlock& block : blocks) table.push_back({block.halves.data(), block.exact.data_ptr<float>()});
  std::vector<unsigned long long> keys(blocks.size() * kLanes);
  work.blocks = table.data();
  work.best = keys.data();
  gpu::run_grid(
      static_cast<int>(mark.patches.size()), static_cast<int>(blocks.size()) * 2, 32 * mark.warps,
      static_cast<int>(mark.shared_bytes()),
      [](const void* argument) { gpu::search_patch<true>(*static_cast<const gpu::SearchWork*>(argument)); }, &work);
  for (const unsigned long long key : keys) {
    result.found.push_back(gpu::found_of(key));
    result.poses.push_back(key == 0 ? Pose{} : mark.pose_of(result.found.back().rank));
  }
  for (const gpu::GroupArrays& group : mark.groups) result.bands = std::max(result.bands, group.sizes.band_count);
  return result;
}

void expect_equals_naive(const Problem& problem, double tolerance = 1e-3, std::int64_t shared_bytes = kSharedBytes) {
  const EmulatedSearch search = search_emulated(problem, shared_bytes);
  for (std::int64_t n = 0; n < problem.exemplars.size(0); ++n) {
    const auto naive = testing::naive_search(problem.views, problem.exemplars[n].contiguous(), problem.frame,
                                             problem.radius, problem.channels);
    EXPECT_NEAR(search.found[static_cast<std::size_t>(n)].score, naive.score, tolerance) << "exemplar " << n;
    EXPECT_EQ(search.poses[static_cast<std::size_t>(n)], naive.pose) << "exemplar " << n;
  }
}

TEST(GpuKernel, EqualsTheDefinitionForEveryStride) {
  for (const std::int64_t stride : {1, 2, 4, 8}) {
    SCOPED_TRACE(stride);
    expect_equals_naive(make_problem({.exemplars = 3, .stride_px = stride}));
  }
}

TEST(GpuKernel, EqualsTheDefinitionForASupportWithHoles) { expect_equals_naive(make_problem({.has_holes = true})); }

TEST(GpuKernel, EqualsTheDefinitionForASmallMarkWithManyShifts) {
  expect_equals_naive(make_problem({.exemplars = 2, .stride_px = 4, .mark_height_px = 24, .mark_width_px = 13}));
}

TEST(GpuKernel, EqualsTheDefinitionForAMarkAsLargeAsTheFrame) {
  expect_equals_naive(make_problem({.mark_height_px = 100, .mark_width_px = 56}));
}

TEST(GpuKernel, EqualsTheDefinitionWhenErosionIsWiderThanTheIndexBorder) {
  Problem problem = make_problem({.border = 1});
  problem.radius = 3;
  expect_equals_naive(problem);
}

TEST(GpuKernel, EqualsTheDefinitionInManyBands) {
  const Problem problem = make_problem({.exemplars = 2});
  EXPECT_GE(search_emulated(problem, 64 << 10).bands, 2);
  expect_equals_naive(problem, 1e-3, 64 << 10);
}

TEST(GpuKernel, IgnoresFlatChannels) {
  Problem problem = make_problem({});
  problem.exemplars.select(1, 2).fill_(3.25f);
  for (MarkView& view : problem.views) view.features[1].fill_(7.0f);
  expect_equals_naive(problem);
}

TEST(GpuKernel, SumsNearDeadWindowsAnew) {
  Problem problem = make_problem({.channels = 3, .exemplars = 3, .mark_height_px = 30});
  problem.exemplars.select(1, 0).mul_(1e-3f).add_(1.0f);       // small contrast on a large constant
  problem.exemplars.select(1, 1).slice(1, 5, 21).mul_(2e-3f);  // strong at the top, nearly dead below
  expect_equals_naive(problem);
}

TEST(GpuKernel, KnowsValuesBeyondTheRangeOfHalves) {
  Problem problem = make_problem({.channels = 3, .exemplars = 2});
  problem.exemplars.select(1, 0).mul_(1e6f);
  problem.exemplars.select(1, 1).mul_(1e-4f);  // ten times what is flat
  expect_equals_naive(problem);
}

TEST(GpuKernel, TellsExemplarsThatAreNotFinite) {
  Problem problem = make_problem({.exemplars = 4});
  problem.exemplars[1][2][3][4] = std::numeric_limits<float>::quiet_NaN();
  problem.exemplars[3][0][0][0] = std::numeric_limits<float>::infinity();
  const EmulatedSearch search = search_emulated(problem);
  for (std::size_t n = 0; n < 4; ++n) EXPECT_EQ(search.not_finite[n], n % 2) << n;
}

TEST(GpuKernel, AnExemplarsBitsDoNotDependOnItsNeighbours) {
  Problem problem = make_problem({.exemplars = 35});
  const EmulatedSearch all = search_emulated(problem);
  problem.exemplars = problem.exemplars.slice(0, 32, 35).contiguous();
  const EmulatedSearch some = search_emulated(problem);
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_EQ(some.found[n].score, all.found[32 + n].score);
    EXPECT_EQ(some.poses[n], all.poses[32 + n]);
  }
}

}  // namespace
}  // namespace outsole::match
