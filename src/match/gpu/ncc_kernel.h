#pragma once
// The search on a GPU: the scores of mcncc.h, 16 exemplars x 16 views x 32 shifts a block.
//
// A product on the tensor cores adds up 16 cells: of 16 exemplars (its rows) and 8 views (its columns), at one shift.
//
//   y    [16 exemplars x 16 cells]   from shared memory, where a channel's cells lie one after another, so that a shift
//                                    is an offset
//   x    [16 cells x 8 views]        twice, for 16 views
//
// Views of neighbouring angles cover nearly the same cells. A group of 16 has one list of cells, in chunks of 16: core
// chunks of cells where all 16 views have support, and edge chunks where some have. Sums of y and y^2 over windows are
// products, too: in the core with ones, once for all views, at the edge with the views' supports.
//
//            products a chunk and shift      x y    y    y^2
//            core                             2     1     1
//            edge                             2     2     2
//
// Channels follow one another; each is normalized in registers and added to the scores, which never leave them. While a
// band of columns of one channel is worked on, the next ones come to shared memory.
//
// y is rounded to halves once, and what is rounded is searched: sums, squares and products of other exemplars by 2^-12,
// but of the same ones. Windows whose variance is lost in that are summed anew from the maps as they are.
//
// Include a device.h before this: the GPU's, or that of the tests, which run this source on a CPU.

#include "search_work.h"

namespace outsole::match::gpu {

/// Windows with less of their energy in their variance are summed anew.
inline constexpr float kNearDead = 1e-3f;
/// As are windows with a lower mean square than this: the squares of halves below have lost their digits.
inline constexpr float kFaint = 1.0f / 65536;
inline constexpr float kOverflow = 1e30f;
/// Of y: what is below is 0. It is half of what makes a window flat.
inline constexpr float kFlush = 1.0f / (1 << 18);

inline constexpr unsigned kOnes = 0x3c003c00;  // two halves

/// Where a cell and eight of its exemplars lie in a band: neighbouring cells in different banks of shared memory.
OUTSOLE_DEVICE int place_in_band(int cell, int half) { return cell * kCellBytes + ((half << 4) ^ ((cell << 2) & 16)); }

/// Of poses, higher is better; 0: none.
OUTSOLE_DEVICE unsigned long long key_of(float score, unsigned rank) {
  const unsigned bits = bits_of(score + 0.0f);  // -0 is 0
  const unsigned ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
  return static_cast<unsigned long long>(ordered) << 32 | (0xffffffffu - rank);
}

/// Begins to copy one band of one channel to shared memory: x of its chunks, then its cells of the exemplars. Cells off
/// the frame, or in its margin, are zeros.
OUTSOLE_DEVICE void begin_stage(const SearchWork& work, const ViewGroup& group, const Patch& patch, const Band& band,
                                int channel, int exemplars, SharedAddress stage) {
  const int thread = thread_index(), lane = thread & 31, warp = thread >> 5;
  const int chunks = band.core_chunks + band.edge_chunks;
  const unsigned short* x =
      group.x + (static_cast<long long>(channel) * group.chunks + band.first_chunk) * (kChunkBytes / 2);
  for (int i = thread; i < chunks * (kChunkBytes / 16); i += kThreads) begin_copy(stage + i * 16, x + i * 8, true);

  const SharedAddress cells = stage + chunks * kChunkBytes;
  const int columns = band.columns + (group.patch_x - 1) * group.step;
  const int first_column = group.origin_x + band.column - (patch.shift_x + group.patch_x - 1) * group.step;
  const int first_row = group.origin_y + band.row - (patch.shift_y + group.patch_y - 1) * group.step;
  const long long map_halves = static_cast<long long>(work.width) * work.height * kExemplars;
  const unsigned short* map = work.blocks[exemplars / 2].y + ((exemplars & 1) * work.channels + channel) * map_halves;
  for (int c = warp; c < columns; c += kWarps) {
    const int column = first_column + c;
    const bool has_column = column >= work.margin && column < work.width - work.margin;
    const unsigned short* from = map + (static_cast<long long>(column) * work.height + first_row) * kExemplars;
    for (int i = lane; i < 2 * band.rows; i += 32) {
      const int r = i >> 1, row = first_row + r;
      const bool wanted = has_column && row >= work.margin && row < work.height - work.margin;
      begin_copy(cells + place_in_band(c * band.rows + r, i & 1), wanted ? from + i * 8 : map, wanted);
    }
  }
}

/// What a warp adds up over the chunks of a channel: of 4 shifts, as products leave it. Lane l has the exemplars l / 4
/// and l / 4 + 8, of the views 2 (l % 4) and the next one.
struct Sums {
  float product[kWarpShifts][2][4];
  float sum[kWarpShifts][2][4];  // of y, at the edge
  float squares[kWarpShifts][2][4];
  float core[kWarpShifts][4];  // columns 0 to 3: of y, 4 to 7: of y^2

