#pragma once
// The GPU's driver, loaded when it is asked for: a program built without any CUDA library, and with a LibTorch for
// CPUs, searches on a GPU wherever there is a driver. Kernels come as PTX, which the driver compiles (and keeps
// compiled, in
// ~/.nv/ComputeCache).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace outsole::match::gpu {

/// GPUs that the driver sees; 0 without a driver.
int device_count();

/// A place in a GPU's memory.
using Address = std::uint64_t;

/// One GPU, with the kernels of outsole loaded. Work that is handed over runs in order, on the stream that LibTorch
/// uses, too; any thread may hand it over, one at a time. What fails throws EnvironmentError naming the GPU.
class Device {
 public:
  /// GPU `number` of those the driver sees. The same object for all who ask.
  static Device& number(int number);

  const std::string& name() const { return name_; }
  std::int64_t free_bytes() const;
  /// Shared memory that a block may have.
  std::int64_t shared_bytes() const { return shared_bytes_; }

  enum class Kernel { kSearch, kPack };
  /// Starts a kernel that takes one argument, by value.
  template <typename Work>
  void launch(Kernel kernel, std::int64_t grid_x, std::int64_t grid_y, std::int64_t shared_bytes, const Work& work) {
    launch_raw(kernel, grid_x, grid_y, shared_bytes, const_cast<Work*>(&work));
  }
  /// Returns when everything handed over is done.
  void wait() const;

 private:
  friend class Buffer;
  explicit Device(int number);
  void launch_raw(Kernel kernel, std::int64_t grid_x, std::int64_t grid_y, std::int64_t shared_bytes, void* work);
  void enter() const;
  void check(int result, const char* what) const;

  int number_;
  std::string name_;
  std::int64_t shared_bytes_ = 0;
  void* context_ = nullptr;
  void* kernels_[2] = {};
};

/// Some of a GPU's memory. Not copied; freed with the object.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, std::int64_t bytes);
  /// Filled with what is given.
  template <typename T>
  Buffer(Device& device, std::span<const T> values) : Buffer(device, static_cast<std::int64_t>(values.size_bytes())) {
    write(0, values.data(), values.size_bytes());
  }
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  std::int64_t bytes() const { return bytes_; }
  Address address() const { return address_; }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(address_);
  }

  /// Copies from and to the CPU's memory; when they return it may be used anew.
  void write(std::int64_t offset, const void* from, std::size_t bytes);
  void read(std::int64_t offset, void* to, std::size_t bytes) const;
  void clear();

 private:
  Device* device_ = nullptr;
  Address address_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace outsole::match::gpu
