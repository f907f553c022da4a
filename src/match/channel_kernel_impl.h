// The body of the channel kernel, included by one source per instruction set, which defines before:
//   Vector     a GCC vector of floats, kVectorLanes wide: the exemplars of a slice
//   kTileRows  sums kept in registers: views x shifts of a tile
//   reciprocal_sqrt(Vector)
//   larger(Vector, Vector)             of each lane
//   any_not_above(Vector a, Vector b)  whether !(a > b) for any lane
// Everything is in an unnamed namespace and calls no library function: code compiled for one instruction set must never
// be linked into another's callers.
//
// Roofline, in cycles for a pose, a channel and a slice of 16 exemplars, on a processor with one 512-bit multiply-add
// and one 64-byte load a cycle, and a store every other (Zen 4):
//   products      one multiply-add a cell, or 9/16 where shifts share them. A tile of 4 views x 6 shifts does 24 with 6
//                 loads of y and 4 of x: the multiply-adds bind. The sums of each of the nine terms are stored and
//                 loaded again: 27 cycles for 4 poses, 7
//   window sums   2 loads a run and shift, 4 for the first of the up to 12 shifts of a tile: 2.2 a run
//   score         about 16 operations on two units, a load and a store: 10
//   planes        fetching y, 2 stores of prefix sums and 9/4 of pairs a cell of the map: 8 a cell, once for all angles
//                 of a task
// The bound for n cells in r runs is then n / (multiplied + 7 + 2.2 r + 10 + planes) of the machine's peak; the hulls
// of views and pairs make `multiplied` more than n or 9/16 n. Counted for FID-300's frame and 11 angles, and reached,
// as useful multiply-adds (n a pose), of the peak of one thread (112 GFLOP/s; a 2048 x 2048 matrix product reaches
// 104):
//   mark px     cells   runs   multiplied   planes   bound   reached   bound by
//   241 x 121   1258    29     787          6        1.44    1.12      products
//   289 x 113   1392    30     1116         38       1.12    0.70      products: tiles of 4 sums, fewer than the loads
//   285 x 130   1576    28     1616         91       0.88    0.64      products: two to three shifts, none shared
//   150 x 100   600     24     416          1        1.23    0.98      products
//   90 x 40     69      7      55           3        0.76    0.49      products and the rest

#include "match/channel_kernel.h"

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

/// y with zeros outside of the cells that may be support.
void copy_support(const MapGeometry& map, const float* y, float* plane) {
  for (std::int32_t column = map.column_begin; column < map.column_end; ++column) {
    const float* from = y + (static_cast<std::int64_t>(column) * map.height + map.row_begin) * kLanes;
    float* to = plane + (column * map.plane_rows() + map.padding + map.row_begin) * kVectorLanes;
    for (std::int32_t row = map.row_begin; row < map.row_end; ++row, from += kLanes, to += kVectorLanes) {
      store(to, load(from));
    }
  }
}

// Shifts in pairs. Split the cells r of a column and the shifts s along it by parity, r = 2 k + a, s = 2 t + b, and
// call x_a[k] = x[2 k + a], y_j[n] = y[2 n + j]. The two correlations that a pair of shifts needs share a product
// (fast FIR, Winograd's F(2, 2)):
//   b = 0:  x_0 * y_0 + x_1 * y_1     =  (x_0 + x_1) * y_0  +   x_1 * (y_1 - y_0)
//   b = 1:  x_0 * y_-1 + x_1 * y_0    =  (x_0 + x_1) * y_0  +  -x_0 * (y_0 - y_-1)
// three products of half the length instead of four. The same along x, nested: nine of a quarter of the size instead of
// sixteen. The nine of y are prepared once a channel, those of x once a group.

/// Which of the three products along an axis: the one the pair shares, or the one of its first or second shift.
enum Part { kShared, kFirst, kSecond, kParts };

float* pair_plane(const MapGeometry& map, float* planes, int part_x, int part_y) {
  return planes + (part_x * kParts + part_y) * map.pair_plane_cells() * kVectorLanes;
}

