#include "machine/large_tensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <vector>

namespace outsole::machine {
namespace {

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * getpagesize();
}

class LargeTensors : public ::testing::Test {
 protected:
  static constexpr std::int64_t kMiB = std::int64_t{1} << 20;
  static void SetUpTestSuite() { map_large_tensors(); }
};

TEST_F(LargeTensors, BeginWithAHugePageAndAreLikeAnyOther) {
  for (const std::int64_t floats : {kMiB / 2, kMiB / 2 + 1, 3 * kMiB + 77}) {
    at::Tensor tensor = at::empty({floats}, at::kFloat);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % (2 * kMiB), 0U);
    tensor.fill_(1);
    const at::Tensor copy = tensor.clone();
    tensor.resize_({2 * floats}).slice(0, floats).fill_(2);
    EXPECT_TRUE(tensor.slice(0, 0, floats).equal(copy));
    EXPECT_EQ(tensor.sum(at::kDouble).item<double>(), 3.0 * static_cast<double>(floats));
  }
}

TEST_F(LargeTensors, HoldWhatAConvolutionKeepsInItsOwnOrder) {
  // oneDNN asks the same allocator, for bare memory.
  const at::Tensor images = at::rand({2, 16, 150, 150}), kernels = at::rand({32, 16, 3, 3});
  const at::Tensor found = at::conv2d(images, kernels),
                   expected = at::conv2d(images.to(at::kDouble), kernels.to(at::kDouble));
  EXPECT_TRUE(found.to(at::kDouble).allclose(expected, 1e-4, 1e-4));
}

TEST_F(LargeTensors, GoBackToTheSystemAtOnce) {
  constexpr std::int64_t kTensors = 16, kBytes = 6 * kMiB;
  const std::int64_t before = resident_bytes();
  {
    std::vector<at::Tensor> tensors, small;
    for (std::int64_t i = 0; i < kTensors; ++i) {
      tensors.push_back(at::ones({kBytes}, at::kByte));
      small.push_back(at::ones({1000}, at::kByte));  // would keep a heap from shrinking
    }
    EXPECT_GE(resident_bytes() - before, kTensors * kBytes * 9 / 10);
    tensors.clear();
    EXPECT_LE(resident_bytes() - before, kBytes);
  }
}

TEST_F(LargeTensors, ThatTheSystemCannotHoldAreRefusedAsBefore) {
  EXPECT_THROW(at::empty({std::int64_t{1} << 50}, at::kByte), c10::Error);
}

}  // namespace
}  // namespace outsole::machine
