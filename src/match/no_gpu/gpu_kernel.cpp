#include "match/gpu_kernel.h"

namespace outsole::match {

std::vector<SearchKernel> gpu_kernels() { return {}; }

}  // namespace outsole::match
