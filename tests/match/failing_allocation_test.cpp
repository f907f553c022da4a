// What happens when memory runs out on a thread of the search: an exception where the search was called.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "match/every_kernel.h"
#include "match/exemplar_block.h"
#include "match/mcncc.h"

namespace {

/// Allocations of so many bytes fail.
std::atomic<std::size_t> failing_bytes{0};
std::atomic<int> failures{0};

}  // namespace

void* operator new(std::size_t bytes) {
  if (bytes != 0 && bytes == failing_bytes) {
    ++failures;
    throw std::bad_alloc();
  }
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace outsole::match {
namespace {

/// Runs `work` with allocations of every size up to `largest` failing in turn. It throws, unless it copes (a sort does
/// without its buffer).
void expect_failures_come_out(std::size_t largest, const std::function<void()>& work) {
  int seen = 0;
  for (std::size_t bytes = 1; bytes <= largest; ++bytes) {
    failures = 0;
    failing_bytes = bytes;
    bool threw = false;
    try {
      work();
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    failing_bytes = 0;
    EXPECT_TRUE(!threw || failures > 0) << bytes << " bytes";
    seen += threw;
  }
  EXPECT_GT(seen, 3);
}

struct SmallProblem {
  FrameCells frame = {13, 11, 1, 4};
  std::vector<MarkView> views;
  ChannelModel channels = plain_channel_model(at::full({3}, 0.5, at::kDouble));
  at::Tensor block = pack_block(at::relu(at::randn({5, 3, 15, 13})), at::zeros({3}), 1);

  SmallProblem() {
    const PoseGrid grid = {{0, 1, 2}, 4, 60, 52, 30, 28};
    for (std::int64_t angle = 0; angle < 3; ++angle) {
      for (const ViewOffset& offset : view_offsets(grid, 4)) {
        views.push_back(make_mark_view(angle, offset, at::relu(at::randn({3, 22, 19})), at::ones({22, 19}, at::kBool)));
      }
    }
  }
  SearchTerms terms() const { return {frame, 1, channels, {}}; }
};

TEST(FailingAllocation, WhileAMarkIsLaidOutIsAnException) {
  const SmallProblem problem;
  const SearchKernel& kernel = fastest_cpu_kernel();
  kernel.make_ready(problem.views, problem.terms(), {});
  expect_failures_come_out(std::size_t{22} * 19 * sizeof(float), [&] {
    std::vector<MarkView> views = problem.views;
    kernel.make_ready(std::move(views), problem.terms(), {});
  });
}

TEST(FailingAllocation, WhileBlocksAreSearchedIsAnException) {
  const SmallProblem problem;
  const ReadyMark mark = fastest_cpu_kernel().make_ready(problem.views, problem.terms(), {});
  std::vector<BestPose> best(kLanes);
  mark.search(std::span(&problem.block, 1), best);
  expect_failures_come_out(kLanes * sizeof(BestPose), [&] { mark.search(std::span(&problem.block, 1), best); });
}

}  // namespace
}  // namespace outsole::match
