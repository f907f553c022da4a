// The channel kernel for any processor, in vectors the compiler lowers to what it has.

namespace outsole::match {
namespace {
typedef float Vector __attribute__((vector_size(16)));
constexpr int kVectorLanes = 4, kTileVectors = 2, kWindowVectors = 1, kTileRows = 4;

Vector reciprocal_sqrt(Vector v) {
  Vector result{};
  for (int i = 0; i < kVectorLanes; ++i) result[i] = 1.0f / __builtin_sqrtf(v[i]);
  return result;
}
}  // namespace
}  // namespace outsole::match

#include "match/channel_kernel_impl.h"

namespace outsole::match {
const ChannelKernel kGenericKernel = {"generic", sum_prefixes, correlate};
}
