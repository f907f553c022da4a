#pragma once

namespace outsole::learn {

/// While it lives, LibTorch computes this thread's convolutions and products on a GPU in bfloat16; weights, sums and
/// the loss stay in 32 bit. A disabled one does nothing.
class MixedPrecision {
 public:
  explicit MixedPrecision(bool enabled);
  ~MixedPrecision();
  MixedPrecision(const MixedPrecision&) = delete;
  MixedPrecision& operator=(const MixedPrecision&) = delete;

 private:
  bool enabled_;
};

}  // namespace outsole::learn
