#pragma once
// Where a mark is tried: every angle, and every translation of a grid. Sizes in pixels of the search scale.

#include <cstdint>
#include <vector>

namespace outsole::match {

/// The poses of one mark on one exemplar frame. The mark lies at the centre of a canvas of frame + pad pixels, in which
/// it is turned about its centre; the frame is laid on the canvas with its first pixel at (y, x), 0 <= y <= pad_y, 0 <=
/// x <= pad_x, in steps of stride_px. pad = frame - mark + 2 overhang: without overhang all of the unturned mark lies
/// on the frame. So the translations are the same for all angles, and what lies outside the frame loses support.
struct PoseGrid {
  std::vector<double> angles_deg;  // counter-clockwise
  std::int64_t stride_px = 2;
  std::int64_t frame_height_px = 0, frame_width_px = 0;
  std::int64_t mark_height_px = 0, mark_width_px = 0;  // not larger than the frame by more than the overhang
  std::int64_t overhang_y_px = 0, overhang_x_px = 0;   // of the mark, beyond either edge of the frame

  std::int64_t pad_y_px() const { return frame_height_px - mark_height_px + 2 * overhang_y_px; }
  std::int64_t pad_x_px() const { return frame_width_px - mark_width_px + 2 * overhang_x_px; }
  /// Where the unturned mark begins on the canvas.
  std::int64_t mark_top_px() const { return pad_y_px() - overhang_y_px; }
  std::int64_t mark_left_px() const { return pad_x_px() - overhang_x_px; }
  std::int64_t canvas_height_px() const { return frame_height_px + pad_y_px(); }
  std::int64_t canvas_width_px() const { return frame_width_px + pad_x_px(); }
  /// Number of poses.
  std::int64_t size() const;
};

/// A pose of the grid. Ordered by (angle, y, x): the earlier one wins a tie.
struct Pose {
  std::int32_t angle = 0;  // index into angles_deg
  std::int32_t y_px = 0;   // where on the canvas the frame's first pixel lies
  std::int32_t x_px = 0;
  auto operator<=>(const Pose&) const = default;
};

/// The translations that one feature map of the canvas serves: the map taken from canvas pixel (offset_y, offset_x) on,
/// moved by whole cells. Shift i along y is the pose y_px = offset_y_px + i * step_cells * stride of the extractor.
struct ViewOffset {
  std::int64_t offset_y_px = 0, offset_x_px = 0;
  std::int64_t shifts_y = 0, shifts_x = 0;
  std::int64_t step_cells = 1;
};

/// The maps of the canvas that together serve every translation, for an extractor with cells of cell_px pixels: with a
/// finer grid one for each sub-cell offset that exists, floor((pad - offset) / cell) + 1 shifts each. Throws UsageError
/// unless stride_px divides cell_px or is a multiple of it.
std::vector<ViewOffset> view_offsets(const PoseGrid& grid, std::int64_t cell_px);

}  // namespace outsole::match
