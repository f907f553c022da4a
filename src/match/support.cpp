#include "match/support.h"

#include <algorithm>
#include <cmath>

namespace outsole::match {

std::int64_t erosion_radius_cells(std::int64_t map_height, std::int64_t map_width, double fraction) {
  const auto short_side = static_cast<double>(std::min(map_height, map_width));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(fraction * short_side)));
}

at::Tensor support_on_cells(const at::Tensor& mask, std::int64_t map_height, std::int64_t map_width,
                            std::int64_t stride_px, std::int64_t first_center_px) {
  at::Tensor support = at::zeros({map_height, map_width}, at::kBool);
  const auto pixels = mask.accessor<bool, 2>();
  auto cells = support.accessor<bool, 2>();
  for (std::int64_t k = 0; k < map_height; ++k) {
    const std::int64_t y = first_center_px + k * stride_px;
    if (y >= mask.size(0)) break;
    for (std::int64_t l = 0; l < map_width; ++l) {
      const std::int64_t x = first_center_px + l * stride_px;
      if (x >= mask.size(1)) break;
      cells[k][l] = pixels[y][x];
    }
  }
  return support;
}

at::Tensor eroded(const at::Tensor& support, std::int64_t radius_cells) {
  const std::int64_t height = support.size(0), width = support.size(1);
  at::Tensor result = at::zeros({height, width}, at::kBool);
  const auto in = support.accessor<bool, 2>();
  auto out = result.accessor<bool, 2>();
  const auto survives = [&](std::int64_t y, std::int64_t x) {
    for (std::int64_t dy = -radius_cells; dy <= radius_cells; ++dy) {
      const auto reach =
          static_cast<std::int64_t>(std::sqrt(static_cast<double>(radius_cells * radius_cells - dy * dy)));
      for (std::int64_t dx = -reach; dx <= reach; ++dx) {
        if (!in[y + dy][x + dx]) return false;
      }
    }
    return true;
  };
  for (std::int64_t y = radius_cells; y < height - radius_cells; ++y) {
    for (std::int64_t x = radius_cells; x < width - radius_cells; ++x) out[y][x] = survives(y, x);
  }
  return result;
}

}  // namespace outsole::match
