#pragma once
// Tests that run over all kernels of the search that this machine can run, on a GPU where LibTorch sees one.

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "match/lanes.h"
#include "match/search_kernel.h"

namespace outsole::match::testing {

inline std::vector<const SearchKernel*> kernels_that_run_here(bool only_for_cpus = false) {
  std::vector<const SearchKernel*> kernels;
  for (const SearchKernel& kernel : search_kernels()) {
    if (kernel.runs_here() && (kernel.place == KernelPlace::kCpu || !only_for_cpus)) kernels.push_back(&kernel);
  }
  return kernels;
}

inline std::string name_of_kernel(const ::testing::TestParamInfo<const SearchKernel*>& test) {
  return test.param->name;
}

/// Where a kernel is tested: on a GPU if there is one for it. (On a machine without, the same tests run on the CPU.)
inline at::Device device_for(const SearchKernel& kernel) {
  const bool is_there = kernel.place == KernelPlace::kGpu || (kernel.place == KernelPlace::kAnyDevice && at::hasCUDA());
  return is_there ? at::kCUDA : at::kCPU;
}

/// How far scores may lie from the definition's: with 16-bit inputs, or with 32-bit ones.
inline double tolerance_of(const SearchKernel& kernel) { return kernel.place == KernelPlace::kGpu ? 1e-3 : 1e-5; }

/// The same score; and the same pose, where another is not as good within the tolerance (random features leave that to
/// 16-bit inputs).
inline void expect_near(const SearchKernel& kernel, const BestPose& found, double score, const Pose& pose,
                        double tolerance) {
  EXPECT_NEAR(found.score, score, std::max(tolerance, tolerance_of(kernel)));
  if (kernel.place != KernelPlace::kGpu) {
    EXPECT_EQ(found.pose, pose);
  }
}

inline std::vector<BestPose> search_with(const SearchKernel& kernel, const std::vector<MarkView>& views,
                                         const SearchTerms& terms, std::span<const at::Tensor> blocks,
                                         ComputePrecision precision = ComputePrecision::k32) {
  const Compute compute = {device_for(kernel), precision};
  std::vector<at::Tensor> there;
  const bool is_torchs = kernel.place != KernelPlace::kGpu;
  for (const at::Tensor& block : blocks) there.push_back(is_torchs ? block.to(compute.device) : block);
  std::vector<BestPose> best(blocks.size() * kLanes);
  kernel.make_ready(views, terms, compute).search(there, best);
  return best;
}

}  // namespace outsole::match::testing
