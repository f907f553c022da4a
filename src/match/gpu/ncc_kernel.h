#pragma once
// The search on a GPU: the scores of mcncc.h, 16 exemplars x 16 views x up to 32 shifts a block.
//
// A product on the tensor cores adds up 16 cells: of 16 exemplars (its rows) and 8 views (its columns), at one shift.
//
//   y    [16 exemplars x 16 cells]   from shared memory, where a channel's cells lie one after another, so that a shift
//                                    is an offset
//   x    [16 cells x 8 views]        twice, for 16 views
//
// Views of neighbouring angles cover nearly the same cells. A group of 16 has one list of cells, in chunks of 16: core
// chunks of cells where all 16 views have support, edge chunks where some have. Sums of y and y^2 over windows are
// products, too: in the core with ones, once for all views and for two chunks added up before; at the edge with the
// views' supports. Chunks where only half of the views have any know nothing of the other half.
//
//            products a chunk and shift      x y    y    y^2
//            core                             2    1/2   1/2
//            edge                             2     2     2
//            edge of one half                 1     1     1
//
// Channels follow one another; each is normalized in registers and added to the scores, which never leave them. While a
// band of one channel is worked on, the next ones come to shared memory.
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

/// Of poses, higher is better; 0: none.
OUTSOLE_DEVICE unsigned long long key_of(float score, unsigned rank) {
  const unsigned bits = bits_of(score + 0.0f);  // -0 is 0
  const unsigned ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
  return static_cast<unsigned long long>(ordered) << 32 | (0xffffffffu - rank);
}

/// What a thread knows of its patch from the beginning.
struct Own {
  int exemplars;           // of its block: their number
  int shift[kWarpShifts];  // of its warp: rows_on | columns_on << 16, shifts from it to the last ones of the patch; or
                           // kNone
  int cut[2];              // of the poses lane and lane + 32 of its warp's 64

  static constexpr int kNone = -1;
};

/// A shift of a warp's, in its group.
struct Shift {
  int y, x;
  int pose;  // of its first view; 0 where it does not exist
};

OUTSOLE_DEVICE Shift shift_of(const ViewGroup& group, const Patch& patch, int packed) {
  if (packed == Own::kNone) return {0, 0, 0};
  const int y = patch.shift_y + group.patch_y - 1 - (packed & 0xffff);
  const int x = patch.shift_x + group.patch_x - 1 - (packed >> 16);
  return {y, x, (x * group.shifts_y + y) * kGroupViews};
}

/// Where the 1 / |P| of a warp's 64 poses lie in shared memory.
OUTSOLE_DEVICE SharedAddress counts_of_warp(SharedAddress shared) {
  return shared + (thread_index() >> 5) * kCountBytes;
}

OUTSOLE_DEVICE Own look_around(const ViewGroup& group, const Patch& patch, SharedAddress shared) {
  const int lane = thread_index() & 31, warp = thread_index() >> 5;
  Own own;
  own.exemplars = block_index_y();
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) {
    const int in_patch = warp * kWarpShifts + s;
    const int dy = in_patch % group.patch_y, dx = in_patch / group.patch_y;
    const bool exists =
        dx < group.patch_x && patch.shift_y + dy < group.shifts_y && patch.shift_x + dx < group.shifts_x;
    own.shift[s] = exists ? (group.patch_y - 1 - dy) | (group.patch_x - 1 - dx) << 16 : Own::kNone;
  }
  OUTSOLE_UNROLL
  for (int i = 0; i < 2; ++i) {
    // The warp's first two shifts, then its second two: half of the lanes have the 16 views of one each.
    const int packed = lane < 16 ? own.shift[2 * i] : own.shift[2 * i + 1];
    const int pose = shift_of(group, patch, packed).pose + (lane & 15);
    own.cut[i] = packed == Own::kNone ? 0 : group.cut[pose];
    store_float(counts_of_warp(shared) + (i * 32 + lane) * 4, packed == Own::kNone ? 0 : group.inverse_count[pose]);
  }
  return own;
}

OUTSOLE_DEVICE int edges_of(const Band& band) { return band.edge_chunks + band.half_chunks[0] + band.half_chunks[1]; }

/// What shared memory holds of one band of one channel, from its beginning on.
struct Stage {
  SharedAddress x, support, offsets, cells, terms;
};

