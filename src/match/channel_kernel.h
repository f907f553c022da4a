#pragma once
// The innermost work of the search: one channel of a slice of a block's exemplars against the views of one group, all
// translations. Plain pointers only: the implementation is compiled once for each instruction set.

#include <cstdint>

#include "match/lanes.h"

namespace outsole::match {

inline constexpr int kMaxGroupViews = 4;

/// The shifts along y whose products are added up together, at most.
inline constexpr int kMaxTileShifts = 8;

/// Rows of zeros above and below each column of a plane of pairs.
inline constexpr std::int32_t kPairPadding = kMaxTileShifts - 1;

/// What a kernel makes of the sums of a channel over a window, P: what a similarity comes to, channel by channel.
enum class Epilogue {
  kNcc,      // score += product / sqrt(energy of y) * x_scale, 0 where y is flat
  kProduct,  // score += product * x_scale
  kPooled,   // the same, and beside it energies and sums of y are added up over the channels
};
inline constexpr int kEpilogues = 3;

/// Floats that a pose and exemplar take while channels are added up: its score; where pooled, energy and sum of y, too.
constexpr std::int64_t planes_of(Epilogue epilogue) { return epilogue == Epilogue::kPooled ? 3 : 1; }

/// The stored maps, and which of their cells may be support.
struct MapGeometry {
  std::int32_t height, width;
  std::int32_t row_begin, row_end, column_begin, column_end;
  std::int32_t padding;  // rows of zeros above and below each column of a plane; see plane_padding

  std::int64_t plane_rows() const { return height + 2 * padding; }
  /// Floats a plane takes for each exemplar: [width][plane_rows].
  std::int64_t plane_cells() const { return width * plane_rows(); }

  std::int32_t pair_rows() const { return height / 2 + 1; }
  std::int32_t pair_columns() const { return width / 2 + 1; }
  std::int64_t pair_plane_rows() const { return pair_rows() + 2 * kPairPadding; }
  /// Floats one of the nine planes of pairs takes for each exemplar: [pair_columns][pair_plane_rows].
  std::int64_t pair_plane_cells() const { return pair_columns() * pair_plane_rows(); }

  /// Floats the prefix sums take for each exemplar: [width][height + 1][2].
  std::int64_t prefix_cells() const { return static_cast<std::int64_t>(width) * (height + 1) * 2; }
};

/// How far beyond the frame a tile of single shifts reads, for views that move by `step` cells.
constexpr std::int32_t plane_padding(std::int32_t step) { return step * (kMaxTileShifts - 1); }

/// One view of a group: the exact support as runs along columns, and where its scores go. Rows and columns are those of
/// the group's box.
struct ViewWindow {
  const std::int32_t* run_column;  // [runs], ascending
  const std::int32_t* run_begin;   // [runs] rows [begin, end)
  const std::int32_t* run_end;
  std::int32_t runs;
  std::int32_t row_begin, row_end, column_begin, column_end;  // around all of them
  std::int32_t shifts_y, shifts_x;
  const float* inverse_count;  // [shifts_x][shifts_y]: 1 / |P|; 0 where P is empty
  const std::int32_t* cut;     // [shifts_x][shifts_y]: index of the way the frame cuts the support
  const float* x_mean;         // [cuts] of this channel: what is still subtracted from the stored x over P
  const float* x_scale;  // [cuts] factor of the product, such as w_c / sqrt(sum_P (x - mean)^2); 0: it adds nothing
  float* scores;         // [planes][shifts_x][shifts_y][ChannelKernel::lanes], added to; planes_of the epilogue
  std::int64_t plane_floats;  // from plane to plane
};

/// What is needed next, fetched from memory bit by bit while something else is computed.
struct Ahead {
  const float *next, *end;

  /// Two lines of a slice.
  void fetch() {
    for (int i = 0; i < 2 && next < end; ++i, next += kLanes) __builtin_prefetch(next, 0, 2);
  }
};

/// One channel of a group, and of a slice of a block: ChannelKernel::lanes exemplars.
struct ChannelWork {
  MapGeometry map;
  const float* y;  // of the block, from the slice's first exemplar on: [map_width][map_height][kLanes]
  // What ChannelKernel::prepare made of it; of plane and pair_planes only what `paired` says is used.
  const float* plane;
  float* pair_planes;
  const float* prefix;
  const float* x;      // see CellLayout; zero outside of the support
  std::int32_t views;  // 1, 2 or 4 (interleaved; three are stored as four), by shifts_x, falling
  std::int32_t columns, rows;
  bool paired;        // neighbouring shifts share products; columns and rows are even then
  float* pair_terms;  // scratch, 9/4 of the size of x, where paired
  // Rows [begin, end) that hold support of any view: [columns]; where paired, pairs of rows: [3][columns / 2], for both
  // columns of the pair together, for the second, and for the first.
  const std::int32_t *hull_begin, *hull_end;
  std::int32_t origin_y, origin_x;  // map cell under the box's first cell at shift 0; even where paired
  std::int32_t step;                // cells between shifts; 1 where paired
  Ahead* ahead;                     // the y of the work to come
  float flat_square;                // a y whose mean energy over P is not above this is flat (kNcc)
  float energy_centring;            // kNcc, kPooled: 1: energies of y are about its mean over P; 0: about zero
  ViewWindow view[kMaxGroupViews];
};

/// Where x of a group has a cell: [columns][rows][views]; where paired, the even rows of a column come before its odd
/// ones, so that all even rows can be added to all odd ones at once.
struct CellLayout {
  std::int64_t rows, views;
  bool paired;

  std::int64_t operator()(std::int64_t column, std::int64_t row, std::int64_t view) const {
    const std::int64_t place = paired ? row % 2 * (rows / 2) + row / 2 : row;
    return (column * rows + place) * views + view;
  }
};

/// An instruction set's implementation.
struct ChannelKernel {
  const char* name;
  std::int32_t lanes;  // exemplars of a slice; divides kLanes
  /// One channel of a slice, y as in ChannelWork ->
  /// plane [width][plane_rows][lanes]: y, zero outside of the cells that may be support, for groups that are not
  /// paired. pair_planes [9][pair_columns][pair_plane_rows][lanes]: y's part of the nine products of pairs. prefix
  /// [width][height + 1][2][lanes]: sums of y and y^2 over the rows above. plane or pair_planes may be null: nothing
  /// needs it. Their padding must be zero before, and is left so.
  void (*prepare)(const MapGeometry& map, const float* y, float* plane, float* pair_planes, float* prefix);
  /// By Epilogue: adds what this channel comes to, such as its w_c NCC_c, to the scores of every view and shift.
  void (*correlate[kEpilogues])(const ChannelWork& work);
};

extern const ChannelKernel kGenericKernel;

}  // namespace outsole::match
