#pragma once
// The search of mcncc.h on a GPU, in 16-bit products with 32-bit sums (ncc_kernel.h).

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <span>

#include "core/gpu.h"
#include "match/gpu/mark_layout.h"
#include "match/mcncc.h"

namespace outsole::match::gpu {

/// Whether the kernel knows a similarity: those that pool no channels before they scale.
bool knows(const Similarity& similarity);

/// A mark in a GPU's memory.
class GpuMark {
 public:
  /// `views`, `erosion_radius`, `channels` and `similarity` as for PreparedMark.
  GpuMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius, ChannelModel channels,
          const Similarity& similarity, const Gpu& gpu);

  double useful_flops_per_exemplar() const { return useful_flops_; }

 private:
  friend void search_blocks(const GpuMark&, std::span<const at::Tensor>, std::span<BestPose>, std::int64_t);

  const Gpu& gpu_;
  MarkArrays arrays_;
  GpuBuffer memory_;
  SearchWork work_;
  double useful_flops_;
};

/// Searches every exemplar of `blocks` (each [C, W, H, kLanes] float32, on the CPU or the GPU); best[b * kLanes + l] is
/// merged with the best pose of lane l of block b. Blocks stay in the GPU's memory, as they are and as halves, for as
/// long as their tensors live and `most_bytes` are enough (0: there is room): the next mark finds them there. An
/// exemplar with a NaN or an infinity in its maps has the score NaN.
void search_blocks(const GpuMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best,
                   std::int64_t most_bytes = 0);

}  // namespace outsole::match::gpu
