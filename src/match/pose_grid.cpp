#include "match/pose_grid.h"

#include <string>

#include "core/errors.h"

namespace outsole::match {

std::int64_t PoseGrid::size() const {
  const auto translations = (pad_y_px() / stride_px + 1) * (pad_x_px() / stride_px + 1);
  return static_cast<std::int64_t>(angles_deg.size()) * translations;
}

std::vector<ViewOffset> view_offsets(const PoseGrid& grid, std::int64_t cell_px) {
  ensure(grid.stride_px > 0 && grid.pad_y_px() >= 0 && grid.pad_x_px() >= 0, "a mark is larger than its frame");
  if (cell_px % grid.stride_px != 0 && grid.stride_px % cell_px != 0) {
    throw UsageError("`stride_px` " + std::to_string(grid.stride_px) + ": must divide the extractor's stride of " +
                     std::to_string(cell_px) + " pixels or be a multiple of it");
  }
  if (grid.stride_px >= cell_px) {
    return {
        {0, 0, grid.pad_y_px() / grid.stride_px + 1, grid.pad_x_px() / grid.stride_px + 1, grid.stride_px / cell_px}};
  }
  std::vector<ViewOffset> offsets;
  for (std::int64_t y = 0; y < cell_px && y <= grid.pad_y_px(); y += grid.stride_px) {
    for (std::int64_t x = 0; x < cell_px && x <= grid.pad_x_px(); x += grid.stride_px) {
      offsets.push_back({y, x, (grid.pad_y_px() - y) / cell_px + 1, (grid.pad_x_px() - x) / cell_px + 1, 1});
    }
  }
  return offsets;
}

}  // namespace outsole::match
