#pragma once
// A small search: a mark of random features, exemplars, and options for what is hard about them.

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/mcncc.h"

namespace outsole::match::testing {

/// A mark of 3 angles with random features and supports, and exemplars.
struct Problem {
  FrameCells frame = {21, 10, 2, 4};
  std::int64_t radius = 2;
  std::vector<MarkView> views;
  at::Tensor exemplars;  // [N, C, H, W], without border
  ChannelModel channels;

  std::vector<at::Tensor> blocks() const {
    std::vector<at::Tensor> blocks;
    for (const at::Tensor& maps : exemplars.split(kLanes)) {
      blocks.push_back(pack_block(maps, at::zeros({maps.size(1)}), 0));
    }
    return blocks;
  }
};

struct ProblemOptions {
  std::int64_t channels = 5, exemplars = 7, stride_px = 2, border = 2;
  std::int64_t mark_height_px = 49, mark_width_px = 31;
  bool has_holes = false;
};

inline Problem make_problem(const ProblemOptions& options) {
  at::manual_seed(1);
  Problem problem;
  problem.frame.border = options.border;
  const std::int64_t cell = problem.frame.cell_px;
  PoseGrid grid = {{0, 1, 2}, options.stride_px};
  grid.frame_height_px = (problem.frame.height + 2 * options.border) * cell;
  grid.frame_width_px = (problem.frame.width + 2 * options.border) * cell;
  grid.mark_height_px = options.mark_height_px;
  grid.mark_width_px = options.mark_width_px;
  for (std::int64_t angle = 0; angle < 3; ++angle) {
    for (const ViewOffset& offset : view_offsets(grid, cell)) {
      const std::int64_t height = (grid.canvas_height_px() - offset.offset_y_px) / cell;
      const std::int64_t width = (grid.canvas_width_px() - offset.offset_x_px) / cell;
      at::Tensor support = at::zeros({height, width}, at::kBool);
      // As a turned mark's, it reaches beyond the upright rectangle.
      support.slice(0, grid.pad_y_px() / cell - angle, (grid.pad_y_px() + grid.mark_height_px) / cell + angle)
          .slice(1, grid.pad_x_px() / cell + angle, (grid.pad_x_px() + grid.mark_width_px) / cell)
          .fill_(true);
      if (options.has_holes) support.logical_and_(at::rand({height, width}) > 0.3);
      problem.views.push_back(
          make_mark_view(angle, offset, at::relu(at::randn({options.channels, height, width})), support));
    }
  }
  problem.exemplars =
      at::relu(at::randn({options.exemplars, options.channels, problem.frame.height, problem.frame.width}));
  problem.channels = plain_channel_model(at::full({options.channels}, 0.5, at::kDouble));
  return problem;
}

}  // namespace outsole::match::testing