  OUTSOLE_DEVICE void clear() {
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      OUTSOLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        core[s][i] = 0;
        product[s][0][i] = product[s][1][i] = 0;
        sum[s][0][i] = sum[s][1][i] = 0;
        squares[s][0][i] = squares[s][1][i] = 0;
      }
    }
  }
};

OUTSOLE_DEVICE Quad squared(const Quad& y) {
  Quad squares;
  OUTSOLE_UNROLL
  for (int i = 0; i < 4; ++i) squares.part[i] = squares_of(y.part[i]);
  return squares;
}

/// One of a warp's shifts. It is computed where it is needed: that takes fewer registers than to keep it.
struct Shift {
  int y, x;                 // of the group
  int rows_on, columns_on;  // shifts from it to the last ones of its patch
  bool exists;
};

/// Shift `number` of a warp: 0 to 3.
OUTSOLE_DEVICE Shift shift_of(const ViewGroup& group, const Patch& patch, int number) {
  const int in_patch = (thread_index() >> 5) * kWarpShifts + number;
  const int dy = in_patch % group.patch_y, dx = in_patch / group.patch_y;
  Shift shift;
  shift.y = patch.shift_y + dy;
  shift.x = patch.shift_x + dx;
  shift.rows_on = group.patch_y - 1 - dy;
  shift.columns_on = group.patch_x - 1 - dx;
  shift.exists = shift.y < group.shifts_y && shift.x < group.shifts_x;
  return shift;
}

/// The first of 16 views of a shift among a group's poses.
OUTSOLE_DEVICE int pose_of(const ViewGroup& group, const Shift& shift) {
  return shift.exists ? (shift.x * group.shifts_y + shift.y) * kGroupViews : 0;
}

/// Adds one band to the sums of a warp.
OUTSOLE_DEVICE void add_band(const ViewGroup& group, const Patch& patch, const Band& band, SharedAddress stage,
                             Sums& sums) {
  const int lane = thread_index() & 31;
  const int cell_of_lane = (lane & 7) | ((lane >> 4) << 3), half = (lane >> 3) & 1;
  const unsigned ones_of_sum = lane < 16 ? kOnes : 0, ones_of_squares = kOnes - ones_of_sum;
  const int chunks = band.core_chunks + band.edge_chunks;
  const SharedAddress cells = stage + chunks * kChunkBytes;
  const unsigned short* offsets = group.cell_offsets + band.first_chunk * kChunkCells + cell_of_lane;
  SharedAddress x_at = stage + lane * 16;
  int shift_offset[kWarpShifts];
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) {
    const Shift shift = shift_of(group, patch, s);
    shift_offset[s] = shift.exists ? (shift.columns_on * band.rows + shift.rows_on) * group.step : 0;
  }
  int next_offset = offsets[0];
  for (int chunk = 0; chunk < band.core_chunks; ++chunk) {
    const int offset = next_offset;
    next_offset = offsets[min_of(chunk + 1, chunks - 1) * kChunkCells];
    const Quad x = load_quad(x_at);
    x_at += kChunkBytes;
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      const Quad y = load_matrices_transposed(cells + place_in_band(offset + shift_offset[s], half));
      multiply_add(sums.product[s][0], y, x.part[0], x.part[1]);
      multiply_add(sums.product[s][1], y, x.part[2], x.part[3]);
      multiply_add(sums.core[s], y, ones_of_sum, ones_of_sum);
      multiply_add(sums.core[s], squared(y), ones_of_squares, ones_of_squares);
    }
  }
  const Quad* support = reinterpret_cast<const Quad*>(group.support) + band.first_edge_chunk * 32 + lane;
  Quad next_support = support[0];
  for (int chunk = band.core_chunks; chunk < chunks; ++chunk) {
    const int offset = next_offset;
    const Quad in = next_support;
    next_offset = offsets[min_of(chunk + 1, chunks - 1) * kChunkCells];
    next_support = support[min_of(chunk + 1 - band.core_chunks, band.edge_chunks - 1) * 32];
    const Quad x = load_quad(x_at);
    x_at += kChunkBytes;
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      const Quad y = load_matrices_transposed(cells + place_in_band(offset + shift_offset[s], half));
      multiply_add(sums.product[s][0], y, x.part[0], x.part[1]);
      multiply_add(sums.product[s][1], y, x.part[2], x.part[3]);
      multiply_add(sums.sum[s][0], y, in.part[0], in.part[1]);
      multiply_add(sums.sum[s][1], y, in.part[2], in.part[3]);
      const Quad squares = squared(y);
      multiply_add(sums.squares[s][0], squares, in.part[0], in.part[1]);
      multiply_add(sums.squares[s][1], squares, in.part[2], in.part[3]);
    }
  }
}

