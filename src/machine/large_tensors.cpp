#include "machine/large_tensors.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <unordered_map>

namespace outsole::machine {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t to_alignment(const void* address) {
  return (kHugePage - reinterpret_cast<std::uintptr_t>(address) % kHugePage) % kHugePage;
}

/// Pages that the system lends, by where they begin: at the beginning of a huge page.
class MappedPages {
 public:
  /// Null where there is no memory.
  void* map(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(getpagesize());
    bytes = (bytes + page - 1) / page * page;
    const std::size_t with_room = bytes + kHugePage;
    void* const mapped = mmap(nullptr, with_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    const std::size_t before = to_alignment(mapped);
    auto* const begin = static_cast<std::byte*>(mapped) + before;
    if (before > 0) munmap(mapped, before);
    if (before < kHugePage) munmap(begin + bytes, kHugePage - before);
    madvise(begin, bytes, MADV_HUGEPAGE);  // where huge pages are switched off, small ones do
    const std::scoped_lock lock(mutex_);
    bytes_of_[begin] = bytes;
    return begin;
  }

  /// False where none begin there.
  bool unmap(void* begin) {
    if (to_alignment(begin) != 0) return false;
    std::size_t bytes = 0;
    {
      const std::scoped_lock lock(mutex_);
      const auto found = bytes_of_.find(begin);
      if (found == bytes_of_.end()) return false;
      bytes = found->second;
      bytes_of_.erase(found);
    }
    munmap(begin, bytes);
    return true;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<void*, std::size_t> bytes_of_;
};

/// Never destroyed: tensors may be freed after everything else.
MappedPages& mapped_pages() {
  static auto* const pages = new MappedPages;
  return *pages;
}

void free_tensor(void* begin) {
  if (begin != nullptr && !mapped_pages().unmap(begin)) c10::GetDefaultCPUAllocator()->raw_deallocate(begin);
}

/// Without `override`: whether allocate is const, and whether there is copy_data, depends on LibTorch's version.
class LargeTensorAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) const {
    void* begin = bytes < kHugePage ? nullptr : mapped_pages().map(bytes);
    // Of what is too large for the system, it says what failed.
    if (begin == nullptr) begin = c10::GetDefaultCPUAllocator()->raw_allocate(bytes);
    return {begin, begin, &free_tensor, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DataPtr allocate(std::size_t bytes) { return static_cast<const LargeTensorAllocator*>(this)->allocate(bytes); }
  c10::DeleterFnPtr raw_deleter() const override { return &free_tensor; }
  void copy_data(void* to, const void* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
};

}  // namespace

void map_large_tensors() {
  static LargeTensorAllocator allocator;
  constexpr std::uint8_t kAboveDefault = 1;
  c10::SetCPUAllocator(&allocator, kAboveDefault);
}

}  // namespace outsole::machine
