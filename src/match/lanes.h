#pragma once

#include <cstdint>

namespace outsole::match {

/// Exemplars in a block. They are the innermost dimension of every array of the kernel, so that one vector instruction
/// works on as many exemplars as it has lanes, an exemplar's result never depends on its neighbours, and rows of the
/// map lie one after another without gaps. The last block of an index is filled up with zeros.
inline constexpr std::int64_t kLanes = 32;

}  // namespace outsole::match
