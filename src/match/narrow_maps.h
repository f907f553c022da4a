#pragma once
// A block's maps in fewer than 32 bits, [C, W, H, kLanes] as everywhere: how they are rounded, and widened again for a
// kernel.

#include <ATen/ATen.h>

#include "match/lanes.h"

namespace outsole::match {

/// Maps in 8 bits: a value is scale * (code - zero), with a scale and a zero of each channel and lane. An NCC sees
/// neither; other similarities and projections do.
struct EightBitMaps {
  at::Tensor codes;  // [C, W, H, kLanes] uint8
  at::Tensor scale;  // [C, kLanes] float32
  at::Tensor zero;   // [C, kLanes] uint8
};

/// Rounds a block (float32, finite) into `rounded`, whose memory is there. The codes of a channel and lane reach from
/// its least to its largest value, 0 among them: what is 0, such as white paper and empty lanes, stays so, and a window
/// that is flat stays flat. On one rank; runs on all threads, whose number changes no bit.
void round_to_8_bits(const at::Tensor& block, const EightBitMaps& rounded);

/// The values into `block`, float32 that is there. On the CPU, on all threads.
void widen(const EightBitMaps& rounded, const at::Tensor& block);

/// The same of finite 16-bit floats.
void widen_halves(const at::Tensor& halves, const at::Tensor& block);

}  // namespace outsole::match
