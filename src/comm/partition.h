#pragma once
// Work is cut into units by the data; ranks only take turns at the units.

#include <cstdint>

namespace outsole::comm {

/// A contiguous range of units [begin, end).
struct UnitRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// The units of `rank` out of `ranks`: contiguous, sizes differ by at most one, larger first.
constexpr UnitRange units_of(std::int64_t units, int rank, int ranks) {
  const std::int64_t base = units / ranks, extra = units % ranks;
  const std::int64_t begin = rank * base + (rank < extra ? rank : extra);
  return {begin, begin + base + (rank < extra ? 1 : 0)};
}

}  // namespace outsole::comm
