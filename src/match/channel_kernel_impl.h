// The body of the channel kernel, included by one source per instruction set, which defines before:
//   Vector     a GCC vector of floats, kVectorLanes wide: the exemplars of a slice
//   kTileRows  sums kept in registers: views x shifts of a tile
//   reciprocal_sqrt(Vector)
//   larger(Vector, Vector)             of each lane
//   any_not_above(Vector a, Vector b)  whether !(a > b) for any lane
// Everything is in an unnamed namespace and calls no library function: code compiled for one instruction set must never
// be linked into another's callers.
//
// Roofline, in cycles for a pose, a channel and 16 exemplars, with AVX-512 (two vector operations and two loads a
// cycle):
//   products      one multiply-add a cell, or 9/16 where shifts share them: 1/2 or 9/32 a cell. A tile of 4 views x 6
//                 shifts does 24 with 6 loads of y and 4 of x: the multiply-adds bind. y comes from L2 once for a tile,
//                 64 bytes in 12 cycles.
//   window sums   4 loads and 4 additions a run: 2
//   score         about 16 operations: 8
//   planes        3 loads and 6 stores for each cell of the map, once for all angles of a task
// So, for n cells in r runs, the useful multiply-adds (n a pose) can reach n/2 / (9/32 n + 2 r + 8) of the machine's
// peak. Where the hull of the views and pairs is wider than the support, the products take more, as counted below for
// FID-300's frame and 11 angles. Reached: useful multiply-adds over those of a 2048 x 2048 matrix product on the same
// thread, which itself reached 0.55 to 0.65 of the peak (Xeon, AVX-512, a shared machine).
//   mark px     cells   runs   cells multiplied   bound by              bound   reached
//   241 x 121   1258    29     780                products              1.38    0.88
//   150 x 100   600     24     377                products              1.22    0.65 to 0.77
//   90 x 40     69      7      54                 products and the rest 0.70    0.34
//   285 x 130   1576    28     1950               products              0.76    0.41
// The largest marks have too few shifts to share products, and so few that a tile keeps 6 or 12 sums only, x is used a
// few times between its trips from memory, and a seventh of the time goes to preparing planes.

#include "match/channel_kernel.h"
#include "match/lanes.h"

namespace outsole::match {
namespace {

static_assert(kLanes % kVectorLanes == 0);

template <int Views>
constexpr int kTileShifts = kTileRows / Views < kMaxTileShifts ? kTileRows / Views : kMaxTileShifts;

// Products of a long support are added up in pieces of about this many cells, so that rounding grows with the piece.
constexpr int kCellsPerPiece = 2048;

// A sum of squares below this share of what the prefix sums had reached is summed anew.
constexpr float kDoubtfulShare = 1e-3f;

constexpr int min(int a, int b) { return a < b ? a : b; }
constexpr int max(int a, int b) { return a > b ? a : b; }
constexpr int clamp(int value, int low, int high) { return max(low, min(value, high)); }

Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }
Vector broadcast(float value) { return value - Vector{}; }  // value + 0 would cost an addition: it turns -0 into 0

// ---- The exemplars' side -------------------------------------------------------------------------------------------

void sum_prefixes(const MapGeometry& map, const float* y, float* prefix) {
  for (std::int32_t column = 0; column < map.width; ++column) {
    Vector sum{}, squares{};
    const auto put = [&] {
      store(prefix, sum);
      store(prefix + kVectorLanes, squares);
      prefix += 2 * kVectorLanes;
    };
    put();
    for (std::int32_t row = 0; row < map.height; ++row, y += kLanes) {
      const Vector value = load(y);
      sum += value;
      squares += value * value;
      put();
    }
  }
}

void copy_support(const MapGeometry& map, const float* y, float* plane) {
  for (std::int32_t column = map.column_begin; column < map.column_end; ++column) {
    const float* from = y + (static_cast<std::int64_t>(column) * map.height + map.row_begin) * kLanes;
    float* to = plane + (column * map.plane_rows() + map.padding + map.row_begin) * kVectorLanes;
    for (std::int32_t row = map.row_begin; row < map.row_end; ++row, from += kLanes, to += kVectorLanes) {
      store(to, load(from));
    }
  }
}

/// Differences of a plane along rows, along columns, and along both, in the three planes behind it.
void subtract_neighbours(const MapGeometry& map, float* plane) {
  const std::int64_t plane_floats = map.plane_cells() * kVectorLanes, column_floats = map.plane_rows() * kVectorLanes;
  for (std::int32_t column = map.column_begin; column <= map.column_end; ++column) {
    float* y = plane + column * column_floats + (map.padding + map.row_begin) * kVectorLanes;
    const bool first = column == map.column_begin;
    Vector above{}, above_before{};
    for (std::int32_t row = map.row_begin; row <= map.row_end; ++row, y += kVectorLanes) {
      const Vector here = load(y), before = first ? Vector{} : load(y - column_floats);
      store(y + plane_floats, here - above);
      store(y + 2 * plane_floats, here - before);
      store(y + 3 * plane_floats, (here - above) - (before - above_before));
      above = here;
      above_before = before;
    }
  }
}

void prepare(const MapGeometry& map, const float* y, std::int32_t lane, bool differences, float* planes,
             float* prefix) {
  sum_prefixes(map, y + lane, prefix);
  copy_support(map, y + lane, planes);
  if (differences) subtract_neighbours(map, planes);
}

// ---- Products ------------------------------------------------------------------------------------------------------

/// Sums of x * y over the cells of P, for each shift and view of a tile.
template <int Views, int Shifts>
struct Products {
  Vector sum[Shifts][Views];

