// The channel kernel for AVX-512: tiles of 24 sums leave 8 of 32 registers for x and y.

#include <immintrin.h>

namespace outsole::match {
namespace {
typedef float Vector __attribute__((vector_size(64)));
constexpr int kVectorLanes = 16, kTileRows = 24;

/// 14 bits from the instruction, 23 after one Newton step.
Vector reciprocal_sqrt(Vector v) {
  const Vector estimate = _mm512_rsqrt14_ps(v);
  return estimate * (1.5f - 0.5f * v * estimate * estimate);
}

Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
bool any_not_above(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_NGT_UQ) != 0; }
}  // namespace
}  // namespace outsole::match

#include "match/channel_kernel_impl.h"

namespace outsole::match {
extern const ChannelKernel kAvx512Kernel;
constinit const ChannelKernel kAvx512Kernel = this_kernel("avx512");
}  // namespace outsole::match