/// y of the nine products, [Part along x][Part along y][pair_columns][pair_plane_rows].
void subtract_pairs(const MapGeometry& map, const float* y, float* planes) {
  for (std::int32_t m = 0; m < map.pair_columns(); ++m) {
    const std::int64_t begin = (m * map.pair_plane_rows() + kPairPadding) * kVectorLanes;
    Vector before[3] = {};  // the row before, of the columns 2 m - 1, 2 m, 2 m + 1
    for (std::int32_t n = 0; n < map.pair_rows(); ++n) {
      Vector here[3], after[3], along_y[3][kParts];
#pragma GCC unroll 3
      for (int c = 0; c < 3; ++c) {
        const std::int32_t column = 2 * m - 1 + c, row = 2 * n;
        const bool inside = column >= map.column_begin && column < map.column_end;
        const float* cell = y + (static_cast<std::int64_t>(column) * map.height + row) * kLanes;
        here[c] = inside && row >= map.row_begin && row < map.row_end ? load(cell) : Vector{};
        after[c] = inside && row + 1 >= map.row_begin && row + 1 < map.row_end ? load(cell + kLanes) : Vector{};
        along_y[c][kShared] = here[c];
        along_y[c][kFirst] = after[c] - here[c];
        along_y[c][kSecond] = here[c] - before[c];
        before[c] = after[c];
      }
#pragma GCC unroll 3
      for (int part = 0; part < kParts; ++part) {
        const std::int64_t offset = begin + n * kVectorLanes;
        store(pair_plane(map, planes, kShared, part) + offset, along_y[1][part]);
        store(pair_plane(map, planes, kFirst, part) + offset, along_y[2][part] - along_y[1][part]);
        store(pair_plane(map, planes, kSecond, part) + offset, along_y[1][part] - along_y[0][part]);
      }
    }
  }
}

void prepare(const MapGeometry& map, const float* y, float* plane, float* pair_planes, float* prefix) {
  sum_prefixes(map, y, prefix);
  if (plane != nullptr) copy_support(map, y, plane);
  if (pair_planes != nullptr) subtract_pairs(map, y, pair_planes);
}

// ---- Products ------------------------------------------------------------------------------------------------------

/// Sums of x * y over the cells of P, for each shift and view of a tile. `Ragged`: views 1 and 3 lack the last shift,
/// and their sums of it are not to be used.
template <int Views, int Shifts, bool Ragged>
struct Products {
  static constexpr bool has(int shift, int view) { return !Ragged || shift + 1 < Shifts || view % 2 == 0; }
  Vector sum[Shifts][Views];
};

// Loops, since GCC copies and clears whole structures by string instructions.
template <int Views, int Shifts, bool Ragged>
void copy(const Products<Views, Shifts, Ragged>& from, Products<Views, Shifts, Ragged>& to) {
#pragma GCC unroll 8
  for (int s = 0; s < Shifts; ++s) {
#pragma GCC unroll 4
    for (int v = 0; v < Views; ++v) to.sum[s][v] = from.sum[s][v];
  }
}

template <int Views, int Shifts, bool Ragged>
void add(const Products<Views, Shifts, Ragged>& a, const Products<Views, Shifts, Ragged>& b,
         Products<Views, Shifts, Ragged>& sum) {
#pragma GCC unroll 8
  for (int s = 0; s < Shifts; ++s) {
#pragma GCC unroll 4
    for (int v = 0; v < Views; ++v) sum.sum[s][v] = a.sum[s][v] + b.sum[s][v];
  }
}

/// One product of x with a plane of y, for a tile of shifts along y.
struct Term {
  const float* x;  // [columns][rows][stored_views]
  std::int32_t stored_views, columns, rows;
  const std::int32_t *hull_begin, *hull_end;  // [columns]
  const float* plane;                         // cell (0, 0)
  std::int64_t plane_rows;                    // from column to column
  // Cells of the plane outside of these are zero.
  std::int32_t row_begin, row_end, column_begin, column_end;
  std::int32_t first_row, first_column;  // cell of the plane at the box's first cell and the first shift
  std::int32_t step;                     // between shifts, upwards
  Ahead* ahead;
};

