#include "core/out_of_memory.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "core/errors.h"

namespace outsole {
namespace {

TEST(OutOfMemory, IsToldFromBugsInWhateverWordsALibrarySaysIt) {
  EXPECT_EQ(out_of_memory(std::bad_alloc()), "out of memory");
  EXPECT_EQ(out_of_memory(std::bad_array_new_length()), "out of memory");
  const auto said = [](const char* words) { return out_of_memory(std::runtime_error(words)); };
  EXPECT_EQ(said("CUDA out of memory. Tried to allocate 2.00 GiB\nException raised from malloc\nframe #0"),
            "out of memory (CUDA out of memory. Tried to allocate 2.00 GiB)");
  EXPECT_TRUE(said("[enforce fail at alloc_cpu.cpp:66] . DefaultCPUAllocator: can't allocate memory: you tried to"));
  EXPECT_TRUE(said("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"));
  EXPECT_TRUE(said("OpenCV(4.6.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"));
  EXPECT_FALSE(said("CUDA error: an illegal memory access was encountered"));
  EXPECT_FALSE(out_of_memory(Bug("an index outside")));
}

}  // namespace
}  // namespace outsole
