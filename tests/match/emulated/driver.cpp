// libcuda.so.1 for a machine without a GPU: the functions that outsole calls, on a CPU. Programs that find it by
// LD_LIBRARY_PATH see two GPUs, whose kernels are the source of the real ones. For tests: it is slow.
//
// OUTSOLE_EMULATED_GPU_MIB is the memory of each (1024).

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <string>

#include "match/emulated/device.h"
// After the device it runs on.
#include "match/gpu/ncc_kernel.h"

namespace {

using namespace outsole::match;

constexpr int kDone = 0, kInvalid = 1, kOutOfMemory = 2;
constexpr int kGpus = 2;
constexpr int kSharedBytes = 160 << 10;

std::mutex mutex;
std::map<std::uint64_t, std::size_t> allocated[kGpus];
thread_local int current = 0;  // GPU of this thread
int contexts[kGpus], kernels[3];

constexpr const char* kNames[] = {"outsole_search", "outsole_search_products", "outsole_pack"};

std::size_t memory_bytes() {
  const char* mib = std::getenv("OUTSOLE_EMULATED_GPU_MIB");
  return (mib == nullptr ? std::size_t{1024} : static_cast<std::size_t>(std::atoi(mib))) << 20;
}

std::size_t used_bytes() {
  std::size_t used = 0;
  for (const auto& [address, bytes] : allocated[current]) used += bytes;
  return used;
}

template <bool Normalizes>
void run_search(const void* work) {
  gpu::search_patch<Normalizes>(*static_cast<const gpu::SearchWork*>(work));
}

void run_pack(const void* work) {
  gpu::pack(*static_cast<const gpu::PackWork*>(work), gpu::block_index_x() * gpu::kMostThreads + gpu::thread_index(),
            gpu::grid_width() * gpu::kMostThreads);
}

}  // namespace

#define OUTSOLE_EXPORT extern "C" __attribute__((visibility("default")))

OUTSOLE_EXPORT int cuInit(unsigned) { return kDone; }

OUTSOLE_EXPORT int cuDeviceGetCount(int* count) {
  *count = kGpus;
  return kDone;
}

OUTSOLE_EXPORT int cuDeviceGet(int* device, int number) {
  *device = number;
  return number >= 0 && number < kGpus ? kDone : kInvalid;
}

OUTSOLE_EXPORT int cuDeviceGetName(char* name, int size, int) {
  std::strncpy(name, "emulated", static_cast<std::size_t>(size));
  return kDone;
}

OUTSOLE_EXPORT int cuDeviceGetPCIBusId(char* address, int size, int device) {
  std::strncpy(address, ("0000:0" + std::to_string(device) + ":00.0").c_str(), static_cast<std::size_t>(size));
  return kDone;
}

OUTSOLE_EXPORT int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 8 : kSharedBytes;
  return kDone;
}

OUTSOLE_EXPORT int cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = &contexts[device];
  return kDone;
}

OUTSOLE_EXPORT int cuCtxSetCurrent(void* context) {
  current = static_cast<int>(static_cast<int*>(context) - contexts);
  return kDone;
}

OUTSOLE_EXPORT int cuCtxSynchronize() { return kDone; }

OUTSOLE_EXPORT int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  const std::lock_guard lock(mutex);
  *total = memory_bytes();
  *free = *total - used_bytes();
  return kDone;
}

OUTSOLE_EXPORT int cuModuleLoadData(void** module, const void* image) {
  *module = kernels;
  return std::strstr(static_cast<const char*>(image), ".target sm_80") != nullptr ? kDone : kInvalid;
}

OUTSOLE_EXPORT int cuModuleGetFunction(void** function, void*, const char* name) {
  *function = nullptr;
  for (int i = 0; i < 3; ++i) {
    if (std::strcmp(name, kNames[i]) == 0) *function = &kernels[i];
  }
  return *function == nullptr ? kInvalid : kDone;
}

OUTSOLE_EXPORT int cuFuncSetAttribute(void*, int, int) { return kDone; }

OUTSOLE_EXPORT int cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned, unsigned block_x,
                                  unsigned, unsigned, unsigned shared_bytes, void*, void** arguments, void**) {
  const std::lock_guard lock(mutex);
  if (shared_bytes > kSharedBytes) return kInvalid;
  constexpr void (*run_of[])(const void*) = {run_search<true>, run_search<false>, run_pack};
  try {
    gpu::run_grid(static_cast<int>(grid_x), static_cast<int>(grid_y), static_cast<int>(block_x),
                  static_cast<int>(shared_bytes), run_of[static_cast<int*>(function) - kernels], arguments[0]);
  } catch (const std::exception&) {
    return kInvalid;
  }
  return kDone;
}

OUTSOLE_EXPORT int cuMemAlloc_v2(std::uint64_t* address, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  if (used_bytes() + bytes > memory_bytes()) return kOutOfMemory;
  *address = reinterpret_cast<std::uint64_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  std::memset(reinterpret_cast<void*>(*address), 0xff, bytes);
  allocated[current][*address] = bytes;
  return kDone;
}

OUTSOLE_EXPORT int cuMemFree_v2(std::uint64_t address) {
  const std::lock_guard lock(mutex);
  if (allocated[current].erase(address) == 0) return kInvalid;
  std::free(reinterpret_cast<void*>(address));
  return kDone;
}

OUTSOLE_EXPORT int cuMemcpyHtoD_v2(std::uint64_t to, const void* from, std::size_t bytes) {
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return kDone;
}

OUTSOLE_EXPORT int cuMemcpyDtoH_v2(void* to, std::uint64_t from, std::size_t bytes) {
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return kDone;
}

OUTSOLE_EXPORT int cuMemsetD8_v2(std::uint64_t address, unsigned char value, std::size_t count) {
  std::memset(reinterpret_cast<void*>(address), value, count);
  return kDone;
}

OUTSOLE_EXPORT int cuGetErrorString(int result, const char** text) {
  *text = result == kOutOfMemory ? "out of memory" : "invalid argument";
  return kDone;
}