/// Adds the products of `rows` cells of a column of x. Inlined, so that the sums stay in registers from column to
/// column.
template <int Views, int Shifts, bool Ragged>
inline __attribute__((always_inline)) void multiply_column(const float* x, std::int64_t x_stride, const float* y,
                                                           std::int64_t y_step, std::int64_t rows,
                                                           Products<Views, Shifts, Ragged>& products) {
  const float* shifted[Shifts];
#pragma GCC unroll 8
  for (int s = 0; s < Shifts; ++s) shifted[s] = y - s * y_step;
  for (std::int64_t offset = 0; offset < rows * kVectorLanes; offset += kVectorLanes, x += x_stride) {
    if constexpr (Views < Shifts) {
      Vector factor[Views];
#pragma GCC unroll 4
      for (int v = 0; v < Views; ++v) factor[v] = broadcast(x[v]);
#pragma GCC unroll 8
      for (int s = 0; s < Shifts; ++s) {
        const Vector value = load(shifted[s] + offset);
#pragma GCC unroll 4
        for (int v = 0; v < Views; ++v) {
          if (products.has(s, v)) products.sum[s][v] += factor[v] * value;
        }
      }
    } else {
      Vector value[Shifts];
#pragma GCC unroll 8
      for (int s = 0; s < Shifts; ++s) value[s] = load(shifted[s] + offset);
#pragma GCC unroll 4
      for (int v = 0; v < Views; ++v) {
        const Vector factor = broadcast(x[v]);
#pragma GCC unroll 8
        for (int s = 0; s < Shifts; ++s) {
          if (products.has(s, v)) products.sum[s][v] += factor * value[s];
        }
      }
    }
  }
}

/// The products of a piece: of columns from `column` on, until there are enough, onto `before` (null: nothing). Returns
/// the column it has come to.
template <int Views, int Shifts, bool Ragged>
__attribute__((noinline)) int multiply_piece(const Term& term, int column, int last,
                                             const Products<Views, Shifts, Ragged>* before,
                                             Products<Views, Shifts, Ragged>& products) {
  const int row_begin = term.row_begin - term.first_row;
  const int row_end = term.row_end - term.first_row + (Shifts - 1) * term.step;
  Products<Views, Shifts, Ragged> piece = {};
  for (int cells = 0; column < last && cells < kCellsPerPiece; ++column) {
    const int begin = max(row_begin, term.hull_begin[column]), end = min(row_end, term.hull_end[column]);
    if (begin >= end) continue;
    term.ahead->fetch();
    const float* y =
        term.plane + ((term.first_column + column) * term.plane_rows + term.first_row + begin) * kVectorLanes;
    const float* x = term.x + (static_cast<std::int64_t>(column) * term.rows + begin) * term.stored_views;
    multiply_column(x, term.stored_views, y, term.step * kVectorLanes, end - begin, piece);
    cells += end - begin;
  }
  if (before == nullptr) {
    copy(piece, products);
  } else {
    add(piece, *before, products);
  }
  return column;
}

/// The products of a term, onto `before` (null: nothing), which may be `products` itself.
template <int Views, int Shifts, bool Ragged>
void multiply(const Term& term, const Products<Views, Shifts, Ragged>* before,
              Products<Views, Shifts, Ragged>& products) {
  const int last = min(term.columns, term.column_end - term.first_column);
  int column = max(0, term.column_begin - term.first_column);
  do {
    column = multiply_piece(term, column, last, before, products);
    before = &products;
  } while (column < last);
}

// ---- Window sums and scores ----------------------------------------------------------------------------------------

/// What the score needs to know of x over P, at one pose.
struct Statistics {
  float inverse_count, x_mean, x_scale;

  /// Whether this channel adds anything at all.
  template <Epilogue E>
  bool counts() const {
    return inverse_count != 0 && (E == Epilogue::kPooled || x_scale != 0);
  }
};

Statistics statistics_at(const ViewWindow& view, int shift_x, int shift_y) {
  const std::int64_t pose = static_cast<std::int64_t>(shift_x) * view.shifts_y + shift_y;
  return {view.inverse_count[pose], view.x_mean[view.cut[pose]], view.x_scale[view.cut[pose]]};
}

