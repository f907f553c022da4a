#pragma once
// What the host hands to the kernels of the search on a GPU (ncc_kernel.h), and how it lies in the device's memory.

namespace outsole::match::gpu {

inline constexpr int kMostWarps = 8;  // of a block, and of a multiprocessor: each takes 255 registers a thread
inline constexpr int kMostThreads = 32 * kMostWarps;
inline constexpr int kExemplars = 16;                   // of a block: the rows of a product
inline constexpr int kGroupViews = 16;                  // of a mark, on one list of cells: the columns of two products
inline constexpr int kWarpShifts = 4;                   // of a warp
inline constexpr int kChunkCells = 16;                  // that one product adds up
inline constexpr int kChunkBytes = 512;                 // of x: 16 cells of 16 views
inline constexpr int kOffsetBytes = 32;                 // of a chunk's cell_offsets
inline constexpr int kCellBytes = 2 * kExemplars + 16;  // the gap keeps eight cells in different banks
inline constexpr int kWarpPoses = kWarpShifts * kGroupViews;
inline constexpr int kTermsBytes = 8 * kWarpPoses;  // of a warp
inline constexpr int kCountBytes = 4 * kWarpPoses;
inline constexpr int kStages = 3;  // of shared memory: one is worked on while the others are filled

/// A part of a group's box of cells: what a block holds of a channel at a time.
struct Band {
  int column, columns;  // of the box
  int row, rows;        // with what a patch's shifts add to them
  int first_chunk;      // of the group
  // By where its cells have support, in this order:
  int core_chunks;       // in all views; an even number
  int edge_chunks;       // in some of both halves of the views
  int half_chunks[2];    // in some of the first eight views only; of the others only
  int first_edge_chunk;  // in `support`
};

struct Terms {
  float x_mean, x_scale;
};

/// Up to 16 views on a common box of cells. Poses lie [shifts_x][shifts_y][16 views].
struct ViewGroup {
  const Band* bands;
  const unsigned short* cell_offsets;  // [chunks][16] where a cell lies in its band at the patch's last shifts, in
                                       // pieces of 16 bytes
  const unsigned* cells;               // [chunks][16] row | column << 16 in the box
  const unsigned short* x;             // [C][chunks] as two products want it: [32 lanes][2][4]
  const unsigned short* support;       // [chunks but core ones] the same, 0 or 1
  const float* inverse_count;          // of each pose 1 / |P|; 0: no such pose, or no support
  const int* cut;                      // of each pose: the way the frame cuts the view
  const unsigned* rank;                // of each pose, in the order of poses
  const Terms* terms;                  // [C][cuts]
  int band_count, chunks, cuts;
  int origin_y, origin_x;  // stored-map cell under the box's first one at shift 0
  int step;                // cells between shifts
  int shifts_y, shifts_x;
  int patch_y, patch_x;  // shifts of a patch
};

/// The shifts of a group from these on: what a block searches.
struct Patch {
  int group, shift_y, shift_x;
};

/// 32 exemplars.
struct ExemplarBlock {
  const unsigned short* y;  // [2][C][W][H][16] halves
  const float* exact_y;     // [C][W][H][32]
};

struct SearchWork {
  const ViewGroup* groups;
  const Patch* patches;         // of block x
  const ExemplarBlock* blocks;  // block y has half of one
  const float* gain;            // [C] y is exact_y times that
  const float* flat_square;     // [C] of y
  unsigned long long* best;     // [exemplars] see key_of
  int channels, height, width;
  int margin;      // cells at the frame's edge that are never support
  float centring;  // 1: means over windows are subtracted; 0: they are not
  int stage_bytes;
  int warps;  // of a block
};

/// A block as it comes, to halves.
struct PackWork {
  const float* exact_y;  // [C][W][H][32]
  unsigned short* y;     // [2][C][W][H][16]
  const float* gain;     // [C]
  unsigned* not_finite;  // [32]
  int channels, cells;   // of a channel
};

}  // namespace outsole::match::gpu