OUTSOLE_DEVICE Stage stage_at(const SearchWork& work, const Band& band, SharedAddress begin) {
  const int chunks = band.core_chunks + edges_of(band);
  Stage stage;
  stage.terms = begin;  // of the channel's last band only
  stage.x = stage.terms + work.warps * kTermsBytes;
  stage.support = stage.x + chunks * kChunkBytes;
  stage.offsets = stage.support + edges_of(band) * kChunkBytes;
  stage.cells = stage.offsets + chunks * kOffsetBytes;
  return stage;
}

/// Begins to copy `pieces` of 16 bytes, by all threads.
OUTSOLE_DEVICE void begin_copies(SharedAddress to, const void* from, int pieces, int threads) {
  const char* bytes = static_cast<const char*>(from);
  for (int i = thread_index(); i < pieces; i += threads) begin_copy(to + i * 16, bytes + i * 16, true);
}

/// Begins to copy one band of one channel to shared memory. Cells off the frame, or in its margin, are zeros.
OUTSOLE_DEVICE void begin_stage(const SearchWork& work, const ViewGroup& group, const Patch& patch, const Own& own,
                                int band_index, int channel, SharedAddress begin) {
  const Band band = group.bands[band_index];
  const Stage stage = stage_at(work, band, begin);
  const int lane = thread_index() & 31, warp = thread_index() >> 5, warps = work.warps, threads = 32 * warps;
  const int chunks = band.core_chunks + edges_of(band);
  const long long first_chunk = static_cast<long long>(channel) * group.chunks + band.first_chunk;
  begin_copies(stage.x, group.x + first_chunk * (kChunkBytes / 2), chunks * (kChunkBytes / 16), threads);
  begin_copies(stage.support, group.support + band.first_edge_chunk * (kChunkBytes / 2),
               edges_of(band) * (kChunkBytes / 16), threads);
  begin_copies(stage.offsets, group.cell_offsets + band.first_chunk * kChunkCells, chunks * (kOffsetBytes / 16),
               threads);
  if (band_index + 1 == group.band_count) {
    const Terms* terms = group.terms + static_cast<long long>(channel) * group.cuts;
    const SharedAddress to = stage.terms + warp * kTermsBytes + lane * 8;
    begin_copy_of_8(to, terms + own.cut[0]);
    begin_copy_of_8(to + 32 * 8, terms + own.cut[1]);
  }

  // A lane takes a piece of a column after another, always at the same row.
  const int height = work.height,
            first_row = group.origin_y + band.row - (patch.shift_y + group.patch_y - 1) * group.step;
  const int first_column = group.origin_x + band.column - (patch.shift_x + group.patch_x - 1) * group.step;
  const int end_column = first_column + band.columns + (group.patch_x - 1) * group.step;
  const int margin = work.margin, end_row = height - margin, last_column = work.width - margin - 1;
  const int to_step = warps * band.rows * kCellBytes, from_step = warps * height * kExemplars;
  const unsigned short* map =
      work.blocks[own.exemplars / 2].y +
      (static_cast<long long>(own.exemplars & 1) * work.channels + channel) * work.width * height * kExemplars;
  for (int i = lane; i < 2 * band.rows; i += 32) {
    const int r = i >> 1, row = first_row + r;
    const bool has_row = row >= margin && row < end_row;
    SharedAddress to = stage.cells + (warp * band.rows + r) * kCellBytes + (i & 1) * 16;
    int from = ((first_column + warp) * height + row) * kExemplars + (i & 1) * 8;
    for (int column = first_column + warp; column < end_column; column += warps) {
      const bool wanted = has_row && column >= margin && column <= last_column;
      begin_copy(to, map + (wanted ? from : 0), wanted);
      to += to_step;
      from += from_step;
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

OUTSOLE_DEVICE Quad sum_of(const Quad& a, const Quad& b) {
  Quad sum;
  OUTSOLE_UNROLL
  for (int i = 0; i < 4; ++i) sum.part[i] = sum_of_halves(a.part[i], b.part[i]);
  return sum;
}

OUTSOLE_DEVICE Quad sum_of_squares(const Quad& a, const Quad& b) {
  Quad sum;
  OUTSOLE_UNROLL
  for (int i = 0; i < 4; ++i) sum.part[i] = multiply_add_halves(a.part[i], squares_of(b.part[i]));
  return sum;
}

/// What a warp reads of a band in shared memory: chunk after chunk.
struct Reader {
  SharedAddress x, support;
  SharedAddress offset;                 // where that of this lane's cell in the next chunk is to be read
  int next_offset;                      // of the chunk to come
  SharedAddress cells_at[kWarpShifts];  // of the exemplars whose rows this lane names

  OUTSOLE_DEVICE Quad x_of_chunk() {
    const Quad quad = load_quad(x);
    x += kChunkBytes;
    return quad;
  }
  OUTSOLE_DEVICE Quad support_of_chunk() {
    const Quad quad = load_quad(support);
    support += kChunkBytes;
    return quad;
  }
  /// y of the chunk at each shift. The next chunk's offset is asked for meanwhile: behind the last one that is of
  /// something else, and not used.
  OUTSOLE_DEVICE void y_of_chunk(Quad (&y)[kWarpShifts]) {
    const int cell = next_offset;
    offset += kOffsetBytes;
    next_offset = load_short(offset);
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      y[s] = load_matrices_transposed(cells_at[s] + cell * 16);
    }
  }
};

/// Chunks where views of half `Half` have support, or of both halves where that is 2.
template <int Half>
OUTSOLE_DEVICE void add_edge(Reader& reader, int chunks, Sums& sums) {
  for (int chunk = 0; chunk < chunks; ++chunk) {
    Quad y[kWarpShifts];
    const Quad x = reader.x_of_chunk(), in = reader.support_of_chunk();
    reader.y_of_chunk(y);
    OUTSOLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (Half != 2 && Half != half) continue;
      OUTSOLE_UNROLL
      for (int s = 0; s < kWarpShifts; ++s) {
        multiply_add(sums.product[s][half], y[s], x.part[2 * half], x.part[2 * half + 1]);
      }
      OUTSOLE_UNROLL
      for (int s = 0; s < kWarpShifts; ++s) {
        multiply_add(sums.sum[s][half], y[s], in.part[2 * half], in.part[2 * half + 1]);
      }
    }
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      const Quad squares = squared(y[s]);
      OUTSOLE_UNROLL
      for (int half = 0; half < 2; ++half) {
        if (Half != 2 && Half != half) continue;
        multiply_add(sums.squares[s][half], squares, in.part[2 * half], in.part[2 * half + 1]);
      }
    }
  }
}

