#include "match/support.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace outsole::match {

std::int64_t erosion_radius_cells(std::int64_t map_height, std::int64_t map_width, double fraction) {
  const auto short_side = static_cast<double>(std::min(map_height, map_width));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(fraction * short_side)));
}

namespace {

/// Of `length` cells along an axis, each one's first and last pixel at its centre: two pixels where that lies between
/// them.
std::vector<std::array<std::int64_t, 2>> central_pixels(std::int64_t length, std::int64_t stride_px,
                                                        std::int64_t first_center_half_px) {
  std::vector<std::array<std::int64_t, 2>> pixels;
  for (std::int64_t k = 0; k < length; ++k) {
    const std::int64_t center_half_px = first_center_half_px + 2 * k * stride_px;
    pixels.push_back({center_half_px >> 1, (center_half_px + 1) >> 1});
  }
  return pixels;
}

}  // namespace

at::Tensor support_on_cells(const at::Tensor& mask, std::int64_t map_height, std::int64_t map_width,
                            std::int64_t stride_px, std::int64_t first_center_half_px) {
  at::Tensor support = at::zeros({map_height, map_width}, at::kBool);
  const auto pixels = mask.accessor<bool, 2>();
  auto cells = support.accessor<bool, 2>();
  const auto rows = central_pixels(map_height, stride_px, first_center_half_px);
  const auto columns = central_pixels(map_width, stride_px, first_center_half_px);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const auto [top, bottom] = rows[k];
    if (top < 0 || bottom >= mask.size(0)) continue;
    for (std::size_t l = 0; l < columns.size(); ++l) {
      const auto [left, right] = columns[l];
      if (left < 0 || right >= mask.size(1)) continue;
      cells[k][l] = pixels[top][left] && pixels[top][right] && pixels[bottom][left] && pixels[bottom][right];
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
