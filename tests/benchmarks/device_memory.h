#pragma once
// LibTorch's memory on a GPU. device_memory_cuda.cpp where it has CUDA, else device_memory_none.cpp.

#include <c10/core/Device.h>

#include <cstdint>

namespace outsole::benchmarks {

/// Bytes; 0: not known.
struct DeviceMemory {
  std::int64_t peak = 0;      // that tensors took at once, since `start_peak`
  std::int64_t reserved = 0;  // that LibTorch had taken from the device at once for it
};

void start_peak(const c10::Device& device);
DeviceMemory peak_memory(const c10::Device& device);

/// Gives back what no tensor holds.
void release_memory(const c10::Device& device);

}  // namespace outsole::benchmarks
