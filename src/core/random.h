#pragma once
// Random numbers and orders that are the same on every machine: the standard fixes the generator but not its
// distributions.

#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace outsole {

/// A generator for one of the many streams of a seed.
inline std::mt19937_64 seeded(std::uint64_t seed, std::uint64_t stream) {
  const auto low = [](std::uint64_t number) { return static_cast<std::uint32_t>(number); };
  std::seed_seq words{low(seed), low(seed >> 32), low(stream), low(stream >> 32)};
  return std::mt19937_64(words);
}

/// A number in [0, below), all alike.
inline std::uint64_t draw(std::mt19937_64& generator, std::uint64_t below) {
  const std::uint64_t usable = std::numeric_limits<std::uint64_t>::max() / below * below;
  std::uint64_t number = generator();
  while (number >= usable) number = generator();
  return number % below;
}

/// Fisher and Yates' shuffle.
template <typename Value>
void shuffle(std::vector<Value>& values, std::mt19937_64& generator) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[draw(generator, i)]);
}

}  // namespace outsole