/// Calls visit(x, y) for every cell of a window.
template <typename Visit>
inline __attribute__((always_inline)) void for_each_cell_of_window(const ChannelWork& work, int view_index, int shift_x,
                                                                   int shift_y, Visit&& visit) {
  const MapGeometry& map = work.map;
  const ViewWindow& view = work.view[view_index];
  const CellLayout cell{work.rows, work.views, work.paired};
  const int row_offset = work.origin_y - shift_y * work.step;
  for (int run = 0; run < view.runs; ++run) {
    const int column = view.run_column[run], map_column = work.origin_x + column - shift_x * work.step;
    if (map_column < map.column_begin || map_column >= map.column_end) continue;
    const int begin = max(map.row_begin - row_offset, view.run_begin[run]);
    const int end = min(map.row_end - row_offset, view.run_end[run]);
    const float* y = work.y + (static_cast<std::int64_t>(map_column) * map.height + row_offset) * kLanes;
    for (int row = begin; row < end; ++row) {
      visit(work.x[cell(column, row, view_index)], load(y + static_cast<std::int64_t>(row) * kLanes));
    }
  }
}

/// The sums of a near-dead window, about its mean where energies are, in two passes over its cells.
void sum_directly(const ChannelWork& work, int view_index, int shift_x, int shift_y, const Statistics& at,
                  Vector& product, Vector& variance_sum) {
  const auto for_each_cell = [&](auto&& visit) { for_each_cell_of_window(work, view_index, shift_x, shift_y, visit); };
  Vector sum{};
  for_each_cell([&](float, Vector y) { sum += y; });
  const Vector mean = sum * (at.inverse_count * work.energy_centring);
  Vector rest{};  // what rounding of the mean leaves
  product = variance_sum = Vector{};
  for_each_cell([&](float x, Vector y) {
    const Vector centred = y - mean;
    rest += centred;
    product += centred * (x - at.x_mean);
    variance_sum += centred * centred;
  });
  variance_sum -= rest * rest * (at.inverse_count * work.energy_centring);
}

/// The sums of a channel that is pooled with others, anew from the cells of the window.
void sum_directly_pooled(const ChannelWork& work, int view_index, int shift_x, int shift_y, const Statistics& at,
                         Vector& product, Vector& energy, Vector& sum) {
  const auto for_each_cell = [&](auto&& visit) { for_each_cell_of_window(work, view_index, shift_x, shift_y, visit); };
  sum = Vector{};
  for_each_cell([&](float, Vector y) { sum += y; });
  const Vector centre = sum * (at.inverse_count * work.energy_centring);
  Vector rest{}, centred_product{}, x_sum{};
  energy = Vector{};
  for_each_cell([&](float x, Vector y) {
    const Vector centred = y - centre;
    rest += centred;
    x_sum += broadcast(x - at.x_mean);
    centred_product += centred * (x - at.x_mean);
    energy += centred * centred;
  });
  product = centred_product + centre * x_sum;
  energy -= rest * rest * (at.inverse_count * work.energy_centring);
}

/// Sums over the window of one shift. `reached`, what the sum of squares had come to on the way, says how much of it
/// rounding may have eaten.
struct WindowSums {
  Vector sum, squares, reached;
};

constexpr std::int64_t kPrefixRow = 2 * kVectorLanes;

/// Adds rows [begin, end) of the column whose prefix sums these are.
void add_run(const float* prefix, int begin, int end, WindowSums& sums) {
  const float *lower = prefix + begin * kPrefixRow, *upper = prefix + end * kPrefixRow;
  const Vector squares = load(upper + kVectorLanes);
  sums.sum += load(upper) - load(lower);
  sums.squares += squares - load(lower + kVectorLanes);
  sums.reached += squares;
}

/// Whether the frame cuts something off the window at one of the shifts [shift_y, shift_y + shifts).
bool frame_cuts(const ChannelWork& work, const ViewWindow& view, int shift_x, int shift_y, int shifts) {
  const MapGeometry& map = work.map;
  const int column = work.origin_x - shift_x * work.step;
  const int row = work.origin_y - shift_y * work.step, last_row = row - (shifts - 1) * work.step;
  return last_row + view.row_begin < map.row_begin || row + view.row_end > map.row_end ||
         column + view.column_begin < map.column_begin || column + view.column_end > map.column_end;
}

