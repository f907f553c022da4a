#include "match/gpu/driver.h"

#include <dlfcn.h>

#include <array>
#include <mutex>
#include <utility>

#include "core/errors.h"
#include "match/gpu/search_work.h"

namespace outsole::match::gpu {

extern const char* const kPtx;  // of kernels.cu

namespace {

using Result = int;  // 0: done
constexpr Result kDone = 0;

/// What is called of libcuda.so.1, as its documentation declares it.
struct Driver {
  Result (*init)(unsigned flags) = nullptr;
  Result (*device_count)(int* count) = nullptr;
  Result (*device)(int* device, int number) = nullptr;
  Result (*device_name)(char* name, int size, int device) = nullptr;
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
  Result (*allocate)(Address* address, std::size_t bytes) = nullptr;
  Result (*release)(Address address) = nullptr;
  Result (*to_device)(Address to, const void* from, std::size_t bytes) = nullptr;
  Result (*from_device)(void* to, Address from, std::size_t bytes) = nullptr;
  Result (*fill)(Address address, unsigned char value, std::size_t count) = nullptr;
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

constexpr int kSharedBytesOfBlock = 97, kMajorVersion = 75;  // attributes of a device
constexpr int kMostSharedBytes = 8;                          // of a function

}  // namespace

int device_count() {
  int count = 0;
  return driver().is_there && driver().device_count(&count) == kDone ? count : 0;
}

Device& Device::number(int number) {
  static std::mutex mutex;
  static std::array<std::unique_ptr<Device>, 64> devices;
  const std::lock_guard lock(mutex);
  if (number < 0 || number >= device_count() || number >= static_cast<int>(devices.size())) {
    throw EnvironmentError("there is no GPU " + std::to_string(number) + " on this machine");
  }
  auto& device = devices[static_cast<std::size_t>(number)];
  if (!device) device.reset(new Device(number));
  return *device;
}

Device::Device(int number) : number_(number), name_("GPU " + std::to_string(number)) {
  int device = 0, major = 0, shared = 0;
  char name[256] = "";
  check(driver().device(&device, number), "cuDeviceGet");
  check(driver().device_name(name, sizeof name, device), "cuDeviceGetName");
  name_ += std::string(" (") + name + ")";
  check(driver().device_attribute(&major, kMajorVersion, device), "cuDeviceGetAttribute");
  check(driver().device_attribute(&shared, kSharedBytesOfBlock, device), "cuDeviceGetAttribute");
  shared_bytes_ = shared;
  if (major < 8) throw EnvironmentError(name_ + " is older than the kernels need (compute capability 8.0)");
  check(driver().retain_context(&context_, device), "cuDevicePrimaryCtxRetain");
  enter();
  void* module = nullptr;
  check(driver().load(&module, kPtx), "cuModuleLoadData");
  check(driver().function(&kernels_[0], module, "outsole_search"), "cuModuleGetFunction");
  check(driver().function(&kernels_[1], module, "outsole_pack"), "cuModuleGetFunction");
  check(driver().set_attribute(kernels_[0], kMostSharedBytes, shared), "cuFuncSetAttribute");
}

void Device::enter() const { check(driver().set_context(context_), "cuCtxSetCurrent"); }

void Device::check(int result, const char* what) const {
  if (result == kDone) return;
  const char* text = nullptr;
  driver().error_text(result, &text);
  throw EnvironmentError(name_ + ": " + what + ": " + (text == nullptr ? std::to_string(result) : std::string(text)));
}

std::int64_t Device::free_bytes() const {
  enter();
  std::size_t free = 0, total = 0;
  check(driver().memory(&free, &total), "cuMemGetInfo");
  return static_cast<std::int64_t>(free);
}

void Device::launch_raw(Kernel kernel, std::int64_t grid_x, std::int64_t grid_y, std::int64_t shared_bytes,
                        void* work) {
  enter();
  void* arguments[] = {work};
  check(
      driver().launch(kernels_[static_cast<int>(kernel)], static_cast<unsigned>(grid_x), static_cast<unsigned>(grid_y),
                      1, kThreads, 1, 1, static_cast<unsigned>(shared_bytes), nullptr, arguments, nullptr),
      "cuLaunchKernel");
}

void Device::wait() const {
  enter();
  check(driver().synchronize(), "cuCtxSynchronize");
}

Buffer::Buffer(Device& device, std::int64_t bytes) : device_(&device), bytes_(bytes) {
  if (bytes == 0) return;
  device.enter();
  if (driver().allocate(&address_, static_cast<std::size_t>(bytes)) != kDone) {
    throw EnvironmentError(device.name() + ": no " + std::to_string(bytes >> 20) + " MiB of its memory are free (" +
                           std::to_string(device.free_bytes() >> 20) + " MiB are): lower `device_memory_gib`");
  }
}

Buffer::~Buffer() {
  if (address_ == 0) return;
  driver().set_context(device_->context_);
  driver().release(address_);
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Buffer::write(std::int64_t offset, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  device_->enter();
  device_->check(driver().to_device(address_ + static_cast<Address>(offset), from, bytes), "cuMemcpyHtoD");
}

void Buffer::read(std::int64_t offset, void* to, std::size_t bytes) const {
  if (bytes == 0) return;
  device_->enter();
  device_->check(driver().from_device(to, address_ + static_cast<Address>(offset), bytes), "cuMemcpyDtoH");
}

void Buffer::clear() {
  if (bytes_ == 0) return;
  device_->enter();
  device_->check(driver().fill(address_, 0, static_cast<std::size_t>(bytes_)), "cuMemsetD8");
}

}  // namespace outsole::match::gpu
