#include "match/exemplar_block.h"

#include "core/errors.h"

namespace outsole::match {

at::Tensor pack_block(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells) {
  const std::int64_t count = maps.size(0), height = maps.size(2) - 2 * border_cells,
                     width = maps.size(3) - 2 * border_cells;
  ensure(count <= kLanes && height > 0 && width > 0, "a block holds too many exemplars or no cell");
  at::Tensor block = at::zeros({maps.size(1), width, height, kLanes}, at::kFloat);
  const at::Tensor inner =
      maps.slice(2, border_cells, border_cells + height).slice(3, border_cells, border_cells + width);
  block.slice(3, 0, count).copy_((inner - white_response.view({1, -1, 1, 1})).permute({1, 3, 2, 0}));
  return block;
}

}  // namespace outsole::match
