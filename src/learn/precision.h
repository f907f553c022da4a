#pragma once
// How exactly GPUs compute products and convolutions. Weights, their gradients, the optimizer and the loss are kept in
// 32 bit always.

#include <string>

namespace outsole::learn {

/// k32: 32 bit throughout. kTf32: inputs rounded to 10 bits after the leading one, sums in 32 bit. kBf16: inputs and
/// results rounded to 7 bits after it (bfloat16), sums in 32 bit.
enum class Precision { k32, kTf32, kBf16 };

/// "32", "tf32" or "bf16".
std::string name_of(Precision precision);
/// Throws UsageError naming them for another word.
Precision parse_precision(const std::string& text);

/// Allows or forbids TF32 in all that this process computes on GPUs from here on, backward passes too, which have
/// threads of their own.
void allow_tf32(Precision precision);

/// While it lives, LibTorch computes this thread's convolutions and products on a GPU in bfloat16, if that is the
/// precision; backward passes follow what was computed forwards. Otherwise it does nothing.
class MixedPrecision {
 public:
  explicit MixedPrecision(Precision precision);
  ~MixedPrecision();
  MixedPrecision(const MixedPrecision&) = delete;
  MixedPrecision& operator=(const MixedPrecision&) = delete;

 private:
  bool enabled_;
};

}  // namespace outsole::learn
