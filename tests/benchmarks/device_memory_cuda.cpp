#include <c10/cuda/CUDACachingAllocator.h>

#include "device_memory.h"

namespace outsole::benchmarks {

namespace allocator = c10::cuda::CUDACachingAllocator;

namespace {
constexpr std::size_t kAllPools = 0;  // of small and of large blocks together
c10::DeviceIndex index_of(const c10::Device& device) { return device.has_index() ? device.index() : 0; }
}  // namespace

void start_peak(const c10::Device& device) {
  if (device.is_cuda()) allocator::resetPeakStats(index_of(device));
}

DeviceMemory peak_memory(const c10::Device& device) {
  if (!device.is_cuda()) return {};
  const auto stats = allocator::getDeviceStats(index_of(device));
  return {stats.allocated_bytes[kAllPools].peak, stats.reserved_bytes[kAllPools].peak};
}

void release_memory(const c10::Device& device) {
  if (device.is_cuda()) allocator::emptyCache();
}

}  // namespace outsole::benchmarks
