#pragma once
// The smallest generator of random numbers that are the same on every machine.

#include <cstdint>

namespace outsole {

/// SplitMix64 (Steele, Lea, Flood 2014): the next state's output.
inline std::uint64_t split_mix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace outsole
