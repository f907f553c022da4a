// The kernels of the search on a GPU, as PTX.

#include "device.h"
#include "ncc_kernel.h"

namespace outsole::match::gpu {

OUTSOLE_KERNEL void __launch_bounds__(kThreads, 1) outsole_search(const SearchWork work) { search_patch(work); }

OUTSOLE_KERNEL void __launch_bounds__(kThreads) outsole_pack(const PackWork work) {
  pack(work, block_index_x() * kThreads + thread_index(), grid_width() * kThreads);
}

}  // namespace outsole::match::gpu
