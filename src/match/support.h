#pragma once
// Support: the cells of a feature map at which a mark says something.

#include <ATen/ATen.h>

#include <cstdint>

namespace outsole::match {

/// Radius of the erosion: max(1, floor(fraction * short side of the exemplar map)), in cells.
std::int64_t erosion_radius_cells(std::int64_t map_height, std::int64_t map_width, double fraction);

/// A pixel mask [H, W] (bool) carried to the cells of a map [map_height, map_width]: a cell counts when the pixel at
/// its centre does, first_center_half_px + 2 k stride_px half pixels from the first; between pixels, when all around it
/// do. Pixels outside the mask do not count.
at::Tensor support_on_cells(const at::Tensor& mask, std::int64_t map_height, std::int64_t map_width,
                            std::int64_t stride_px, std::int64_t first_center_half_px);

/// Erosion of a bool map [H, W] by a disk {dy^2 + dx^2 <= radius^2}; outside the map counts as no support.
at::Tensor eroded(const at::Tensor& support, std::int64_t radius_cells);

}  // namespace outsole::match
