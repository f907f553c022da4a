#pragma once
// An image cut into slabs of rows, one for each rank of a team, from top to bottom.

#include <cstdint>

#include "comm/partition.h"

namespace outsole::wear {

/// The network's layers halve sizes five times: it pads an image's sides to multiples of this, and slabs begin at them,
/// so that every layer of every slab has whole rows.
inline constexpr std::int64_t kSizeStep = 32;

struct Slab {
  comm::UnitRange coarse_rows;  // of the encoder's last map
  comm::UnitRange padded_rows;  // of the padded image: kSizeStep for each of those
  comm::UnitRange rows;         // of the image itself; the last slab may have fewer than padded ones, but one at least
};

/// The most slabs that an image has: the rows of its coarsest map.
std::int64_t most_slabs(std::int64_t height_px);

/// The slab of `rank`, out of `ranks`. Their heights differ by a row of the coarsest map at most, higher ones first.
/// Throws UsageError, naming the most that can be had, where there are more ranks than such rows.
Slab slab_of(std::int64_t height_px, int rank, int ranks);

/// Throws UsageError unless `ranks` can be cut into teams of `split_ranks`.
void require_teams(int ranks, int split_ranks);

}  // namespace outsole::wear
