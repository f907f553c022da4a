#include "wear/slab.h"

#include <algorithm>
#include <string>

#include "core/checked.h"

namespace outsole::wear {

std::int64_t most_slabs(std::int64_t height_px) { return divide_up(height_px, kSizeStep); }

Slab slab_of(std::int64_t height_px, int rank, int ranks) {
  const std::int64_t most = most_slabs(height_px);
  if (ranks > most) {
    throw UsageError("`split_ranks`: an image " + std::to_string(height_px) + " px high can be cut into " +
                     std::to_string(most) + " slabs of " + std::to_string(kSizeStep) + " rows, not into " +
                     std::to_string(ranks));
  }
  Slab slab;
  slab.coarse_rows = comm::units_of(most, rank, ranks);
  slab.padded_rows = {slab.coarse_rows.begin * kSizeStep, slab.coarse_rows.end * kSizeStep};
  slab.rows = {slab.padded_rows.begin, std::min(height_px, slab.padded_rows.end)};
  return slab;
}

void require_teams(int ranks, int split_ranks) {
  if (split_ranks >= 1 && ranks % split_ranks == 0) return;
  throw UsageError("`split_ranks`: " + std::to_string(ranks) + " ranks cannot be cut into teams of " +
                   std::to_string(split_ranks) + "; start a multiple of it");
}

}  // namespace outsole::wear
