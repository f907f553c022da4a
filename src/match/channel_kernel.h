#pragma once
// The innermost work of the search: one channel of one block against the views of one group, all translations.
// Plain pointers only: the implementation is compiled once for each instruction set.

#include <cstdint>

namespace outsole::match {

inline constexpr int kMaxGroupViews = 4;

/// One view of a group: the exact support as runs along columns, and where its scores go. Rows and columns are those of
/// the group's box.
struct ViewWindow {
  const std::int32_t* run_column;  // [runs], ascending
  const std::int32_t* run_begin;   // [runs] rows [begin, end)
  const std::int32_t* run_end;
  std::int32_t runs;
  std::int32_t shifts_y, shifts_x;
  const float* inverse_count;  // [shifts_x][shifts_y]: 1 / |P|; 0 where P is empty
  const std::int32_t* cut;     // [shifts_x][shifts_y]: index of the way the frame cuts the support
  const float* x_mean;         // [cuts] of this channel: mean of the stored x over P
  const float* x_scale;        // [cuts] w_c / sqrt(sum_P (x - mean)^2); 0 where x is flat
  float* scores;               // [shifts_x][shifts_y][kLanes], added to
};

/// The stored x of a group: [columns][rows_padded][views], zero outside of the support, with `padding` zero rows at
/// either end.
struct ChannelWork {
  const float* y;       // [map_width][map_height][kLanes]
  const float* prefix;  // [map_width][map_height + 1][2][kLanes]: sums of y and y^2 over the rows above
  std::int32_t map_height, map_width;
  std::int32_t row_begin, row_end, column_begin, column_end;  // cells of the map that may be support
  const float* x;
  std::int32_t views;  // 1, 2 or 4 (interleaved; three are stored as four), by shifts_x, falling
  std::int32_t columns, rows_padded, padding;
  const std::int32_t* hull_begin;  // [columns] rows [begin, end) that hold support of any view
  const std::int32_t* hull_end;
  const std::int32_t* single_runs;  // [columns][views][2] rows [begin, end), if no column has two runs; else null
  std::int32_t rows;                // of the box
  std::int32_t origin_y, origin_x;  // map cell under the box's first cell at shift 0
  std::int32_t step;                // cells between shifts
  float flat_square;                // a y whose variance over P is not above this is flat
  ViewWindow view[kMaxGroupViews];
};

/// An instruction set's implementation.
struct ChannelKernel {
  const char* name;
  /// Fills prefix from y; both as in ChannelWork.
  void (*sum_prefixes)(const float* y, std::int32_t map_width, std::int32_t map_height, float* prefix);
  /// Adds this channel's w_c NCC_c to the scores of every view and shift.
  void (*correlate)(const ChannelWork& work);
};

/// How many shifts along y a tile takes at most, and never more than there are; the padding of x must be (that - 1) *
/// step rows.
inline constexpr int kMaxTileShifts = 12;

extern const ChannelKernel kAvx512Kernel, kAvx2Kernel, kGenericKernel;

}  // namespace outsole::match
