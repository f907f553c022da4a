#include "synth/random.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/errors.h"
#include "core/split_mix.h"

namespace outsole::synth {

namespace {

double unit_interval(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

double lattice_value(std::uint64_t seed, std::int64_t row, std::int64_t column) {
  std::uint64_t state = seed;
  state = split_mix(state) ^ static_cast<std::uint64_t>(row);
  state = split_mix(state) ^ static_cast<std::uint64_t>(column);
  return unit_interval(split_mix(state));
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t stream) {
  std::uint64_t state = seed;
  state = split_mix(state) ^ stream;
  for (std::uint64_t& word : state_) word = split_mix(state);
}

std::uint64_t Random::bits() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::uniform() { return unit_interval(bits()); }

double Random::uniform(double low, double high) { return low + (high - low) * uniform(); }

int Random::below(int count) {
  ensure(count >= 1, "a choice needs something to choose from");
  return static_cast<int>(uniform() * count);
}

double Random::normal() {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += uniform();
  return sum;
}

double smooth_step(double low, double high, double value) {
  const double t = std::clamp((value - low) / (high - low), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

double smooth_noise(std::uint64_t seed, double y, double x) {
  const double top = std::floor(y), left = std::floor(x);
  const auto row = static_cast<std::int64_t>(top), column = static_cast<std::int64_t>(left);
  const double down = smooth_step(0, 1, y - top), right = smooth_step(0, 1, x - left);
  const double above = std::lerp(lattice_value(seed, row, column), lattice_value(seed, row, column + 1), right);
  const double below = std::lerp(lattice_value(seed, row + 1, column), lattice_value(seed, row + 1, column + 1), right);
  return std::lerp(above, below, down);
}

double fractal_noise(std::uint64_t seed, double y, double x, int octaves) {
  double sum = 0, weight = 1, weights = 0;
  for (int octave = 0; octave < octaves; ++octave) {
    sum += weight * smooth_noise(seed + static_cast<std::uint64_t>(octave), y, x);
    weights += weight;
    weight /= 2;
    y *= 2;
    x *= 2;
  }
  return sum / weights;
}

}  // namespace outsole::synth
