// The kernels of the search on a GPU, as PTX.

#include "device.h"
#include "ncc_kernel.h"

namespace outsole::match::gpu {

OUTSOLE_KERNEL void __launch_bounds__(kMostThreads, 1) outsole_search(const SearchWork work) {
  search_patch<true>(work);
}

OUTSOLE_KERNEL void __launch_bounds__(kMostThreads, 1) outsole_search_products(const SearchWork work) {
  search_patch<false>(work);
}

OUTSOLE_KERNEL void __launch_bounds__(kMostThreads) outsole_pack(const PackWork work) {
  pack(work, block_index_x() * kMostThreads + thread_index(), grid_width() * kMostThreads);
}

}  // namespace outsole::match::gpu
