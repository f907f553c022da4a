#include "learn/precision.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include "core/errors.h"

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

std::string name_of(Precision precision) {
  switch (precision) {
    case Precision::k32:
      return "32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kBf16:
      return "bf16";
  }
  throw Bug("unknown precision");
}

Precision parse_precision(const std::string& text) {
  for (const Precision precision : {Precision::k32, Precision::kTf32, Precision::kBf16}) {
    if (text == name_of(precision)) return precision;
  }
  throw UsageError("no precision '" + text + "': 32, tf32 or bf16 (of products and convolutions on a GPU)");
}

void allow_tf32(Precision precision) {
  at::globalContext().setAllowTF32CuDNN(precision == Precision::kTf32);
  at::globalContext().setAllowTF32CuBLAS(precision == Precision::kTf32);
}

MixedPrecision::MixedPrecision(Precision precision) : enabled_(precision == Precision::kBf16) {
  if (enabled_) set_autocast(true);
}

MixedPrecision::~MixedPrecision() {
  if (!enabled_) return;
  set_autocast(false);
  at::autocast::clear_cache();  // of weights in 16 bit, which the next step changes
}

}  // namespace outsole::learn