/// A window that is summed anew.
struct Window {
  int channel, exemplar;  // of all
  int view;               // of the group
  int shift_y, shift_x;
  float inverse_count, x_mean;
};

OUTSOLE_DEVICE float sum_over_warp(float value) {
  const int lane = thread_index() & 31;
  OUTSOLE_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) value += from_lane(value, lane ^ distance);
  return value;
}

/// Sums a window from the maps as they are, about its mean: the product with x, and the sum of squares. All lanes of a
/// warp come here with the same window.
OUTSOLE_DEVICE_RARE void sum_anew(const SearchWork& work, const ViewGroup& group, const Window& window, float& product,
                                  float& variance_sum) {
  const int lane = thread_index() & 31;
  const float* map = work.blocks[window.exemplar / 32].exact_y +
                     static_cast<long long>(window.channel) * work.width * work.height * 32 + window.exemplar % 32;
  const float gain = work.gain[window.channel];
  const int first_row = group.origin_y - window.shift_y * group.step;
  const int first_column = group.origin_x - window.shift_x * group.step;
  // Of the lanes that hold this view in a chunk of x.
  const int view_at = (window.view & 7) * 32 + (window.view >> 3) * 4;
  float mean = 0, sum = 0;
  for (int pass = 0; pass < 2; ++pass) {
    sum = product = variance_sum = 0;
    for (int band_index = 0; band_index < group.band_count; ++band_index) {
      const Band band = group.bands[band_index];
      const int cells = (band.core_chunks + band.edge_chunks) * kChunkCells;
      for (int i = lane; i < cells; i += 32) {
        const int chunk = i / kChunkCells, k = i % kChunkCells;
        // As a product wants x: lane 4 view + (k / 2) % 4, its halves k % 2 + 2 (k / 8).
        const int at = view_at + ((k >> 1) & 3) * 8 + (k & 1) + ((k >> 3) << 1);
        if (chunk >= band.core_chunks &&
            group.support[(band.first_edge_chunk + chunk - band.core_chunks) * (kChunkBytes / 2) + at] == 0) {
          continue;
        }
        const unsigned cell = group.cells[band.first_chunk * kChunkCells + i];
        const int row = first_row + static_cast<int>(cell & 0xffff),
                  column = first_column + static_cast<int>(cell >> 16);
        if (row < work.margin || row >= work.height - work.margin || column < work.margin ||
            column >= work.width - work.margin) {
          continue;
        }
        const float y = map[(static_cast<long long>(column) * work.height + row) * 32] * gain - mean;
        const float x =
            from_half(group.x[(static_cast<long long>(window.channel) * group.chunks + band.first_chunk + chunk) *
                                  (kChunkBytes / 2) +
                              at]);
        sum += y;
        product += (x - window.x_mean) * y;
        variance_sum += y * y;
      }
    }
    sum = sum_over_warp(sum);
    if (pass == 0) mean = work.centring * sum * window.inverse_count;
  }
  // The mean's rounding.
  variance_sum = sum_over_warp(variance_sum) - work.centring * sum * sum * window.inverse_count;
  product = sum_over_warp(product);
}