/// Adds one band to the sums of a warp.
OUTSOLE_DEVICE void add_band(const SearchWork& work, const ViewGroup& group, const Own& own, int band_index,
                             SharedAddress begin, Sums& sums) {
  const Band band = group.bands[band_index];
  const Stage stage = stage_at(work, band, begin);
  const int lane = thread_index() & 31, step = group.step;
  const int cell_of_lane = (lane & 7) | ((lane >> 4) << 3);
  Reader reader;
  reader.x = stage.x + lane * 16;
  reader.support = stage.support + lane * 16;
  reader.offset = stage.offsets + cell_of_lane * 2;
  reader.next_offset = load_short(reader.offset);
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) {
    const int packed = own.shift[s];
    const int cells_on = packed == Own::kNone ? 0 : ((packed >> 16) * band.rows + (packed & 0xffff)) * step;
    reader.cells_at[s] = stage.cells + cells_on * kCellBytes + ((lane >> 3) & 1) * 16;
  }
  const unsigned ones_of_sum = lane < 16 ? kOnes : 0, ones_of_squares = kOnes - ones_of_sum;
  for (int pair = 0; pair < band.core_chunks / 2; ++pair) {
    Quad y[kWarpShifts], more_y[kWarpShifts];
    const Quad x = reader.x_of_chunk(), more_x = reader.x_of_chunk();
    reader.y_of_chunk(y);
    reader.y_of_chunk(more_y);
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      multiply_add(sums.product[s][0], y[s], x.part[0], x.part[1]);
      multiply_add(sums.product[s][1], y[s], x.part[2], x.part[3]);
    }
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      multiply_add(sums.core[s], sum_of(y[s], more_y[s]), ones_of_sum, ones_of_sum);
    }
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      multiply_add(sums.product[s][0], more_y[s], more_x.part[0], more_x.part[1]);
      multiply_add(sums.product[s][1], more_y[s], more_x.part[2], more_x.part[3]);
    }
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      multiply_add(sums.core[s], sum_of_squares(y[s], more_y[s]), ones_of_squares, ones_of_squares);
    }
  }
  add_edge<2>(reader, band.edge_chunks, sums);
  add_edge<0>(reader, band.half_chunks[0], sums);
  add_edge<1>(reader, band.half_chunks[1], sums);
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
      const int cells = (band.core_chunks + edges_of(band)) * kChunkCells;
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
template <bool Normalizes>
OUTSOLE_DEVICE float scale_of(float variance_sum, float inverse_count, float flat_square) {
  if (!Normalizes) return 1;
  return variance_sum * inverse_count > flat_square ? reciprocal_root(variance_sum) : 0.0f;
}