/// Sums anew the windows whose variance rounding may have eaten, and leaves product 0 over variance 1 where y is flat.
__attribute__((noinline)) void settle_doubtful(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                               const Statistics& at, Vector reached, Vector flat_sum, Vector& product,
                                               Vector& variance_sum) {
  const Vector limit = reached > flat_sum ? reached * kDoubtfulShare : broadcast(-__builtin_inff());
  if (any_not_above(variance_sum, limit)) {
    Vector exact_product, exact_variance_sum;
    sum_directly(work, view_index, shift_x, shift_y, at, exact_product, exact_variance_sum);
    product = variance_sum > limit ? product : exact_product;
    variance_sum = variance_sum > limit ? variance_sum : exact_variance_sum;
  }
  product = variance_sum > flat_sum ? product : Vector{};
  variance_sum = variance_sum > flat_sum ? variance_sum : broadcast(1);
}

/// Sums anew the windows of a pooled channel whose energy rounding may have eaten.
__attribute__((noinline)) void settle_doubtful_pooled(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                                      const Statistics& at, Vector limit, Vector& product,
                                                      Vector& energy, Vector& sum) {
  Vector exact_product, exact_energy, exact_sum;
  sum_directly_pooled(work, view_index, shift_x, shift_y, at, exact_product, exact_energy, exact_sum);
  product = energy > limit ? product : exact_product;
  sum = energy > limit ? sum : exact_sum;
  energy = energy > limit ? energy : exact_energy;
}

/// Adds the product, energy and sum of one view at one shift to what the channels before came to.
inline __attribute__((always_inline)) void add_pooled(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                                      const Statistics& at, const WindowSums& sums, Vector product) {
  product -= at.x_mean * sums.sum;
  Vector energy = sums.squares - sums.sum * sums.sum * (at.inverse_count * work.energy_centring), sum = sums.sum;
  const Vector limit = sums.reached * kDoubtfulShare;
  if (any_not_above(energy, limit)) [[unlikely]] {
    settle_doubtful_pooled(work, view_index, shift_x, shift_y, at, limit, product, energy, sum);
  }
  const ViewWindow& view = work.view[view_index];
  float* score = view.scores + (static_cast<std::int64_t>(shift_x) * view.shifts_y + shift_y) * kVectorLanes;
  float *energies = score + view.plane_floats, *y_sums = energies + view.plane_floats;
  store(score, load(score) + product * at.x_scale);
  store(energies, load(energies) + energy);
  store(y_sums, load(y_sums) + sum);
}

/// Weighs the product of one view at one shift, and adds it to its score.
inline __attribute__((always_inline)) void add_product(const ChannelWork& work, int view_index, int shift_x,
                                                       int shift_y, const Statistics& at, const WindowSums& sums,
                                                       Vector product) {
  const ViewWindow& view = work.view[view_index];
  float* score = view.scores + (static_cast<std::int64_t>(shift_x) * view.shifts_y + shift_y) * kVectorLanes;
  store(score, load(score) + (product - at.x_mean * sums.sum) * at.x_scale);
}

/// Normalizes the product of one view at one shift, weighs it, and adds it to its score.
inline __attribute__((always_inline)) void add_ncc(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                                   const Statistics& at, float flat_square_sum, const WindowSums& sums,
                                                   Vector product) {
  const Vector flat_sum = broadcast(flat_square_sum);
  product -= at.x_mean * sums.sum;
  Vector variance_sum = sums.squares - sums.sum * sums.sum * (at.inverse_count * work.energy_centring);
  if (any_not_above(variance_sum, larger(sums.reached * kDoubtfulShare, flat_sum))) [[unlikely]] {
    Vector settled_product = product, settled_variance_sum = variance_sum;  // so that the others stay in registers
    settle_doubtful(work, view_index, shift_x, shift_y, at, sums.reached, flat_sum, settled_product,
                    settled_variance_sum);
    product = settled_product;
    variance_sum = settled_variance_sum;
  }
  const ViewWindow& view = work.view[view_index];
  float* score = view.scores + (static_cast<std::int64_t>(shift_x) * view.shifts_y + shift_y) * kVectorLanes;
  store(score, load(score) + product * reciprocal_sqrt(variance_sum) * at.x_scale);
}