/// What y's side scales a product by: one over the root of its window's sum of squares; 0 where that is flat.
OUTSOLE_DEVICE float scale_of(const SearchWork& work, float variance_sum, float inverse_count, float flat_square) {
  if (!work.normalizes) return 1;
  return variance_sum * inverse_count > flat_square ? reciprocal_root(variance_sum) : 0.0f;
}

/// Normalizes the sums of one channel and adds them to the scores, weighed.
OUTSOLE_DEVICE void add_channel(const SearchWork& work, const ViewGroup& group, const Patch& patch, int channel,
                                int exemplars, const Sums& sums, float (&score)[kWarpShifts][2][4]) {
  const int lane = thread_index() & 31;
  const Terms* terms = group.terms + static_cast<long long>(channel) * group.cuts;
  const float flat_square = work.flat_square[channel];
  unsigned doubtful = 0;  // a bit a value
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) {
    const Shift shift = shift_of(group, patch, s);
    const int first_pose = pose_of(group, shift);
    float core_sum[2], core_squares[2];
    OUTSOLE_UNROLL
    for (int row = 0; row < 2; ++row) {
      core_sum[row] = from_lane(sums.core[s][2 * row], lane & ~3);
      core_squares[row] = from_lane(sums.core[s][2 * row], lane | 3);
    }
    OUTSOLE_UNROLL
    for (int v = 0; v < 2; ++v) {
      OUTSOLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row = i >> 1, pose = first_pose + v * 8 + 2 * (lane & 3) + (i & 1);
        const float inverse_count = shift.exists ? group.inverse_count[pose] : 0.0f;
        const Terms of_x = terms[group.cut[pose]];
        const float sum = sums.sum[s][v][i] + core_sum[row], squares = sums.squares[s][v][i] + core_squares[row];
        const float product = sums.product[s][v][i] - of_x.x_mean * sum;
        const float variance_sum = squares - work.centring * sum * sum * inverse_count;
        const float mean_square = squares * inverse_count;
        const bool counts = of_x.x_scale != 0 && inverse_count != 0 && !(sum == 0 && squares == 0);
        const bool has_digits = variance_sum >= kNearDead * squares && mean_square >= kFaint;
        const bool is_doubtful = !(squares < kOverflow) || (work.normalizes && !has_digits);
        doubtful |= counts && is_doubtful ? 1u << (s * 8 + v * 4 + i) : 0u;
        const float scale = scale_of(work, variance_sum, inverse_count, flat_square) * of_x.x_scale;
        score[s][v][i] += counts && !is_doubtful ? product * scale : 0.0f;
      }
    }
  }
  if (lanes_where(doubtful != 0) == 0) return;
  for (int slot = 0; slot < kWarpShifts * 8; ++slot) {
    for (unsigned lanes = lanes_where((doubtful >> slot) & 1); lanes != 0; lanes &= lanes - 1) {
      const int owner = first_bit(lanes), s = slot >> 3, v = (slot >> 2) & 1, i = slot & 3;
      Window window{};
      window.channel = channel;
      window.exemplar = exemplars * kExemplars + (owner >> 2) + 8 * (i >> 1);
      window.view = v * 8 + 2 * (owner & 3) + (i & 1);
      const Shift shift = shift_of(group, patch, s);
      const int pose = pose_of(group, shift) + window.view;
      window.shift_y = shift.y;
      window.shift_x = shift.x;
      const Terms of_x = terms[group.cut[pose]];
      window.inverse_count = group.inverse_count[pose];
      window.x_mean = of_x.x_mean;
      float product, variance_sum;
      sum_anew(work, group, window, product, variance_sum);
      const float scale = scale_of(work, variance_sum, window.inverse_count, flat_square) * of_x.x_scale;
      const float ncc = lane == owner ? product * scale : 0.0f;
      OUTSOLE_UNROLL
      for (int t = 0; t < kWarpShifts * 8; ++t) {
        if (t == slot) score[t >> 3][(t >> 2) & 1][t & 3] += ncc;
      }
    }
  }
}

