// The body of the channel kernel, included by one source per instruction set, which defines before:
//   kInstructions  the name
//   Vector         a GCC vector of floats, kVectorLanes wide
//   kTileVectors   vectors of exemplars in a tile; kTileVectors * kVectorLanes divides kLanes
//   kWindowVectors vectors of exemplars whose window sums are added up together; divides kTileVectors
//   kTileRows      products kept in registers for each vector: views x shifts of a tile (even)
//   reciprocal_sqrt(Vector)
// Everything is in an unnamed namespace and calls no library function: code compiled for one instruction set must never
// be linked into another's callers.
//
// Roofline. Per support cell and tile, kTileRows * kTileVectors multiply-adds need kTileVectors loads of y and
// kTileRows broadcasts of x from L1: 24 multiply-adds to 14 loads with AVX-512, 12 to 8 with AVX2, so at two of each a
// cycle the multiply-adds bind. y streams from L2 once for a tile, 128 bytes to 24 multiply-adds (12 cycles). The
// window sums cost 4 loads and 4 additions per run, vector and pose where the products cost one multiply-add per cell,
// and the normalization about 20 operations per pose: they bind when runs are shorter than about 16 cells.

#include "match/channel_kernel.h"
#include "match/lanes.h"

namespace outsole::match {
namespace {

constexpr int kTileLanes = kTileVectors * kVectorLanes;
static_assert(kLanes % kTileLanes == 0 && kTileRows % 2 == 0 && kTileRows <= kMaxTileShifts);

// Products of a long support are added up in pieces of about this many cells, so that rounding grows with the piece.
constexpr int kCellsPerPiece = 2048;

int clamp_index(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }
Vector broadcast(float value) { return value - Vector{}; }  // value + 0 would cost an addition: it turns -0 into 0

void sum_prefixes(const float* y, std::int32_t map_width, std::int32_t map_height, float* prefix) {
  for (std::int32_t column = 0; column < map_width; ++column) {
    const float* from = y + static_cast<std::int64_t>(column) * map_height * kLanes;
    float* to = prefix + static_cast<std::int64_t>(column) * (map_height + 1) * 2 * kLanes;
    for (std::int64_t lane = 0; lane < kLanes; lane += kVectorLanes) {
      Vector sum{}, squares{};
      for (std::int32_t row = 0; row <= map_height; ++row) {
        store(to + row * 2 * kLanes + lane, sum);
        store(to + row * 2 * kLanes + kLanes + lane, squares);
        if (row == map_height) break;
        const Vector value = load(from + row * kLanes + lane);
        sum += value;
        squares += value * value;
      }
    }
  }
}

/// products[v][s] = sum over the cells of P of x * y, for `Views` views from `first_view` on and `Shifts` shifts along
/// y from `shift_y` on, kTileLanes exemplars from `lane` on.
template <int StoredViews, int Views, int Shifts>
void multiply_tile(const ChannelWork& work, int first_view, int shift_x, int shift_y, int lane,
                   Vector (&products)[Views][Shifts][kTileVectors]) {
  Vector sums[Views][Shifts][kTileVectors] = {};
  for (auto& view : products) {
    for (auto& shift : view) {
      for (auto& product : shift) product = Vector{};
    }
  }
  const int first_row = work.origin_y - shift_y * work.step;  // map row under box row 0 at the tile's first shift
  const int last_row = first_row - (Shifts - 1) * work.step;  // and at its last
  constexpr std::int64_t x_row = StoredViews;
  const std::int64_t x_shift = work.step * x_row;
  int cells = 0;
  for (int column = 0; column < work.columns; ++column) {
    const int map_column = work.origin_x + column - shift_x * work.step;
    if (map_column < work.column_begin || map_column >= work.column_end) continue;
    const int begin =
        last_row + work.hull_begin[column] < work.row_begin ? work.row_begin : last_row + work.hull_begin[column];
    const int end = first_row + work.hull_end[column] > work.row_end ? work.row_end : first_row + work.hull_end[column];
    const float* y = work.y + (static_cast<std::int64_t>(map_column) * work.map_height + begin) * kLanes + lane;
    const float* x = work.x +
                     (static_cast<std::int64_t>(column) * work.rows_padded + work.padding + begin - first_row) * x_row +
                     first_view;
    for (int row = begin; row < end; ++row, y += kLanes, x += x_row) {
      Vector values[kTileVectors];
#pragma GCC unroll 8
      for (int n = 0; n < kTileVectors; ++n) values[n] = load(y + n * kVectorLanes);
#pragma GCC unroll 16
      for (int s = 0; s < Shifts; ++s) {
#pragma GCC unroll 4
        for (int v = 0; v < Views; ++v) {
          const Vector factor = broadcast(x[s * x_shift + v]);
#pragma GCC unroll 8
          for (int n = 0; n < kTileVectors; ++n) sums[v][s][n] += factor * values[n];
        }
      }
    }
    cells += end > begin ? end - begin : 0;
    if (cells >= kCellsPerPiece || column + 1 == work.columns) {
      cells = 0;
#pragma GCC unroll 4
      for (int v = 0; v < Views; ++v) {
#pragma GCC unroll 16
        for (int s = 0; s < Shifts; ++s) {
#pragma GCC unroll 8
          for (int n = 0; n < kTileVectors; ++n) {
            products[v][s][n] += sums[v][s][n];
            sums[v][s][n] = Vector{};
          }
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < Views; ++v) {
#pragma GCC unroll 16
    for (int s = 0; s < Shifts; ++s) {
#pragma GCC unroll 8
      for (int n = 0; n < kTileVectors; ++n) products[v][s][n] += sums[v][s][n];
    }
  }
}

/// The centred sums of a near-dead window in two passes over its cells, for one vector of exemplars.
void sum_directly(const ChannelWork& work, const ViewWindow& view, int view_index, int shift_x, int shift_y, int lane,
                  float inverse_count, float x_mean, Vector& product, Vector& variance_sum) {
  const int row_offset = work.origin_y - shift_y * work.step;
  const auto for_each_cell = [&](auto&& visit) {
    for (int run = 0; run < view.runs; ++run) {
      const int map_column = work.origin_x + view.run_column[run] - shift_x * work.step;
      if (map_column < work.column_begin || map_column >= work.column_end) continue;
      const int begin = clamp_index(row_offset + view.run_begin[run], work.row_begin, work.row_end);
      const int end = clamp_index(row_offset + view.run_end[run], work.row_begin, work.row_end);
      const float* y = work.y + (static_cast<std::int64_t>(map_column) * work.map_height + begin) * kLanes + lane;
      const float* x =
          work.x +
          (static_cast<std::int64_t>(view.run_column[run]) * work.rows_padded + work.padding + begin - row_offset) *
              work.views +
          view_index;
      for (int row = begin; row < end; ++row, y += kLanes, x += work.views) visit(*x, load(y));
    }
  };
  Vector sum{};
  for_each_cell([&](float, Vector y) { sum += y; });
  const Vector mean = sum * inverse_count;
  Vector rest{};  // what rounding of the mean leaves
  product = variance_sum = Vector{};
  for_each_cell([&](float x, Vector y) {
    const Vector centred = y - mean;
    rest += centred;
    product += centred * (x - x_mean);
    variance_sum += centred * centred;
  });
  variance_sum -= rest * rest * inverse_count;
}

bool any(decltype(Vector{} < Vector{}) mask) {
  int found = 0;
  for (int i = 0; i < kVectorLanes; ++i) found |= mask[i] != 0;
  return found != 0;
}

/// Sums over the windows of one shift, for kWindowVectors vectors of exemplars. `upper - lower` is the sum of squares;
/// `upper`, what the prefix sums had reached, says how much of it rounding may have eaten.
struct WindowSums {
  Vector sum[kWindowVectors], upper[kWindowVectors], lower[kWindowVectors];
};

void add_run(const float* begin, const float* end, WindowSums& sums) {
#pragma GCC unroll 4
  for (int n = 0; n < kWindowVectors; ++n) {
    sums.sum[n] += load(end + n * kVectorLanes) - load(begin + n * kVectorLanes);
    sums.upper[n] += load(end + kLanes + n * kVectorLanes);
    sums.lower[n] += load(begin + kLanes + n * kVectorLanes);
  }
}

/// Any support, anywhere on the frame.
WindowSums sum_window(const ChannelWork& work, const ViewWindow& view, int shift_x, int shift_y, int lane) {
  WindowSums sums = {};
  const std::int64_t column_stride = static_cast<std::int64_t>(work.map_height + 1) * 2 * kLanes;
  const int row_offset = work.origin_y - shift_y * work.step;
  for (int run = 0; run < view.runs; ++run) {
    const int map_column = work.origin_x + view.run_column[run] - shift_x * work.step;
    if (map_column < work.column_begin || map_column >= work.column_end) continue;
    const float* column = work.prefix + map_column * column_stride + lane;
    add_run(column + clamp_index(row_offset + view.run_begin[run], work.row_begin, work.row_end) * 2 * kLanes,
            column + clamp_index(row_offset + view.run_end[run], work.row_begin, work.row_end) * 2 * kLanes, sums);
  }
  return sums;
}

/// All views of a tile at once, where no column has two runs: their runs end within a cell of each other, so the prefix
/// sums come from L2 once for all of them. `Cut`: the frame may cut off rows.
template <int StoredViews, int Views, bool Cut>
void sum_windows(const ChannelWork& work, int first_view, int shift_x, int shift_y, int lane,
                 WindowSums (&result)[Views]) {
  WindowSums sums[Views] = {};
  const std::int64_t column_stride = static_cast<std::int64_t>(work.map_height + 1) * 2 * kLanes;
  const int first_column = work.origin_x - shift_x * work.step, row_offset = work.origin_y - shift_y * work.step;
  const int begin = clamp_index(work.column_begin - first_column, 0, work.columns);
  const int end = clamp_index(work.column_end - first_column, 0, work.columns);
  const std::int32_t* run = work.single_runs + 2 * (static_cast<std::int64_t>(begin) * StoredViews + first_view);
  const float* column = work.prefix + (first_column + begin) * column_stride + lane;
  for (int c = begin; c < end; ++c, column += column_stride, run += 2 * StoredViews) {
#pragma GCC unroll 4
    for (int v = 0; v < Views; ++v) {
      int first = row_offset + run[2 * v], last = row_offset + run[2 * v + 1];
      if constexpr (Cut) {
        first = clamp_index(first, work.row_begin, work.row_end);
        last = clamp_index(last, work.row_begin, work.row_end);
      }
      add_run(column + static_cast<std::int64_t>(first) * 2 * kLanes,
              column + static_cast<std::int64_t>(last) * 2 * kLanes, sums[v]);
    }
  }
  for (int v = 0; v < Views; ++v) result[v] = sums[v];
}

/// The sums of every view of a tile at one shift.
template <int StoredViews, int Views>
void sum_tile_windows(const ChannelWork& work, int first_view, int shift_x, int shift_y, int lane,
                      WindowSums (&sums)[Views]) {
  const int first_row = work.origin_y - shift_y * work.step;
  if (work.single_runs == nullptr) {
    for (int v = 0; v < Views; ++v) sums[v] = sum_window(work, work.view[first_view + v], shift_x, shift_y, lane);
  } else if (first_row >= work.row_begin && first_row + work.rows <= work.row_end) {
    sum_windows<StoredViews, Views, false>(work, first_view, shift_x, shift_y, lane, sums);
  } else {
    sum_windows<StoredViews, Views, true>(work, first_view, shift_x, shift_y, lane, sums);
  }
}

/// Normalizes the products of one view at one shift, weighs them, and adds them to its scores.
void add_scores(const ChannelWork& work, int view_index, int shift_x, int shift_y, int lane, const WindowSums& sums,
                const Vector* products) {
  const ViewWindow& view = work.view[view_index];
  const std::int64_t pose = static_cast<std::int64_t>(shift_x) * view.shifts_y + shift_y;
  const float inverse_count = view.inverse_count[pose];
  const float x_scale = view.x_scale[view.cut[pose]];
  if (inverse_count == 0 || x_scale == 0) return;
  const float x_mean = view.x_mean[view.cut[pose]];
  const Vector flat_sum = broadcast(work.flat_square / inverse_count);
#pragma GCC unroll 4
  for (int n = 0; n < kWindowVectors; ++n) {
    Vector product = products[n] - x_mean * sums.sum[n];
    Vector variance_sum = sums.upper[n] - sums.lower[n] - sums.sum[n] * sums.sum[n] * inverse_count;
    const auto near_dead = (variance_sum < sums.upper[n] * 1e-3f) & (sums.upper[n] > flat_sum);
    if (any(near_dead)) {
      Vector exact_product, exact_variance_sum;
      sum_directly(work, view, view_index, shift_x, shift_y, lane + n * kVectorLanes, inverse_count, x_mean,
                   exact_product, exact_variance_sum);
      product = near_dead ? exact_product : product;
      variance_sum = near_dead ? exact_variance_sum : variance_sum;
    }
    const Vector ncc = product * reciprocal_sqrt(variance_sum) * x_scale;
    float* score = view.scores + pose * kLanes + lane + n * kVectorLanes;
    store(score, load(score) + (variance_sum > flat_sum ? ncc : Vector{}));
  }
}

/// `Shifts` shifts along y from `tile_y` on, of `Views` views from `first_view` on, at one shift along x.
template <int StoredViews, int Views, int Shifts>
void correlate_tile(const ChannelWork& work, int first_view, int shift_x, int tile_y) {
  for (int lane = 0; lane < kLanes; lane += kTileLanes) {
    Vector products[Views][Shifts][kTileVectors];
    multiply_tile<StoredViews, Views, Shifts>(work, first_view, shift_x, tile_y, lane, products);
    for (int s = 0; s < Shifts; ++s) {
      const int shift_y = tile_y + s;
      for (int n = 0; n < kTileVectors; n += kWindowVectors) {
        WindowSums sums[Views];
        const int window_lane = lane + n * kVectorLanes;
        sum_tile_windows<StoredViews, Views>(work, first_view, shift_x, shift_y, window_lane, sums);
        for (int v = 0; v < Views; ++v) {
          const ViewWindow& view = work.view[first_view + v];
          if (shift_x >= view.shifts_x || shift_y >= view.shifts_y) continue;
          add_scores(work, first_view + v, shift_x, shift_y, window_lane, sums[v], products[v][s] + n);
        }
      }
    }
  }
}

/// All shifts along y from `tile_y` on: tiles of `Shifts`, then smaller ones for the rest.
template <int StoredViews, int Views, int Shifts>
void correlate_column(const ChannelWork& work, int first_view, int shift_x, int tile_y, int shifts_y) {
  for (; tile_y + Shifts <= shifts_y; tile_y += Shifts) {
    correlate_tile<StoredViews, Views, Shifts>(work, first_view, shift_x, tile_y);
  }
  if constexpr (Shifts > 1) {
    correlate_column<StoredViews, Views, (Shifts > 3 ? Shifts / 2 : Shifts - 1)>(work, first_view, shift_x, tile_y,
                                                                                 shifts_y);
  }
}

/// Views [first_view, first_view + Views) at one shift along x. Views are ordered by their shifts along x, falling, so
/// where only some have that shift, they are the first ones.
template <int StoredViews, int Views>
void correlate_views(const ChannelWork& work, int first_view, int shift_x) {
  int active = 0, shifts_y = 0;
  for (int v = first_view; v < first_view + Views && work.view[v].shifts_x > shift_x; ++v) {
    ++active;
    shifts_y = work.view[v].shifts_y > shifts_y ? work.view[v].shifts_y : shifts_y;
  }
  if (active == 0) return;
  if constexpr (Views > 1) {
    if (active <= Views / 2) return correlate_views<StoredViews, Views / 2>(work, first_view, shift_x);
  }
  correlate_column<StoredViews, Views, kTileRows / Views>(work, first_view, shift_x, 0, shifts_y);
}

template <int StoredViews>
void correlate_group(const ChannelWork& work) {
  constexpr int kTileViews = StoredViews <= 2 || kTileRows % StoredViews == 0 ? StoredViews : StoredViews / 2;
  for (int first = 0; first < StoredViews; first += kTileViews) {
    for (int shift_x = 0; shift_x < work.view[first].shifts_x; ++shift_x) {
      correlate_views<StoredViews, kTileViews>(work, first, shift_x);
    }
  }
}

void correlate(const ChannelWork& work) {
  if (work.views == 1) return correlate_group<1>(work);
  if (work.views == 2) return correlate_group<2>(work);
  correlate_group<kMaxGroupViews>(work);
}

}  // namespace
}  // namespace outsole::match
