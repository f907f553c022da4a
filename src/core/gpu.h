#pragma once
// GPUs, by their driver, which is loaded when it is asked for: a program built without any CUDA library, and with a
// LibTorch for CPUs, computes on a GPU wherever there is a driver. Kernels come as PTX; the driver compiles it (and
// keeps what it compiled, in ~/.nv/ComputeCache).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace outsole {

/// GPUs that the driver sees; 0 without a driver.
int gpu_count();

/// What the generation of a GPU can do: 80, 90. It is asked without taking any of the GPU's memory.
int gpu_capability(int number);

/// A kernel of a GPU, loaded.
struct GpuKernel {
  void* function = nullptr;
};

/// A grid of blocks of threads.
struct GpuGrid {
  std::int64_t x = 1, y = 1;      // blocks
  std::int64_t threads = 1;       // of a block
  std::int64_t shared_bytes = 0;  // of a block
};

/// One GPU. Work that is handed over runs in order, on the stream that LibTorch uses, too; any thread may hand it over.
/// What fails throws EnvironmentError naming the GPU.
class Gpu {
 public:
  /// GPU `number` of those the driver sees; the same object for all who ask.
  static Gpu& number(int number);

  /// "GPU 0 (NVIDIA H100 80GB HBM3)".
  const std::string& name() const { return name_; }
  /// On the bus: "0000:17:00.0". Two processes that see it by different numbers see the same address.
  const std::string& bus_address() const { return bus_address_; }
  /// Shared memory that a block may have.
  std::int64_t shared_bytes() const { return shared_bytes_; }

  struct Memory {
    std::int64_t free_bytes, total_bytes;
  };
  Memory memory() const;

  /// Compiles PTX, and finds kernels in it by their names.
  std::vector<GpuKernel> load(const char* ptx, const std::vector<std::string>& names) const;
  /// Starts a kernel that takes one argument, by value.
  template <typename Work>
  void launch(GpuKernel kernel, const GpuGrid& grid, const Work& work) const {
    launch_with(kernel, grid, const_cast<Work*>(&work));
  }
  /// Returns when everything handed over is done.
  void wait() const;

 private:
  friend class GpuBuffer;
  explicit Gpu(int number);
  void launch_with(GpuKernel kernel, const GpuGrid& grid, void* work) const;
  void enter() const;
  void check(int result, const char* what) const;

  std::string name_, bus_address_;
  std::int64_t shared_bytes_ = 0;
  void* context_ = nullptr;
};

/// Some of a GPU's memory, freed with the object.
class GpuBuffer {
 public:
  GpuBuffer() = default;
  /// Throws EnvironmentError when there is no room.
  GpuBuffer(const Gpu& gpu, std::int64_t bytes);
  /// Filled with what is given.
  template <typename T>
  GpuBuffer(const Gpu& gpu, std::span<const T> values)
      : GpuBuffer(gpu, static_cast<std::int64_t>(values.size_bytes())) {
    write(values.data(), values.size_bytes());
  }
  ~GpuBuffer();
  GpuBuffer(GpuBuffer&& other) noexcept { *this = std::move(other); }
  GpuBuffer& operator=(GpuBuffer&& other) noexcept;

  std::uint64_t address() const { return address_; }
  /// As kernels see it; the CPU cannot read there.
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(address_);
  }

  /// The first `bytes`, from and to the CPU's memory, which may be used anew when they return.
  void write(const void* from, std::size_t bytes);
  void read(void* to, std::size_t bytes) const;
  /// All zeros.
  void clear();

 private:
  const Gpu* gpu_ = nullptr;
  std::uint64_t address_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace outsole
