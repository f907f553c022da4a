#pragma once
// A mark as the kernel for GPUs wants it (search_work.h), in the CPU's memory. Internal to match/.

#include <cstdint>
#include <span>
#include <vector>

#include "match/gpu/search_work.h"
#include "match/pose_grid.h"
#include "match/prepared_mark.h"

namespace outsole::match::gpu {

/// The arrays of a ViewGroup; `sizes` has no pointers yet.
struct GroupArrays {
  std::vector<Band> bands;
  std::vector<unsigned short> cell_offsets;
  std::vector<unsigned> cells;
  std::vector<unsigned short> x, support;
  std::vector<float> inverse_count;
  std::vector<int> cut;
  std::vector<unsigned> rank;
  std::vector<Terms> terms;
  ViewGroup sizes{};
};

struct MarkArrays {
  std::vector<GroupArrays> groups;
  std::vector<Patch> patches;
  std::vector<float> gain, flat_square;  // [C]
  int channels = 0, height = 0, width = 0, margin = 0;
  float centring = 1;
  bool normalizes = true;  // each channel by its windows' deviations; otherwise products are added up as they are
  int warps = kMostWarps;  // of a block
  std::int64_t stage_bytes = 0;
  std::vector<std::int32_t> angles, ys_px, xs_px;  // that poses have, ascending

  /// A block's shared memory.
  std::int64_t shared_bytes() const { return warps * kCountBytes + kStages * stage_bytes; }
  /// The pose of a rank.
  Pose pose_of(std::uint32_t rank) const;
};

/// Lays out a mark for blocks with `shared_bytes` of shared memory. Throws UsageError when a column of the frame does
/// not fit into it.
MarkArrays lay_out_mark(const PreparedMark::Layout& mark, std::int64_t shared_bytes);

/// The work of a search, with every array where `place(vector)` puts it: it returns the place's pointer. `groups` is
/// filled and must stay as it is while the work is used.
template <typename Place>
SearchWork work_at(const MarkArrays& mark, std::vector<ViewGroup>& groups, const Place& place) {
  groups.clear();
  for (const GroupArrays& arrays : mark.groups) {
    ViewGroup& group = groups.emplace_back(arrays.sizes);
    group.bands = place(arrays.bands);
    group.cell_offsets = place(arrays.cell_offsets);
    group.cells = place(arrays.cells);
    group.x = place(arrays.x);
    group.support = place(arrays.support);
    group.inverse_count = place(arrays.inverse_count);
    group.cut = place(arrays.cut);
    group.rank = place(arrays.rank);
    group.terms = place(arrays.terms);
  }
  SearchWork work{};
  work.groups = place(groups);
  work.patches = place(mark.patches);
  work.gain = place(mark.gain);
  work.flat_square = place(mark.flat_square);
  work.channels = mark.channels;
  work.height = mark.height;
  work.width = mark.width;
  work.margin = mark.margin;
  work.centring = mark.centring;
  work.stage_bytes = static_cast<int>(mark.stage_bytes);
  work.warps = mark.warps;
  return work;
}

/// The score of a key (ncc_kernel.h's key_of), and the rank of its pose.
struct Found {
  float score;
  std::uint32_t rank;
};
Found found_of(std::uint64_t key);

}  // namespace outsole::match::gpu
