#pragma once
// The kernel for GPUs, which gpu/ has and no_gpu/ has not. Internal to match/.

#include <vector>

#include "match/search_kernel.h"

namespace outsole::match {

/// None in a build without a compiler for GPUs.
std::vector<SearchKernel> gpu_kernels();

}  // namespace outsole::match