template <Epilogue E>
inline __attribute__((always_inline)) void add_score(const ChannelWork& work, int view_index, int shift_x, int shift_y,
                                                     const Statistics& at, float flat_square_sum,
                                                     const WindowSums& sums, Vector product) {
  if constexpr (E == Epilogue::kNcc) {
    add_ncc(work, view_index, shift_x, shift_y, at, flat_square_sum, sums, product);
  } else if constexpr (E == Epilogue::kProduct) {
    add_product(work, view_index, shift_x, shift_y, at, sums, product);
  } else {
    add_pooled(work, view_index, shift_x, shift_y, at, sums, product);
  }
}

/// The products of a view at neighbouring shifts, as they lie in a tile of any shape: so one piece of code makes scores
/// of all of them, and is compiled once.
struct ViewProducts {
  const Vector *even, *odd;  // of shifts 0 and 1
  std::int64_t stride;       // from pair of shifts to pair

  Vector operator()(int shift) const { return (shift % 2 == 0 ? even : odd)[shift / 2 * stride]; }
};

/// Scores of a view at the first `shifts` of `Shifts` shifts, one cell apart: the window of the first from prefix sums,
/// the others by the cells that each shift gains and loses. One look at a run serves all. `Cut`: the frame may cut off
/// some of a window; without, x has the same statistics at all shifts.
template <Epilogue E, int Shifts, bool Cut>
__attribute__((noinline)) void slide(const ChannelWork& work, int view_index, int shift_x, int shift_y, int shifts,
                                     const ViewProducts& product) {
  const ViewWindow& view = work.view[view_index];
  Statistics at = statistics_at(view, shift_x, shift_y);
  if (!Cut && !at.counts<E>()) return;
  const MapGeometry& map = work.map;
  const int first_column = work.origin_x - shift_x, first_row = work.origin_y - shift_y;
  WindowSums sums = {};
  Vector sum_change[Shifts] = {}, squares_change[Shifts] = {};
  for (int run = 0; run < view.runs; ++run) {
    const int column = first_column + view.run_column[run];
    const int begin = first_row + view.run_begin[run], end = first_row + view.run_end[run];
    if (Cut && (column < map.column_begin || column >= map.column_end)) continue;
    add_run(work.prefix + column * (map.height + 1) * kPrefixRow,
            Cut ? clamp(begin, map.row_begin, map.row_end) : begin, Cut ? clamp(end, map.row_begin, map.row_end) : end,
            sums);
    const float* y = work.y + static_cast<std::int64_t>(column) * map.height * kLanes;
    const auto row_or_zero = [&](int row) {
      return !Cut || (row >= map.row_begin && row < map.row_end) ? load(y + row * kLanes) : Vector{};
    };
#pragma GCC unroll 16
    for (int s = 1; s < Shifts; ++s) {
      const Vector gained = row_or_zero(begin - s), lost = row_or_zero(end - s), change = gained - lost;
      sum_change[s] += change;
      squares_change[s] += change * (gained + lost);
    }
  }
  float flat_square_sum = work.flat_square / at.inverse_count;
#pragma GCC unroll 16
  for (int s = 0; s < Shifts; ++s) {
    if (s == shifts) return;
    if (s > 0) {
      sums.sum += sum_change[s];
      sums.squares += squares_change[s];
      sums.reached = larger(sums.reached, sums.squares);
    }
    if (Cut) {
      at = statistics_at(view, shift_x, shift_y + s);
      if (!at.counts<E>()) continue;
      flat_square_sum = work.flat_square / at.inverse_count;
    }
    add_score<E>(work, view_index, shift_x, shift_y + s, at, flat_square_sum, sums, product(s));
  }
}

