#include "core/gpu.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>

#include "core/errors.h"

namespace outsole {

namespace {

using Result = int;  // 0: done
constexpr Result kDone = 0;

/// What is called of libcuda.so.1, as its documentation declares it.
struct Driver {
  Result (*init)(unsigned flags) = nullptr;
  Result (*device_count)(int* count) = nullptr;
  Result (*device)(int* device, int number) = nullptr;
  Result (*device_name)(char* name, int size, int device) = nullptr;
  Result (*bus_address)(char* address, int size, int device) = nullptr;
  Result (*device_attribute)(int* value, int attribute, int device) = nullptr;
  Result (*retain_context)(void** context, int device) = nullptr;
  Result (*set_context)(void* context) = nullptr;
  Result (*synchronize)() = nullptr;
  Result (*memory)(std::size_t* free, std::size_t* total) = nullptr;
  Result (*load)(void** module, const void* image) = nullptr;
  Result (*function)(void** function, void* module, const char* name) = nullptr;
  Result (*set_attribute)(void* function, int attribute, int value) = nullptr;
  Result (*launch)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** arguments,
                   void** extra) = nullptr;
  Result (*allocate)(std::uint64_t* address, std::size_t bytes) = nullptr;
  Result (*release)(std::uint64_t address) = nullptr;
  Result (*to_device)(std::uint64_t to, const void* from, std::size_t bytes) = nullptr;
  Result (*from_device)(void* to, std::uint64_t from, std::size_t bytes) = nullptr;
  Result (*fill)(std::uint64_t address, unsigned char value, std::size_t count) = nullptr;
  Result (*error_text)(Result result, const char** text) = nullptr;
  bool is_there = false;
};

template <typename Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

Driver load_driver() {
  Driver d;
  void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return d;
  const bool has_all =
      find(library, "cuInit", d.init) && find(library, "cuDeviceGetCount", d.device_count) &&
      find(library, "cuDeviceGet", d.device) && find(library, "cuDeviceGetName", d.device_name) &&
      find(library, "cuDeviceGetPCIBusId", d.bus_address) &&
      find(library, "cuDeviceGetAttribute", d.device_attribute) &&
      find(library, "cuDevicePrimaryCtxRetain", d.retain_context) && find(library, "cuCtxSetCurrent", d.set_context) &&
      find(library, "cuCtxSynchronize", d.synchronize) && find(library, "cuMemGetInfo_v2", d.memory) &&
      find(library, "cuModuleLoadData", d.load) && find(library, "cuModuleGetFunction", d.function) &&
      find(library, "cuFuncSetAttribute", d.set_attribute) && find(library, "cuLaunchKernel", d.launch) &&
      find(library, "cuMemAlloc_v2", d.allocate) && find(library, "cuMemFree_v2", d.release) &&
      find(library, "cuMemcpyHtoD_v2", d.to_device) && find(library, "cuMemcpyDtoH_v2", d.from_device) &&
      find(library, "cuMemsetD8_v2", d.fill) && find(library, "cuGetErrorString", d.error_text);
  d.is_there = has_all && d.init(0) == kDone;
  return d;
}

const Driver& driver() {
  static const Driver loaded = load_driver();
  return loaded;
}

// Attributes, by their numbers in cuda.h.
constexpr int kMajorVersion = 75, kMinorVersion = 76, kSharedBytesOfBlock = 97;  // of a device
constexpr int kMostSharedBytes = 8;                                              // of a function

}  // namespace

int gpu_count() {
  int count = 0;
  return driver().is_there && driver().device_count(&count) == kDone ? count : 0;
}

int gpu_capability(int number) {
  int device = 0, major = 0, minor = 0;
  const bool is_told = driver().is_there && driver().device(&device, number) == kDone &&
                       driver().device_attribute(&major, kMajorVersion, device) == kDone &&
                       driver().device_attribute(&minor, kMinorVersion, device) == kDone;
  return is_told ? 10 * major + minor : 0;
}

Gpu& Gpu::number(int number) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<Gpu>> gpus;
  const std::lock_guard lock(mutex);
  auto& gpu = gpus[number];
  if (!gpu) gpu.reset(new Gpu(number));
  return *gpu;
}

