#include "match/exemplar_block.h"

#include "core/errors.h"

namespace outsole::match {

at::Tensor pack_block(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells) {
  const std::int64_t height = maps.size(2) - 2 * border_cells, width = maps.size(3) - 2 * border_cells;
  ensure(height > 0 && width > 0, "a block holds no cell");
  at::Tensor block = at::zeros({maps.size(1), width, height, kLanes}, at::kFloat);
  pack_lanes(maps, white_response, border_cells, 0, block);
  return block;
}

void pack_lanes(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells,
                std::int64_t first_lane, at::Tensor block) {
  ensure(first_lane + maps.size(0) <= kLanes, "a block holds too many exemplars");
  const at::Tensor inner =
      maps.slice(2, border_cells, border_cells + block.size(2)).slice(3, border_cells, border_cells + block.size(1));
  at::Tensor lanes = block.slice(3, first_lane, first_lane + maps.size(0));
  at::sub_out(lanes, inner.permute({1, 3, 2, 0}), white_response.view({-1, 1, 1, 1}));
}

}  // namespace outsole::match
