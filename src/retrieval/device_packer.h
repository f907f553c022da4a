#pragma once
// Blocks of an index made on a GPU: images go there in 8 bit, their maps are packed there, and blocks come back, as
// they are stored, while the next one is made.

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <deque>
#include <optional>

#include "features/extractor.h"
#include "match/exemplar_block.h"

namespace outsole::retrieval {

class DevicePacker {
 public:
  /// Blocks that may be under way at once.
  static constexpr std::size_t kMostUnderWay = 2;

  /// How maps become blocks, as match::pack_lanes does it. Tensors may lie anywhere.
  struct Terms {
    at::Tensor white_response;  // [C], taken from the maps
    at::Tensor projection;      // [K, C] float32 that they are projected by; undefined: not
    std::int64_t border_cells = 0;
    at::ScalarType stored_as = at::kFloat;  // or kHalf, where larger values become the largest
  };

  /// The extractor, which must outlive it, is on that device already; so may be a CPU.
  DevicePacker(const features::Extractor& extractor, const Terms& terms, at::Device device);

  /// Starts the block of these images, [up to kLanes, H, W] uint8 of the host. Returns before it is done.
  void start(const at::Tensor& images);
  std::size_t under_way() const { return blocks_.size(); }

  /// Waits for the oldest block that was started, and copies it to `stored` [C or K, W, H, kLanes], of the type stored
  /// as. The sums of each channel, over whole maps or over what was projected, of which squares are finite or not.
  match::ChannelSums finish(const at::Tensor& stored);

 private:
  struct Block {
    at::Tensor maps, sums;  // of the host; sums [2, C or K] float64
    std::optional<c10::Event> arrived;
  };
  Block on_its_way(const at::Tensor& maps, const at::Tensor& sums) const;

  const features::Extractor& extractor_;
  Terms terms_;
  at::Device device_;
  std::optional<c10::Stream> copies_;  // of a GPU: blocks go back by it, beside the work on the next ones
  std::deque<Block> blocks_;
};

}  // namespace outsole::retrieval