/// Sums the windows of a channel anew that are marked, a bit a value of the scores, and adds them.
template <bool Normalizes>
OUTSOLE_DEVICE void add_doubtful(const SearchWork& work, const ViewGroup& group, const Patch& patch, const Own& own,
                                 int channel, float flat_square, unsigned doubtful, float (&score)[kWarpShifts][2][4]) {
  const int lane = thread_index() & 31;
  const Terms* terms = group.terms + static_cast<long long>(channel) * group.cuts;
  for (int slot = 0; slot < kWarpShifts * 8; ++slot) {
    for (unsigned lanes = lanes_where((doubtful >> slot) & 1); lanes != 0; lanes &= lanes - 1) {
      const int owner = first_bit(lanes), s = slot >> 3, v = (slot >> 2) & 1, i = slot & 3;
      const int packed = s == 0 ? own.shift[0] : s == 1 ? own.shift[1] : s == 2 ? own.shift[2] : own.shift[3];
      const Shift shift = shift_of(group, patch, packed);
      Window window{};
      window.channel = channel;
      window.exemplar = own.exemplars * kExemplars + (owner >> 2) + 8 * (i >> 1);
      window.view = v * 8 + 2 * (owner & 3) + (i & 1);
      window.shift_y = shift.y;
      window.shift_x = shift.x;
      const int pose = shift.pose + window.view;
      const Terms of_x = terms[group.cut[pose]];
      window.inverse_count = group.inverse_count[pose];
      window.x_mean = of_x.x_mean;
      if (packed == Own::kNone || window.inverse_count == 0 || of_x.x_scale == 0) continue;
      float product, variance_sum;
      sum_anew(work, group, window, product, variance_sum);
      const float scale = scale_of<Normalizes>(variance_sum, window.inverse_count, flat_square) * of_x.x_scale;
      const float ncc = lane == owner ? product * scale : 0.0f;
      OUTSOLE_UNROLL
      for (int t = 0; t < kWarpShifts * 8; ++t) {
        if (t == slot) score[t >> 3][(t >> 2) & 1][t & 3] += ncc;
      }
    }
  }
}

/// Normalizes the sums of one channel and adds them to the scores, weighed.
template <bool Normalizes>
OUTSOLE_DEVICE void add_channel(const SearchWork& work, const ViewGroup& group, const Patch& patch, const Own& own,
                                int channel, SharedAddress counts, SharedAddress terms, const Sums& sums,
                                float (&score)[kWarpShifts][2][4]) {
  const int lane = thread_index() & 31;
  const float flat_square = work.flat_square[channel], centring = work.centring;
  unsigned doubtful = 0;  // a bit a value
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) {
    float core_sum[2], core_squares[2];
    OUTSOLE_UNROLL
    for (int row = 0; row < 2; ++row) {
      core_sum[row] = from_lane(sums.core[s][2 * row], lane & ~3);
      core_squares[row] = from_lane(sums.core[s][2 * row], lane | 3);
    }
    OUTSOLE_UNROLL
    for (int v = 0; v < 2; ++v) {
      const int pose = s * kGroupViews + v * 8 + 2 * (lane & 3);  // and the one after it
      float inverse_count[2];
      Terms of_x[2];
      load_pair(counts + pose * 4, inverse_count[0], inverse_count[1]);
      const Quad both = load_quad(terms + pose * 8);
      bool counts_at[2];  // whether there is such a pose, and x is not flat there
      OUTSOLE_UNROLL
      for (int j = 0; j < 2; ++j) {
        of_x[j] = {float_of(both.part[2 * j]), float_of(both.part[2 * j + 1])};
        counts_at[j] = inverse_count[j] != 0 && of_x[j].x_scale != 0;
      }
      OUTSOLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row = i >> 1, j = i & 1;
        const float sum = sums.sum[s][v][i] + core_sum[row], squares = sums.squares[s][v][i] + core_squares[row];
        const float product = sums.product[s][v][i] - of_x[j].x_mean * sum;
        const float variance_sum = squares - centring * sum * sum * inverse_count[j];
        bool is_sure = squares < kOverflow;
        if (Normalizes) {
          const bool has_digits = variance_sum >= kNearDead * squares && squares * inverse_count[j] >= kFaint;
          is_sure = is_sure && (has_digits || (sum == 0 && squares == 0));
        }
        is_sure = is_sure || !counts_at[j];
        const float scale = scale_of<Normalizes>(variance_sum, inverse_count[j], flat_square) * of_x[j].x_scale;
        score[s][v][i] += is_sure && counts_at[j] ? product * scale : 0.0f;
        doubtful |= is_sure ? 0u : 1u << (s * 8 + v * 4 + i);
      }
    }
  }
  if (lanes_where(doubtful != 0) != 0) {
    add_doubtful<Normalizes>(work, group, patch, own, channel, flat_square, doubtful, score);
  }
}

