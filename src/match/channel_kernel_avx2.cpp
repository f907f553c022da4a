// The channel kernel for AVX2 with FMA: tiles of 6 rows x 2 vectors keep 12 of 16 registers as sums.

#include <immintrin.h>

namespace outsole::match {
namespace {
typedef float Vector __attribute__((vector_size(32)));
constexpr int kVectorLanes = 8, kTileVectors = 2, kWindowVectors = 1, kTileRows = 6;

/// 12 bits from the instruction, 23 after one Newton step.
Vector reciprocal_sqrt(Vector v) {
  const Vector estimate = _mm256_rsqrt_ps(v);
  return estimate * (1.5f - 0.5f * v * estimate * estimate);
}
}  // namespace
}  // namespace outsole::match

#include "match/channel_kernel_impl.h"

namespace outsole::match {
const ChannelKernel kAvx2Kernel = {"avx2", sum_prefixes, correlate};
}