  void operator+=(const Products& other) {
    for (int s = 0; s < Shifts; ++s) {
      for (int v = 0; v < Views; ++v) sum[s][v] += other.sum[s][v];
    }
  }
};

/// One product of x with a plane of y, for a tile of shifts along y.
struct Term {
  const float* x;  // [columns][rows][stored_views]
  std::int32_t stored_views, columns, rows;
  const std::int32_t *hull_begin, *hull_end;  // [columns]
  const float* plane;
  std::int32_t plane_columns_end, plane_rows_end;  // cells beyond are zero
  std::int32_t first_row, first_column;            // cell of the plane at the box's first cell and the first shift
  std::int32_t stride;                             // cells of the plane between neighbouring cells of x
  std::int32_t step;                               // and between shifts, upwards
};

/// Adds the products of `rows` cells of a column of x. Inlined, so that the sums stay in registers from column to
/// column.
template <int Views, int Shifts>
inline __attribute__((always_inline)) void multiply_column(const float* x, std::int64_t x_stride, const float* y,
                                                           std::int64_t y_stride, std::int64_t y_step,
                                                           std::int64_t rows, Products<Views, Shifts>& products) {
  const float* shifted[Shifts];
#pragma GCC unroll 8
  for (int s = 0; s < Shifts; ++s) shifted[s] = y - s * y_step;
  for (std::int64_t offset = 0; offset < rows * y_stride; offset += y_stride, x += x_stride) {
    if constexpr (Views < Shifts) {
      Vector factor[Views];
#pragma GCC unroll 4
      for (int v = 0; v < Views; ++v) factor[v] = broadcast(x[v]);
#pragma GCC unroll 8
      for (int s = 0; s < Shifts; ++s) {
        const Vector value = load(shifted[s] + offset);
#pragma GCC unroll 4
        for (int v = 0; v < Views; ++v) products.sum[s][v] += factor[v] * value;
      }
    } else {
      Vector value[Shifts];
#pragma GCC unroll 8
      for (int s = 0; s < Shifts; ++s) value[s] = load(shifted[s] + offset);
#pragma GCC unroll 4
      for (int v = 0; v < Views; ++v) {
        const Vector factor = broadcast(x[v]);
#pragma GCC unroll 8
        for (int s = 0; s < Shifts; ++s) products.sum[s][v] += factor * value[s];
      }
    }
  }
}

/// ceil(n / stride), stride 1 or 2, n of any sign.
int ceil_divided(int n, int stride) { return (n + stride - 1) >> (stride - 1); }

/// Adds the products of columns [column, last) to `products`, until there are enough for a piece. Returns the column it
/// has come to.
template <int Views, int Shifts>
__attribute__((noinline)) int multiply_piece(const MapGeometry& map, const Term& term, int column, int last,
                                             Products<Views, Shifts>& products) {
  const int row_begin = ceil_divided(map.row_begin - term.first_row, term.stride);
  const int row_end = ceil_divided(term.plane_rows_end - term.first_row + (Shifts - 1) * term.step, term.stride);
  Products<Views, Shifts> piece = {};
  for (int cells = 0; column < last && cells < kCellsPerPiece; ++column) {
    const int begin = max(row_begin, term.hull_begin[column]), end = min(row_end, term.hull_end[column]);
    if (begin >= end) continue;
    const float* y = term.plane + ((term.first_column + column * term.stride) * map.plane_rows() + map.padding +
                                   term.first_row + begin * term.stride) *
                                      kVectorLanes;
    const float* x = term.x + (static_cast<std::int64_t>(column) * term.rows + begin) * term.stored_views;
    multiply_column(x, term.stored_views, y, term.stride * kVectorLanes, term.step * kVectorLanes, end - begin, piece);
    cells += end - begin;
  }
  products += piece;
  return column;
}

/// Adds a term to `products`.
template <int Views, int Shifts>
void multiply(const MapGeometry& map, const Term& term, Products<Views, Shifts>& products) {
  const int last = min(term.columns, ceil_divided(term.plane_columns_end - term.first_column, term.stride));
  for (int column = max(0, ceil_divided(map.column_begin - term.first_column, term.stride)); column < last;) {
    column = multiply_piece(map, term, column, last, products);
  }
}

// ---- Window sums and scores ----------------------------------------------------------------------------------------

/// The centred sums of a near-dead window in two passes over its cells.
void sum_directly(const ChannelWork& work, const ViewWindow& view, int view_index, int shift_x, int shift_y,
                  float inverse_count, float x_mean, Vector& product, Vector& variance_sum) {
  const MapGeometry& map = work.map;
  const CellLayout cell{work.rows, work.views, work.paired};
  const int row_offset = work.origin_y - shift_y * work.step;
  const auto for_each_cell = [&](auto&& visit) {
    for (int run = 0; run < view.runs; ++run) {
      const int column = view.run_column[run], map_column = work.origin_x + column - shift_x * work.step;
      if (map_column < map.column_begin || map_column >= map.column_end) continue;
      const int begin = max(map.row_begin - row_offset, view.run_begin[run]);
      const int end = min(map.row_end - row_offset, view.run_end[run]);
      const float* y = work.planes + (map_column * map.plane_rows() + map.padding + row_offset) * kVectorLanes;
      for (int row = begin; row < end; ++row) {
        visit(work.x[cell(column, row, view_index)], load(y + static_cast<std::int64_t>(row) * kVectorLanes));
      }
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

/// Sums over the window of one shift. `upper - lower` is the sum of squares; `upper`, what the prefix sums had reached,
/// says how much of it rounding may have eaten.
struct WindowSums {
  Vector sum, upper, lower;
};

constexpr std::int64_t kPrefixRow = 2 * kVectorLanes;

void add_run(const float* begin, const float* end, WindowSums& sums) {
  sums.sum += load(end) - load(begin);
  sums.upper += load(end + kVectorLanes);
  sums.lower += load(begin + kVectorLanes);
}

bool frame_cuts(const ChannelWork& work, const ViewWindow& view, int shift_x, int shift_y) {
  const MapGeometry& map = work.map;
  const int row = work.origin_y - shift_y * work.step, column = work.origin_x - shift_x * work.step;
  return row + view.row_begin < map.row_begin || row + view.row_end > map.row_end ||
         column + view.column_begin < map.column_begin || column + view.column_end > map.column_end;
}

/// Shifts shift_y + s * stride of a view; one look at a run serves all. `Cut`: the frame may cut off some of the
/// window.
template <int Shifts, bool Cut>
void sum_windows(const ChannelWork& work, const ViewWindow& view, int shift_x, int shift_y, int stride,
                 WindowSums (&result)[Shifts]) {
  const MapGeometry& map = work.map;
  const int first_column = work.origin_x - shift_x * work.step, first_row = work.origin_y - shift_y * work.step;
  const int step = stride * work.step;
  WindowSums sums[Shifts] = {};
  for (int run = 0; run < view.runs; ++run) {
    const int column = first_column + view.run_column[run];
    const int begin = first_row + view.run_begin[run], end = first_row + view.run_end[run];
    if (Cut && (column < map.column_begin || column >= map.column_end)) continue;
    const float* prefix = work.prefix + column * (map.height + 1) * kPrefixRow;
#pragma GCC unroll 8
    for (int s = 0; s < Shifts; ++s) {
      const int first = Cut ? clamp(begin - s * step, map.row_begin, map.row_end) : begin - s * step;
      const int last = Cut ? clamp(end - s * step, map.row_begin, map.row_end) : end - s * step;
      add_run(prefix + first * kPrefixRow, prefix + last * kPrefixRow, sums[s]);
    }
  }
#pragma GCC unroll 8
  for (int s = 0; s < Shifts; ++s) result[s] = sums[s];
}

/// Sums anew the windows whose variance rounding may have eaten, and leaves product 0 over variance 1 where y is flat.
__attribute__((noinline)) void settle_doubtful(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                               float inverse_count, float x_mean, Vector upper, Vector flat_sum,
                                               Vector& product, Vector& variance_sum) {
  const Vector limit = upper > flat_sum ? upper * kDoubtfulShare : broadcast(-__builtin_inff());
  if (any_not_above(variance_sum, limit)) {
    Vector exact_product, exact_variance_sum;
    sum_directly(work, work.view[view_index], view_index, shift_x, shift_y, inverse_count, x_mean, exact_product,
                 exact_variance_sum);
    product = variance_sum > limit ? product : exact_product;
    variance_sum = variance_sum > limit ? variance_sum : exact_variance_sum;
  }
  product = variance_sum > flat_sum ? product : Vector{};
  variance_sum = variance_sum > flat_sum ? variance_sum : broadcast(1);
}

/// Normalizes the product of one view at one shift, weighs it, and adds it to its score.
inline __attribute__((always_inline)) void add_score(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                                     const WindowSums& sums, Vector product) {
  const ViewWindow& view = work.view[view_index];
  const std::int64_t pose = static_cast<std::int64_t>(shift_x) * view.shifts_y + shift_y;
  const float inverse_count = view.inverse_count[pose];
  const float x_scale = view.x_scale[view.cut[pose]];
  if (inverse_count == 0 || x_scale == 0) return;
  const float x_mean = view.x_mean[view.cut[pose]];
  const Vector flat_sum = broadcast(work.flat_square / inverse_count);
  product -= x_mean * sums.sum;
  Vector variance_sum = sums.upper - sums.lower - sums.sum * sums.sum * inverse_count;
  if (any_not_above(variance_sum, larger(sums.upper * kDoubtfulShare, flat_sum))) [[unlikely]] {
    settle_doubtful(work, view_index, shift_x, shift_y, inverse_count, x_mean, sums.upper, flat_sum, product,
                    variance_sum);
  }
  float* score = view.scores + pose * kLanes + work.lane;
  store(score, load(score) + product * reciprocal_sqrt(variance_sum) * x_scale);
}

// ---- Tiles ---------------------------------------------------------------------------------------------------------

/// Normalizes the products of a tile: shift s of it is shift_y + s * stride.
template <int Views, int Shifts>
void add_scores(const ChannelWork& work, int shift_x, int shift_y, int stride,
                const Products<Views, Shifts>& products) {
  for (int v = 0; v < Views; ++v) {
    const ViewWindow& view = work.view[v];
    if (shift_x >= view.shifts_x || shift_y >= view.shifts_y) continue;
    const int shifts = min(Shifts, (view.shifts_y - shift_y + stride - 1) / stride);
    WindowSums sums[Shifts];
    if (frame_cuts(work, view, shift_x, shift_y) || frame_cuts(work, view, shift_x, shift_y + (Shifts - 1) * stride)) {
      sum_windows<Shifts, true>(work, view, shift_x, shift_y, stride, sums);
    } else {
      sum_windows<Shifts, false>(work, view, shift_x, shift_y, stride, sums);
    }
    for (int s = 0; s < shifts; ++s) {
      add_score(work, v, shift_x, shift_y + s * stride, sums[s], products.sum[s][v]);
    }
  }
}

/// `Shifts` shifts along y from `shift_y` on, at one shift along x.
template <int Views, int Shifts>
void correlate_tile(const ChannelWork& work, int shift_x, int shift_y) {
  const Term term{work.x,
                  work.views,
                  work.columns,
                  work.rows,
                  work.hull_begin,
                  work.hull_end,
                  work.planes,
                  work.map.column_end,
                  work.map.row_end,
                  work.origin_y - shift_y * work.step,
                  work.origin_x - shift_x * work.step,
                  1,
                  work.step};
  Products<Views, Shifts> products = {};
  multiply(work.map, term, products);
  add_scores(work, shift_x, shift_y, 1, products);
}

// Shifts in pairs. Split the cells r of a column and the shifts s along it by parity, r = 2 k + a, s = 2 t + b, and
// call x_a[k] = x[2 k + a], y_j[n] = y[2 n + j]. The two correlations that a pair of shifts needs share a product
// (fast FIR, Winograd's F(2, 2)):
//   b = 0:  x_0 * y_0 + x_1 * y_1     =  (x_0 + x_1) * y_0  +   x_1 * (y_1 - y_0)
//   b = 1:  x_0 * y_-1 + x_1 * y_0    =  (x_0 + x_1) * y_0  +  -x_0 * (y_0 - y_-1)
// three products of half the length instead of four. The same along x, nested: nine of a quarter of the size instead of
// sixteen. The differences of y are prepared once a channel, the sums of x once a group.

/// Which of the three products along an axis: the one the pair shares, or the one of its first or second shift.
enum Part { kShared, kFirst, kSecond, kParts };

/// x of the nine products, [Part along x][Part along y][columns / 2][rows / 2][views].
void sum_pairs(const ChannelWork& work) {
  const std::int64_t pairs = work.rows / 2 * work.views;  // numbers in half a column
  const std::int64_t size = work.columns / 2 * pairs;
  for (int column = 0; column < work.columns; column += 2) {
    const float* __restrict x = work.x + column * 2 * pairs;
    float* __restrict terms = work.pair_terms + column / 2 * pairs;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < pairs; ++i) {
      const float x00 = x[i], x01 = x[pairs + i], x10 = x[2 * pairs + i], x11 = x[3 * pairs + i];  // column, row
      const float row0 = x00 + x10, row1 = x01 + x11;
      float* term = terms + i;
      term[0] = row0 + row1;
      term[size] = row1;
      term[2 * size] = -row0;
      term[3 * size] = x10 + x11;
      term[4 * size] = x11;
      term[5 * size] = -x10;
      term[6 * size] = -(x00 + x01);
      term[7 * size] = -x01;
      term[8 * size] = x00;
    }
  }
}

Term pair_term(const ChannelWork& work, Part part_x, Part part_y, int shift_x, int shift_y) {
  const int columns = work.columns / 2, rows = work.rows / 2;
  const bool column_difference = part_x != kShared, row_difference = part_y != kShared;
  return {work.pair_terms + (part_x * kParts + part_y) * static_cast<std::int64_t>(columns) * rows * work.views,
          work.views,
          columns,
          rows,
          work.hull_begin + part_x * columns,
          work.hull_end + part_x * columns,
          work.planes + (2 * column_difference + row_difference) * work.map.plane_cells() * kVectorLanes,
          work.map.column_end + column_difference,
          work.map.row_end + row_difference,
          work.origin_y - shift_y + (part_y == kFirst),
          work.origin_x - shift_x + (part_x == kFirst),
          2,
          2};
}

/// `Shifts` pairs of shifts along y from `shift_y` on, at a pair of shifts along x.
template <int Views, int Shifts>
void correlate_pair_tile(const ChannelWork& work, int shift_x, int shift_y) {
  const auto add = [&](Part part_x, Part part_y, Products<Views, Shifts>& products) {
    multiply(work.map, pair_term(work, part_x, part_y, shift_x, shift_y), products);
  };
  Products<Views, Shifts> shared = {}, shared_along_x[2] = {};
  add(kShared, kShared, shared);
  add(kShared, kFirst, shared_along_x[0]);
  add(kShared, kSecond, shared_along_x[1]);
  for (int x = 0; x < 2; ++x) {
    const Part part_x = x == 0 ? kFirst : kSecond;
    Products<Views, Shifts> shared_along_y = shared;
    add(part_x, kShared, shared_along_y);
    for (int y = 0; y < 2; ++y) {
      Products<Views, Shifts> products = shared_along_x[y];
      products += shared_along_y;
      add(part_x, y == 0 ? kFirst : kSecond, products);
      add_scores(work, shift_x + x, shift_y + y, 2, products);
    }
  }
}

/// Tiles of nearly equal size, none above kTileShifts, that make up `units` shifts (pairs of shifts, where paired).
template <int Views, int Shifts = kTileShifts<Views>>
void correlate_units(const ChannelWork& work, int shift_x, int unit, int units) {
  constexpr int kMost = kTileShifts<Views>;
  while (unit < units) {
    const int tiles = (units - unit + kMost - 1) / kMost, size = (units - unit + tiles - 1) / tiles;
    if (size < Shifts) break;
    if (work.paired) {
      correlate_pair_tile<Views, Shifts>(work, shift_x, 2 * unit);
    } else {
      correlate_tile<Views, Shifts>(work, shift_x, unit);
    }
    unit += Shifts;
  }
  if constexpr (Shifts > 1) {
    if (unit < units) correlate_units<Views, Shifts - 1>(work, shift_x, unit, units);
  }
}

/// The first `Views` views at one shift, or pair of shifts, along x. Views are ordered by their shifts along x,
/// falling, so where only some have that shift, they are the first ones.
template <int Views>
void correlate_views(const ChannelWork& work, int shift_x) {
  int active = 0, shifts_y = 0;
  for (int v = 0; v < Views && work.view[v].shifts_x > shift_x; ++v) {
    ++active;
    shifts_y = max(shifts_y, work.view[v].shifts_y);
  }
  if constexpr (Views > 1) {
    if (active <= Views / 2) return correlate_views<Views / 2>(work, shift_x);
  }
  correlate_units<Views>(work, shift_x, 0, work.paired ? (shifts_y + 1) / 2 : shifts_y);
}

void correlate(const ChannelWork& work) {
  if (work.paired) sum_pairs(work);
  for (int shift_x = 0; shift_x < work.view[0].shifts_x; shift_x += work.paired ? 2 : 1) {
    if (work.views == 1) {
      correlate_views<1>(work, shift_x);
    } else if (work.views == 2) {
      correlate_views<2>(work, shift_x);
    } else {
      correlate_views<kMaxGroupViews>(work, shift_x);
    }
  }
}

}  // namespace
}  // namespace outsole::match