/// The best pose of each exemplar of a warp, merged into the best of all.
OUTSOLE_DEVICE void keep_best(const SearchWork& work, const ViewGroup& group, const Patch& patch, int exemplars,
                              const float (&score)[kWarpShifts][2][4]) {
  const int lane = thread_index() & 31;
  OUTSOLE_UNROLL
  for (int row = 0; row < 2; ++row) {
    unsigned long long best = 0;
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      const Shift shift = shift_of(group, patch, s);
      OUTSOLE_UNROLL
      for (int v = 0; v < 2; ++v) {
        OUTSOLE_UNROLL
        for (int i = 0; i < 2; ++i) {
          const int pose = pose_of(group, shift) + v * 8 + 2 * (lane & 3) + i;
          if (!shift.exists || group.inverse_count[pose] == 0) continue;
          const unsigned long long key = key_of(score[s][v][2 * row + i], group.rank[pose]);
          best = key > best ? key : best;
        }
      }
    }
    if (best != 0) raise_to(work.best + exemplars * kExemplars + (lane >> 2) + 8 * row, best);
  }
}

/// One patch of one group of views, against 16 exemplars.
OUTSOLE_DEVICE void search_patch(const SearchWork& work) {
  const Patch patch = work.patches[block_index_x()];
  const ViewGroup& group = work.groups[patch.group];
  const int exemplars = block_index_y();
  bool any_exists = false;
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) any_exists = any_exists || shift_of(group, patch, s).exists;
  const int stages = work.channels * group.band_count;
  const SharedAddress shared = shared_memory();
  int next_channel = 0, next_band = 0;
  const auto begin_next = [&](int stage) {
    if (stage < stages) {
      begin_stage(work, group, patch, group.bands[next_band], next_channel, exemplars,
                  shared + stage % kStages * work.stage_bytes);
      if (++next_band == group.band_count) {
        next_band = 0;
        ++next_channel;
      }
    }
    end_copies();
  };
  for (int stage = 0; stage < kStages - 1; ++stage) begin_next(stage);

  float score[kWarpShifts][2][4] = {};
  Sums sums;
  int stage = 0;
  for (int channel = 0; channel < work.channels; ++channel) {
    sums.clear();
    for (int band = 0; band < group.band_count; ++band, ++stage) {
      wait_for_copies<kStages - 2>();
      meet_block();  // the stage is there for all, and all are done with the one before it
      begin_next(stage + kStages - 1);
      if (any_exists) {
        add_band(group, patch, group.bands[band], shared + stage % kStages * work.stage_bytes, sums);
      }
    }
    if (any_exists) add_channel(work, group, patch, channel, exemplars, sums, score);
  }
  wait_for_copies<0>();
  if (any_exists) keep_best(work, group, patch, exemplars, score);
}

/// A block of 32 exemplars to halves. Grid: any; every thread takes pairs of exemplars in turn.
OUTSOLE_DEVICE void pack(const PackWork& work, int thread, int threads) {
  const long long pairs = static_cast<long long>(work.channels) * work.cells * 16;
  for (long long i = thread; i < pairs; i += threads) {
    const int pair = static_cast<int>(i % 16);
    const long long cell = i / 16;  // of all channels
    const float gain = work.gain[cell / work.cells];
    unsigned halves = 0;
    OUTSOLE_UNROLL
    for (int j = 0; j < 2; ++j) {
      const float exact = work.exact_y[i * 2 + j], y = exact * gain;
      if (!(exact - exact == 0)) work.not_finite[pair * 2 + j] = 1;
      const bool is_nothing = y < kFlush && y > -kFlush;
      halves |= static_cast<unsigned>(is_nothing ? 0 : to_half(y)) << (16 * j);
    }
    const long long of_group = static_cast<long long>(work.channels) * work.cells * kExemplars;
    unsigned* out = reinterpret_cast<unsigned*>(work.y + (pair / 8) * of_group + cell * kExemplars);
    out[pair % 8] = halves;
  }
}

}  // namespace outsole::match::gpu
