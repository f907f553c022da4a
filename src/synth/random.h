#pragma once
// Random numbers that are the same on every machine: the generators are written out, and the distributions of <random>,
// whose results differ between standard libraries, are not used.

#include <array>
#include <cstdint>

namespace outsole::synth {

/// xoshiro256** (Blackman, Vigna 2018), seeded by SplitMix64 from a seed and a stream: the same pair gives the same
/// numbers, another stream of the same seed independent ones.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream);

  std::uint64_t bits();
  /// Uniform in [0, 1).
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high);
  /// Uniform in 0..count-1. Throws Bug for count < 1.
  int below(int count);
  bool chance(double probability) { return uniform() < probability; }
  /// Mean 0, standard deviation 1: the sum of twelve uniform numbers, which needs no library function and is near
  /// enough to normal for image noise (it ends at +-6).
  double normal();

 private:
  std::array<std::uint64_t, 4> state_;
};

/// Smooth noise over the plane in [0, 1], a function of its arguments alone: random values on the integer lattice,
/// blended in between (value noise). About one bump a unit.
double smooth_noise(std::uint64_t seed, double y, double x);

/// smooth_noise of doubling frequency and halving weight added up, in [0, 1].
double fractal_noise(std::uint64_t seed, double y, double x, int octaves);

/// 0 below `low`, 1 above `high`, a smooth ramp between.
double smooth_step(double low, double high, double value);

}  // namespace outsole::synth
