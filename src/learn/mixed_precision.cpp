#include "learn/mixed_precision.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace outsole::learn {

namespace {

void set_autocast(bool enabled) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCUDA, enabled);
#else
  at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
  at::autocast::set_enabled(enabled);
#endif
}

}  // namespace

MixedPrecision::MixedPrecision(bool enabled) : enabled_(enabled) {
  if (enabled_) set_autocast(true);
}

MixedPrecision::~MixedPrecision() {
  if (!enabled_) return;
  set_autocast(false);
  at::autocast::clear_cache();  // of weights in 16 bit, which the next step changes
}

}  // namespace outsole::learn