/// The best pose of each exemplar of a warp, merged into the best of all.
OUTSOLE_DEVICE void keep_best(const SearchWork& work, const ViewGroup& group, const Patch& patch, const Own& own,
                              const float (&score)[kWarpShifts][2][4]) {
  const int lane = thread_index() & 31;
  OUTSOLE_UNROLL
  for (int row = 0; row < 2; ++row) {
    unsigned long long best = 0;
    OUTSOLE_UNROLL
    for (int s = 0; s < kWarpShifts; ++s) {
      if (own.shift[s] == Own::kNone) continue;
      const int first_pose = shift_of(group, patch, own.shift[s]).pose + 2 * (lane & 3);
      OUTSOLE_UNROLL
      for (int v = 0; v < 2; ++v) {
        OUTSOLE_UNROLL
        for (int i = 0; i < 2; ++i) {
          const int pose = first_pose + v * 8 + i;
          if (group.inverse_count[pose] == 0) continue;
          const unsigned long long key = key_of(score[s][v][2 * row + i], group.rank[pose]);
          best = key > best ? key : best;
        }
      }
    }
    if (best != 0) raise_to(work.best + own.exemplars * kExemplars + (lane >> 2) + 8 * row, best);
  }
}

/// One patch of one group of views, against 16 exemplars.
template <bool Normalizes>
OUTSOLE_DEVICE void search_patch(const SearchWork& work) {
  const Patch patch = work.patches[block_index_x()];
  const ViewGroup& group = work.groups[patch.group];
  const SharedAddress shared = shared_memory(), stages_begin = shared + work.warps * kCountBytes;
  const Own own = look_around(group, patch, shared);
  bool any_exists = false;
  OUTSOLE_UNROLL
  for (int s = 0; s < kWarpShifts; ++s) any_exists = any_exists || own.shift[s] != Own::kNone;
  const int bands = group.band_count, stages = work.channels * bands;
  int next_channel = 0, next_band = 0, next_slot = 0;
  const auto begin_next = [&]() {
    if (next_channel < work.channels) {
      begin_stage(work, group, patch, own, next_band, next_channel, stages_begin + next_slot * work.stage_bytes);
      if (++next_band == bands) {
        next_band = 0;
        ++next_channel;
      }
      if (++next_slot == kStages) next_slot = 0;
    }
    end_copies();
  };
  for (int stage = 0; stage < kStages - 1; ++stage) begin_next();

  float score[kWarpShifts][2][4] = {};
  Sums sums;
  int channel = 0, band = 0, slot = 0;
  for (int stage = 0; stage < stages; ++stage) {
    const SharedAddress begin = stages_begin + slot * work.stage_bytes;
    wait_for_copies<kStages - 2>();
    meet_block();  // the stage is there for all, and all are done with the one before it
    begin_next();
    if (band == 0) sums.clear();
    if (any_exists) add_band(work, group, own, band, begin, sums);
    if (++slot == kStages) slot = 0;
    if (++band < bands) continue;
    if (any_exists) {
      add_channel<Normalizes>(work, group, patch, own, channel, counts_of_warp(shared),
                              begin + (thread_index() >> 5) * kTermsBytes, sums, score);
    }
    band = 0;
    ++channel;
  }
  wait_for_copies<0>();
  if (any_exists) keep_best(work, group, patch, own, score);
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
