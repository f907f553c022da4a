#pragma once
// In which order an epoch goes through what it learns from.

#include <cstdint>
#include <vector>

namespace outsole::learn {

/// A permutation of 0..examples-1 that depends on seed and epoch alone: the order of an epoch on any number of ranks
/// and any machine. Takes the streams below 2^63 of the seed.
std::vector<std::int64_t> epoch_order(std::int64_t examples, std::uint64_t seed, std::int64_t epoch);

}  // namespace outsole::learn
