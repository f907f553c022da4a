#pragma once
// The exemplar side of the search: feature maps of kLanes exemplars, laid out for the kernel.

#include <ATen/ATen.h>

#include <cstdint>

#include "match/lanes.h"

namespace outsole::match {

/// Feature maps [n, C, H, W] float32 of up to kLanes exemplars -> [C, W, H, kLanes], without the outermost `border`
/// cells, minus white_response [C]: the NCC does not see a constant, and sums of squares keep their digits without it.
at::Tensor pack_block(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells);

/// Sums over whole maps, of each channel: [C] float64.
struct ChannelSums {
  at::Tensor sum, square_sum;
};

/// The same into the lanes from `first_lane` on of a block [C, W, H, kLanes] that is there already. Returns the sums
/// over the whole maps as they come, whose bits do not depend on the threads. One pass over the maps.
ChannelSums pack_lanes(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells,
                       std::int64_t first_lane, at::Tensor block);

}  // namespace outsole::match
