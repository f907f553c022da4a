// The channel kernel for AVX2 with FMA: tiles of 12 sums leave 4 of 16 registers for x and y.

#include <immintrin.h>

namespace outsole::match {
namespace {
typedef float Vector __attribute__((vector_size(32)));
constexpr int kVectorLanes = 8, kTileRows = 12;

/// 12 bits from the instruction, 23 after one Newton step.
Vector reciprocal_sqrt(Vector v) {
  const Vector estimate = _mm256_rsqrt_ps(v);
  return estimate * (1.5f - 0.5f * v * estimate * estimate);
}

Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
bool any_not_above(Vector a, Vector b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NGT_UQ)) != 0; }
}  // namespace
}  // namespace outsole::match

#include "match/channel_kernel_impl.h"

namespace outsole::match {
extern const ChannelKernel kAvx2Kernel;
constinit const ChannelKernel kAvx2Kernel = this_kernel("avx2");
}  // namespace outsole::match
