#include "measure/significance.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "core/split_mix.h"

namespace outsole::measure {

namespace {

/// The sum with a random sign for each value.
double flipped_sum(std::span<const double> values, std::uint64_t& state) {
  double sum = 0;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 64 == 0) bits = split_mix(state);
    sum += (bits >> (i % 64) & 1) != 0 ? -values[i] : values[i];
  }
  return sum;
}

}  // namespace

double mcnemar_p_value(std::int64_t only_first, std::int64_t only_second) {
  ensure(only_first >= 0 && only_second >= 0, "marks are counted");
  const std::int64_t marks = only_first + only_second, fewer = std::min(only_first, only_second);
  const double n = static_cast<double>(marks);
  // Terms C(n, k) / 2^n by their logarithms: n may be large.
  double tail = 0, log_term = -n * std::log(2.0);
  for (std::int64_t k = 0; k <= fewer; ++k) {
    tail += std::exp(log_term);
    log_term += std::log((n - static_cast<double>(k)) / static_cast<double>(k + 1));
  }
  return std::min(1.0, 2 * tail);
}

double sign_flip_p_value(std::span<const double> differences, std::int64_t flips, std::uint64_t seed) {
  ensure(flips >= 1, "a permutation test needs permutations");
  double observed = 0, size = 0;
  for (const double difference : differences) {
    observed += difference;
    size += std::abs(difference);
  }
  // Sums that are equal but for rounding count as equal.
  const double least = std::abs(observed) - 1e-12 * size;
  std::int64_t hits = 0;
  for (std::int64_t flip = 0; flip < flips; ++flip) hits += std::abs(flipped_sum(differences, seed)) >= least ? 1 : 0;
  return static_cast<double>(hits + 1) / static_cast<double>(flips + 1);
}

}  // namespace outsole::measure
