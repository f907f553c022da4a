#pragma once
// A search the size of FID-300's: 73 x 34 maps of 256 channels, 11 angles, translations of 2 pixels; random features.

#include <ATen/ATen.h>

#include <vector>

#include "match/mcncc.h"

namespace outsole::benchmarks {

struct SearchProblem {
  match::PoseGrid grid;
  match::FrameCells frame = {67, 28, 3, 4};
  std::int64_t channels = 256;
  std::vector<match::MarkView> views;
  match::ChannelModel model;
  at::Tensor block;      // packed, kLanes exemplars
  at::Tensor exemplars;  // the same maps [kLanes, C, H, W]
};

/// A mark of this size at the search scale, its supports turned rectangles.
SearchProblem make_search_problem(std::int64_t mark_height_px, std::int64_t mark_width_px);

/// GFLOP/s of a 2048 x 2048 x 2048 32-bit matrix product on the threads at hand, best of `repeats`.
double sgemm_gflops(int repeats = 4);

double now_s();

}  // namespace outsole::benchmarks
