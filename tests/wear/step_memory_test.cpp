// What a step is planned to hold in memory, against what LibTorch is asked for.

#include "wear/step_memory.h"

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "wear/loss.h"

namespace outsole::wear {
namespace {

struct CountedMemory : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, std::int64_t bytes, std::int64_t, std::int64_t, c10::Device) override {
    now += bytes;
    most = std::max(most, now);
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t now = 0, most = 0;
};

/// Bytes of a step at its fullest moment, of which some may never be touched.
std::int64_t counted_bytes(const StepWork& work, std::int64_t pairs) {
  WearNetwork network(work.network, 1);
  for (at::Tensor& parameter : network.parameters()) parameter.mutable_grad() = at::zeros_like(parameter);
  const auto counted = std::make_shared<CountedMemory>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counted);
  const std::vector<std::int64_t> sizes{pairs, 1, work.network.height_px, work.network.width_px};
  const at::Tensor grey = at::rand({2 * pairs, 1, sizes[2], sizes[3]}), known = at::ones_like(grey),
                   time = at::rand({pairs, 1});
  const auto loss_of = [&](const at::Tensor& predicted) {
    return training_loss(predicted, grey.chunk(2)[1], known.chunk(2)[1], 1e6, work.ssim_weight).lessened;
  };
  if (work.recomputes) {
    network.add_gradients_recomputing(grey.chunk(2)[0], time, nullptr, loss_of);
  } else {
    loss_of(network.forward(grey.chunk(2)[0], time)).backward();
  }
  return counted->most;
}

/// Of a pair more, so that what every step takes of the weights does not count.
double counted_pair_bytes(const StepWork& work) {
  return static_cast<double>(counted_bytes(work, 8) - counted_bytes(work, 4)) / 4;
}

TEST(StepMemory, OfAPairIsWhatLibTorchIsAskedFor) {
  for (const double ssim_weight : {0.0, 8.0}) {
    StepWork work{{Task::kPrediction, 256, 128, 16, 8, NetworkKind::kPaper, 32}, 1, ssim_weight, false};
    const double planned = static_cast<double>(pair_memory_bytes(work));
    EXPECT_NEAR(counted_pair_bytes(work) / planned, 1, 0.08) << "SSIM " << ssim_weight;
    // Of what recomputing takes, a layer's largest maps are asked for once more as a shape, and never touched.
    work.recomputes = true;
    const double recomputing = static_cast<double>(pair_memory_bytes(work));
    EXPECT_NEAR(counted_pair_bytes(work) / recomputing, 1.1, 0.18) << "SSIM " << ssim_weight;
    if (ssim_weight == 0) {
      EXPECT_LE(recomputing, 0.6 * planned);
    }
  }
}

TEST(StepMemory, FallsWithTheRowsOfASlab) {
  const auto bytes = [](std::int64_t ranks) {
    return static_cast<double>(pair_memory_bytes({{Task::kPrediction, 13750, 5500, 64, 8}, ranks}));
  };
  EXPECT_NEAR(bytes(2), bytes(1) / 2, 1e-3 * bytes(1));
  EXPECT_NEAR(bytes(7), bytes(1) * 62 / 430, 1e-3 * bytes(1));
}

TEST(StepMemory, BorderRowsAreThoseOfEveryLayerEitherWay) {
  // One row of 64 px, 32 maps of 32, ..., forwards and, but for the image, backwards; either way; 4 bytes a number.
  const StepWork work{{Task::kPrediction, 64, 64, 4, 8}, 2};
  const std::int64_t encoder = 64 + 2 * (32 * 32 + 16 * 64 + 8 * 128 + 4 * 256),
                     decoder = 2 * (2 * 520 + 4 * 256 + 8 * 128 + 16 * 64 + 32 * 32);
  EXPECT_EQ(halo_bytes(work), 2 * 4 * (encoder + decoder));
  EXPECT_EQ(halo_bytes({work.network, 1}), 0);
}

}  // namespace
}  // namespace outsole::wear
