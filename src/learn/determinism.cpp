#include "learn/determinism.h"

#include <ATen/Context.h>

#include <cstdlib>

namespace outsole::learn {

namespace {

/// From some version on LibTorch fills new memory in this mode, lest someone read it before it is written; a step,
/// which does not, would pay for it with every map.
template <typename Context>
void leave_new_memory_as_it_is(Context& context) {
  if constexpr (requires { context.setDeterministicFillUninitializedMemory(false); }) {
    context.setDeterministicFillUninitializedMemory(false);
  }
}

}  // namespace

void require_determinism(const c10::Device& device) {
  if (device.is_cpu()) return;
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // what it takes of cuBLAS
  at::Context& context = at::globalContext();
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  leave_new_memory_as_it_is(context);
}

}  // namespace outsole::learn