/// The score of a view at one shift.
template <Epilogue E>
void score_alone(const ChannelWork& work, int view_index, int shift_x, int shift_y, Vector product) {
  const ViewWindow& view = work.view[view_index];
  const Statistics at = statistics_at(view, shift_x, shift_y);
  if (!at.counts<E>()) return;
  const MapGeometry& map = work.map;
  const int first_column = work.origin_x - shift_x * work.step, first_row = work.origin_y - shift_y * work.step;
  WindowSums sums = {};
  for (int run = 0; run < view.runs; ++run) {
    const int column = first_column + view.run_column[run];
    if (column < map.column_begin || column >= map.column_end) continue;
    add_run(work.prefix + column * (map.height + 1) * kPrefixRow,
            clamp(first_row + view.run_begin[run], map.row_begin, map.row_end),
            clamp(first_row + view.run_end[run], map.row_begin, map.row_end), sums);
  }
  add_score<E>(work, view_index, shift_x, shift_y, at, work.flat_square / at.inverse_count, sums, product);
}

/// Makes scores of the products of a tile of `Shifts` shifts from shift_y on; those of the first view are given, the
/// others' lie behind them.
template <Epilogue E, int Shifts>
void add_scores(const ChannelWork& work, int views, int shift_x, int shift_y, const ViewProducts& products) {
  for (int v = 0; v < views; ++v) {
    const ViewWindow& view = work.view[v];
    if (shift_x >= view.shifts_x || shift_y >= view.shifts_y) continue;
    const int shifts = min(Shifts, view.shifts_y - shift_y);
    const ViewProducts product{products.even + v, products.odd + v, products.stride};
    if (work.step > 1) {
      for (int s = 0; s < shifts; ++s) score_alone<E>(work, v, shift_x, shift_y + s, product(s));
    } else if (frame_cuts(work, view, shift_x, shift_y, Shifts)) {
      slide<E, Shifts, true>(work, v, shift_x, shift_y, shifts, product);
    } else {
      slide<E, Shifts, false>(work, v, shift_x, shift_y, shifts, product);
    }
  }
}

// ---- Tiles ---------------------------------------------------------------------------------------------------------

/// `Shifts` shifts along y from `shift_y` on, at one shift along x.
template <Epilogue E, int Views, int Shifts, bool Ragged>
void correlate_tile(const ChannelWork& work, int shift_x, int shift_y) {
  const MapGeometry& map = work.map;
  const Term term{work.x,
                  work.views,
                  work.columns,
                  work.rows,
                  work.hull_begin,
                  work.hull_end,
                  work.plane + map.padding * kVectorLanes,
                  map.plane_rows(),
                  map.row_begin,
                  map.row_end,
                  map.column_begin,
                  map.column_end,
                  work.origin_y - shift_y * work.step,
                  work.origin_x - shift_x * work.step,
                  work.step,
                  work.ahead};
  Products<Views, Shifts, Ragged> products;
  multiply<Views, Shifts, Ragged>(term, nullptr, products);
  const Vector* first = products.sum[0];
  add_scores<E, Shifts>(work, Views, shift_x, shift_y, {first, first + Views, 2 * Views});
}

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

/// The pairs of cells of a plane along an axis that may hold other than zeros.
int pairs_begin(Part part, int begin) { return part == kFirst ? begin / 2 : (begin + 1) / 2; }
int pairs_end(Part part, int end) { return part == kSecond ? end / 2 + 1 : (end + 1) / 2; }

/// shift_x and shift_y are even.
Term pair_term(const ChannelWork& work, Part part_x, Part part_y, int shift_x, int shift_y) {
  const MapGeometry& map = work.map;
  const int columns = work.columns / 2, rows = work.rows / 2;
  return {work.pair_terms + (part_x * kParts + part_y) * static_cast<std::int64_t>(columns) * rows * work.views,
          work.views,
          columns,
          rows,
          work.hull_begin + part_x * columns,
          work.hull_end + part_x * columns,
          pair_plane(map, work.pair_planes, part_x, part_y) + kPairPadding * kVectorLanes,
          map.pair_plane_rows(),
          pairs_begin(part_y, map.row_begin),
          pairs_end(part_y, map.row_end),
          pairs_begin(part_x, map.column_begin),
          pairs_end(part_x, map.column_end),
          (work.origin_y - shift_y) / 2,
          (work.origin_x - shift_x) / 2,
          1,
          work.ahead};
}