Gpu::Gpu(int number) : name_("GPU " + std::to_string(number)) {
  if (number < 0 || number >= gpu_count()) throw EnvironmentError(name_ + ": there is none of that number here");
  int device = 0, shared = 0;
  char name[256] = "", bus_address[64] = "";
  check(driver().device(&device, number), "cuDeviceGet");
  check(driver().device_name(name, sizeof name, device), "cuDeviceGetName");
  name_ += std::string(" (") + name + ")";
  check(driver().bus_address(bus_address, sizeof bus_address, device), "cuDeviceGetPCIBusId");
  bus_address_ = bus_address;
  check(driver().device_attribute(&shared, kSharedBytesOfBlock, device), "cuDeviceGetAttribute");
  shared_bytes_ = shared;
  check(driver().retain_context(&context_, device), "cuDevicePrimaryCtxRetain");
}

void Gpu::enter() const { check(driver().set_context(context_), "cuCtxSetCurrent"); }

void Gpu::check(int result, const char* what) const {
  if (result == kDone) return;
  const char* text = nullptr;
  driver().error_text(result, &text);
  throw EnvironmentError(name_ + ": " + what + ": " + (text == nullptr ? std::to_string(result) : std::string(text)));
}

Gpu::Memory Gpu::memory() const {
  enter();
  std::size_t free = 0, total = 0;
  check(driver().memory(&free, &total), "cuMemGetInfo");
  return {static_cast<std::int64_t>(free), static_cast<std::int64_t>(total)};
}

std::vector<GpuKernel> Gpu::load(const char* ptx, const std::vector<std::string>& names) const {
  enter();
  void* module = nullptr;
  check(driver().load(&module, ptx), "cuModuleLoadData");
  std::vector<GpuKernel> kernels;
  for (const std::string& name : names) {
    GpuKernel& kernel = kernels.emplace_back();
    check(driver().function(&kernel.function, module, name.c_str()), "cuModuleGetFunction");
    check(driver().set_attribute(kernel.function, kMostSharedBytes, static_cast<int>(shared_bytes_)),
          "cuFuncSetAttribute");
  }
  return kernels;
}

void Gpu::launch_with(GpuKernel kernel, const GpuGrid& grid, void* work) const {
  enter();
  void* arguments[] = {work};
  check(driver().launch(kernel.function, static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), 1,
                        static_cast<unsigned>(grid.threads), 1, 1, static_cast<unsigned>(grid.shared_bytes), nullptr,
                        arguments, nullptr),
        "cuLaunchKernel");
}

void Gpu::wait() const {
  enter();
  check(driver().synchronize(), "cuCtxSynchronize");
}

GpuBuffer::GpuBuffer(const Gpu& gpu, std::int64_t bytes) : gpu_(&gpu), bytes_(bytes) {
  if (bytes == 0) return;
  gpu.enter();
  if (driver().allocate(&address_, static_cast<std::size_t>(bytes)) == kDone) return;
  throw EnvironmentError(gpu.name() + ": no " + std::to_string(bytes >> 20) + " MiB of its memory are free (" +
                         std::to_string(gpu.memory().free_bytes >> 20) + " MiB are): lower `device_memory_gib`");
}

GpuBuffer::~GpuBuffer() {
  if (address_ == 0) return;
  driver().set_context(gpu_->context_);
  driver().release(address_);
}

GpuBuffer& GpuBuffer::operator=(GpuBuffer&& other) noexcept {
  std::swap(gpu_, other.gpu_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void GpuBuffer::write(const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  gpu_->enter();
  gpu_->check(driver().to_device(address_, from, bytes), "cuMemcpyHtoD");
}

void GpuBuffer::read(void* to, std::size_t bytes) const {
  if (bytes == 0) return;
  gpu_->enter();
  gpu_->check(driver().from_device(to, address_, bytes), "cuMemcpyDtoH");
}

void GpuBuffer::clear() {
  if (bytes_ == 0) return;
  gpu_->enter();
  gpu_->check(driver().fill(address_, 0, static_cast<std::size_t>(bytes_)), "cuMemsetD8");
}

}  // namespace outsole
