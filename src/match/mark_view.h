#pragma once
// The mark side of the search: what the mark looks like at one angle and one sub-cell offset.

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "match/pose_grid.h"

namespace outsole::match {

/// Features of the turned mark, cut to the bounding box of its eroded support. Without support cells the tensors are
/// empty.
struct MarkView {
  std::int64_t angle = 0;  // index into PoseGrid::angles_deg
  ViewOffset offset;
  std::int64_t origin_y = 0, origin_x = 0;  // cell of the canvas map at which the bounding box begins
  at::Tensor features;                      // [C, h, w] float32, contiguous
  at::Tensor support;                       // [h, w] bool, contiguous
  /// [shifts_y, shifts_x] bool: the shifts that are poses, among them all at which the frame cuts nothing of the
  /// support off; undefined: all.
  at::Tensor is_pose = {};
};

/// A canvas map [C, H, W] and its eroded support [H, W], cut to the support's bounding box.
MarkView make_mark_view(std::int64_t angle, const ViewOffset& offset, const at::Tensor& features,
                        const at::Tensor& support);

}  // namespace outsole::match
