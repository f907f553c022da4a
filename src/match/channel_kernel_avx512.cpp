// The channel kernel for AVX-512: tiles of 12 rows x 2 vectors fill 24 of 32 registers.

#include <immintrin.h>

namespace outsole::match {
namespace {
typedef float Vector __attribute__((vector_size(64)));
constexpr int kVectorLanes = 16, kTileVectors = 2, kWindowVectors = 2, kTileRows = 12;

/// 14 bits from the instruction, 23 after one Newton step.
Vector reciprocal_sqrt(Vector v) {
  const Vector estimate = _mm512_rsqrt14_ps(v);
  return estimate * (1.5f - 0.5f * v * estimate * estimate);
}
}  // namespace
}  // namespace outsole::match

#include "match/channel_kernel_impl.h"

namespace outsole::match {
const ChannelKernel kAvx512Kernel = {"avx512", sum_prefixes, correlate};
}
