#pragma once
// How a mark lies in memory for the kernel. Internal to match/.

#include <cstdint>
#include <vector>

#include "match/channel_kernel.h"
#include "match/mcncc.h"

namespace outsole::match {

/// Exact support of one view as runs along columns of the group's box, and the statistics of x for every cut.
struct ViewLayout {
  std::vector<std::int32_t> run_column, run_begin, run_end;
  std::vector<float> inverse_count;    // [shifts_x][shifts_y]
  std::vector<std::int32_t> cut;       // [shifts_x][shifts_y]
  std::vector<float> x_mean, x_scale;  // [C][cuts]
  std::vector<double> x_rest;          // [cuts] sum_c x_scale * sum_P (x - x_mean); of what is pooled. Of a distance:
                                       // the mean of x^2 over P and all channels
  std::int64_t cuts = 0;
  ViewOffset offset;
};

/// Up to four views of one angle on a common box of cells.
struct GroupLayout {
  std::int64_t origin_y = 0, origin_x = 0;  // of the box, in canvas cells
  std::int64_t rows = 0, columns = 0, step = 1;
  bool paired = false;                             // neighbouring shifts share products; rows and columns are even
  std::int64_t stored_views = 1;                   // 1, 2 or 4
  std::vector<std::int32_t> hull_begin, hull_end;  // as ChannelWork wants them
  std::vector<float> x;                            // [C] x CellLayout
  std::vector<bool> channel_is_flat;               // [C]: every view, every cut; it need not be looked at
  std::vector<ViewLayout> views;
};

/// What the kernel does for a similarity.
inline Epilogue epilogue_of(const Similarity& similarity) {
  if (similarity.scaling == Scaling::kSigmaC) return Epilogue::kNcc;
  const bool pools =
      similarity.scaling == Scaling::kSigma || similarity.centring == Centring::kMu || similarity.is_distance;
  return pools ? Epilogue::kPooled : Epilogue::kProduct;
}

struct PreparedMark::Layout {
  FrameCells frame;
  std::int64_t margin = 0;  // stored cells at the frame's edge that are never support
  std::int64_t channels = 0;
  Similarity similarity;
  std::vector<float> flat_square;                // [C]
  double flat_energy = 0;                        // of all channels, for each cell
  std::vector<std::vector<GroupLayout>> angles;  // groups by angle
  std::vector<std::int32_t> angle_index;         // of PoseGrid
  double useful_flops = 0;
};

}  // namespace outsole::match
