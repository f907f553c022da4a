// The channel kernel for any processor, in vectors the compiler lowers to what it has.

namespace outsole::match {
namespace {
typedef float Vector __attribute__((vector_size(16)));
constexpr int kVectorLanes = 4, kTileRows = 8;

Vector reciprocal_sqrt(Vector v) {
  Vector result{};
  for (int i = 0; i < kVectorLanes; ++i) result[i] = 1.0f / __builtin_sqrtf(v[i]);
  return result;
}

Vector larger(Vector a, Vector b) { return a > b ? a : b; }

bool any_not_above(Vector a, Vector b) {
  bool found = false;
  for (int i = 0; i < kVectorLanes; ++i) found |= !(a[i] > b[i]);
  return found;
}
}  // namespace
}  // namespace outsole::match

#include "match/channel_kernel_impl.h"

namespace outsole::match {
constinit const ChannelKernel kGenericKernel = this_kernel("generic");
}
