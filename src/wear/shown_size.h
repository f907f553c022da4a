#pragma once
// Images shown smaller than they are stored: every pixel the mean of the area it covers.

#include <cstdint>
#include <span>
#include <string>

#include "comm/partition.h"

namespace outsole::wear {

struct ShownSize {
  std::int64_t height_px = 0, width_px = 0;
  bool operator==(const ShownSize&) const = default;
};

std::string name_of(ShownSize size);  // "640x256"

/// Throws UsageError, naming `scans`, unless images of the size `stored` can be shown at `size`: no side larger, and of
/// the same shape but for a fiftieth.
void require_reducible(ShownSize stored, ShownSize size, const std::string& scans);

/// The rows of a stored image of `stored_px` rows that the rows `shown` of the image reduced to `shown_px` rows cover.
comm::UnitRange covered_rows(comm::UnitRange shown, std::int64_t stored_px, std::int64_t shown_px);

/// Reduces rows of an image, no side of which `shown_size` enlarges. `grey` and `known` (0: nobody saw it) are the
/// stored rows that `shown` covers, [rows, stored width], from the first one on; the results, [rows, shown width], are
/// those of the whole image, byte for byte, whatever rows are asked for: all sums are of integers.
///
/// A pixel is known (255) when at least half of its area is. Its grey then is the mean over the known part, so that
/// what nobody saw does not bleed in as paper, rounded as prepared scans are; else it is 255, paper. Known is yes or
/// no, as the scanner's own pixels are: losses, scores and baselines all count the same pixels.
void reduce_rows(ShownSize stored_size, ShownSize shown_size, comm::UnitRange shown, std::span<const std::uint8_t> grey,
                 std::span<const std::uint8_t> known, std::span<std::uint8_t> shown_grey,
                 std::span<std::uint8_t> shown_known);

}  // namespace outsole::wear