/// `Shifts` pairs of shifts along y from `shift_y` on, at a pair of shifts along x.
template <Epilogue E, int Views, int Shifts>
void correlate_pair_tile(const ChannelWork& work, int shift_x, int shift_y) {
  using Tile = Products<Views, Shifts, false>;
  const auto products_of = [&](Part part_x, Part part_y, const Tile* before, Tile& products) {
    multiply(pair_term(work, part_x, part_y, shift_x, shift_y), before, products);
  };
  Tile shared, shared_along_x[2];
  products_of(kShared, kShared, nullptr, shared);
  products_of(kShared, kFirst, nullptr, shared_along_x[0]);
  products_of(kShared, kSecond, nullptr, shared_along_x[1]);
  for (int x = 0; x < 2; ++x) {
    const Part part_x = x == 0 ? kFirst : kSecond;
    Tile shared_along_y, products[2];
    products_of(part_x, kShared, &shared, shared_along_y);
    for (int y = 0; y < 2; ++y) {
      add(shared_along_x[y], shared_along_y, products[y]);
      products_of(part_x, y == 0 ? kFirst : kSecond, &products[y], products[y]);
    }
    add_scores<E, 2 * Shifts>(work, Views, shift_x + x, shift_y, {products[0].sum[0], products[1].sum[0], Views});
  }
}

/// Whether views 1 and 3 end before this shift along y.
template <int Views>
bool odd_views_lack(const ChannelWork& work, int shift_y) {
  bool lack = true;
  for (int v = 1; v < Views; v += 2) lack = lack && work.view[v].shifts_y <= shift_y;
  return lack;
}

/// Tiles of nearly equal size, none above kTileShifts, that make up `units` shifts (pairs of shifts, where paired).
template <Epilogue E, int Views, int Shifts = kTileShifts<Views>>
void correlate_units(const ChannelWork& work, int shift_x, int unit, int units) {
  constexpr int kMost = kTileShifts<Views>;
  while (unit < units) {
    const int tiles = (units - unit + kMost - 1) / kMost, size = (units - unit + tiles - 1) / tiles;
    if (size < Shifts) break;
    if (work.paired) {
      correlate_pair_tile<E, Views, Shifts>(work, shift_x, 2 * unit);
    } else if (Views > 1 && unit + Shifts == units && odd_views_lack<Views>(work, units - 1)) {
      correlate_tile<E, Views, Shifts, true>(work, shift_x, unit);
    } else {
      correlate_tile<E, Views, Shifts, false>(work, shift_x, unit);
    }
    unit += Shifts;
  }
  if constexpr (Shifts > 1) {
    if (unit < units) correlate_units<E, Views, Shifts - 1>(work, shift_x, unit, units);
  }
}

/// The first `Views` views at one shift, or pair of shifts, along x. Views are ordered by their shifts along x,
/// falling, so where only some have that shift, they are the first ones.
template <Epilogue E, int Views>
void correlate_views(const ChannelWork& work, int shift_x) {
  int active = 0, shifts_y = 0;
  for (int v = 0; v < Views && work.view[v].shifts_x > shift_x; ++v) {
    ++active;
    shifts_y = max(shifts_y, work.view[v].shifts_y);
  }
  if constexpr (Views > 1) {
    if (active <= Views / 2) return correlate_views<E, Views / 2>(work, shift_x);
  }
  correlate_units<E, Views>(work, shift_x, 0, work.paired ? (shifts_y + 1) / 2 : shifts_y);
}

template <Epilogue E>
void correlate(const ChannelWork& work) {
  if (work.paired) sum_pairs(work);
  for (int shift_x = 0; shift_x < work.view[0].shifts_x; shift_x += work.paired ? 2 : 1) {
    if (work.views == 1) {
      correlate_views<E, 1>(work, shift_x);
    } else if (work.views == 2) {
      correlate_views<E, 2>(work, shift_x);
    } else {
      correlate_views<E, kMaxGroupViews>(work, shift_x);
    }
  }
}

constexpr ChannelKernel this_kernel(const char* name) {
  return {name,
          kVectorLanes,
          prepare,
          {correlate<Epilogue::kNcc>, correlate<Epilogue::kProduct>, correlate<Epilogue::kPooled>}};
}

}  // namespace
}  // namespace outsole::match
