#pragma once
// Tests that run over all kernels of the search that this machine can run, on a GPU where LibTorch sees one.

#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "match/lanes.h"
#include "match/search_kernel.h"

namespace outsole::match::testing {

inline std::vector<const SearchKernel*> kernels_that_run_here(bool only_for_cpus = false) {
  std::vector<const SearchKernel*> kernels;
  for (const SearchKernel& kernel : search_kernels()) {
    if (kernel.runs_here() && !(only_for_cpus && kernel.runs_on_any_device)) kernels.push_back(&kernel);
  }
  return kernels;
}

inline std::string name_of_kernel(const ::testing::TestParamInfo<const SearchKernel*>& test) {
  return test.param->name;
}

/// Where a kernel is tested: on a GPU if there is one for it. (On a machine without, the same tests run on the CPU.)
inline at::Device device_for(const SearchKernel& kernel) {
  return kernel.runs_on_any_device && at::hasCUDA() ? at::kCUDA : at::kCPU;
}

inline std::vector<BestPose> search_with(const SearchKernel& kernel, const std::vector<MarkView>& views,
                                         const SearchTerms& terms, std::span<const at::Tensor> blocks,
                                         ComputePrecision precision = ComputePrecision::k32) {
  const Compute compute = {device_for(kernel), precision};
  std::vector<at::Tensor> there;
  for (const at::Tensor& block : blocks) there.push_back(block.to(compute.device));
  std::vector<BestPose> best(blocks.size() * kLanes);
  kernel.make_ready(views, terms, compute).search(there, best);
  return best;
}

}  // namespace outsole::match::testing
