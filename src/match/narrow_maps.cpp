#include "match/narrow_maps.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/errors.h"
#include "core/parallel.h"

// One compilation for each instruction set, chosen as the program starts; all come to the same bits.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define OUTSOLE_EVERY_VECTOR_WIDTH __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define OUTSOLE_EVERY_VECTOR_WIDTH
#endif

namespace outsole::match {

namespace {

constexpr float kMostCode = 255;

/// Of one channel: `cells` times kLanes values.
OUTSOLE_EVERY_VECTOR_WIDTH void round_channel(const float* values, std::int64_t cells, std::uint8_t* codes,
                                              float* scale, std::uint8_t* zero) {
  float least[kLanes] = {}, most[kLanes] = {}, steps[kLanes], offset[kLanes];
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[cell * kLanes + lane];
      least[lane] = value < least[lane] ? value : least[lane];
      most[lane] = value > most[lane] ? value : most[lane];
    }
  }
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    // Divided first: the difference of two finite values may be none.
    scale[lane] = most[lane] / kMostCode - least[lane] / kMostCode;
    steps[lane] = scale[lane] > 0 ? 1 / scale[lane] : 0;
    if (!(steps[lane] < 1e38F)) scale[lane] = steps[lane] = 0;  // nothing but the smallest of numbers
    zero[lane] = static_cast<std::uint8_t>(std::clamp(-least[lane] * steps[lane] + 0.5F, 0.0F, kMostCode));
    offset[lane] = static_cast<float>(zero[lane]) + 0.5F;
  }
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      float code = values[cell * kLanes + lane] * steps[lane] + offset[lane];
      code = code > 0 ? code : 0;
      code = code < kMostCode ? code : kMostCode;
      codes[cell * kLanes + lane] = static_cast<std::uint8_t>(static_cast<std::int32_t>(code));
    }
  }
}

OUTSOLE_EVERY_VECTOR_WIDTH void widen_channel(const std::uint8_t* codes, const float* scale, const std::uint8_t* zero,
                                              std::int64_t cells, float* values) {
  float step[kLanes];
  std::int32_t none[kLanes];
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    step[lane] = scale[lane];
    none[lane] = zero[lane];
  }
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      values[cell * kLanes + lane] =
          static_cast<float>(std::int32_t{codes[cell * kLanes + lane]} - none[lane]) * step[lane];
    }
  }
}

/// The bits of a half, moved to their places in a float, stand for 2^-112 of it, whether it is normal or not.
OUTSOLE_EVERY_VECTOR_WIDTH void widen_some_halves(const std::uint16_t* halves, std::int64_t count, float* values) {
  constexpr float kTwoTo112 = 0x1p112F;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = halves[i];
    const float magnitude = std::bit_cast<float>((bits & 0x7fffU) << 13U) * kTwoTo112;
    values[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | (bits & 0x8000U) << 16U);
  }
}

/// The cells of a channel of a block that lies in one piece.
std::int64_t cells_of(const at::Tensor& block) {
  ensure(block.dim() == 4 && block.size(3) == kLanes && block.is_contiguous(), "a block [C, W, H, kLanes]");
  return block.size(1) * block.size(2);
}

}  // namespace

void round_to_8_bits(const at::Tensor& block, const EightBitMaps& rounded) {
  const std::int64_t cells = cells_of(block);
  ensure(rounded.codes.sizes() == block.sizes() && cells_of(rounded.codes) == cells, "memory for the codes");
  const float* const values = block.data_ptr<float>();
  std::uint8_t* const codes = rounded.codes.data_ptr<std::uint8_t>();
  float* const scale = rounded.scale.data_ptr<float>();
  std::uint8_t* const zero = rounded.zero.data_ptr<std::uint8_t>();
  for_each_on_threads(static_cast<std::size_t>(block.size(0)), [&](std::size_t c) {
    const std::size_t at = c * static_cast<std::size_t>(cells * kLanes), lane = c * kLanes;
    round_channel(values + at, cells, codes + at, scale + lane, zero + lane);
  });
}

void widen(const EightBitMaps& rounded, const at::Tensor& block) {
  const std::int64_t cells = cells_of(rounded.codes);
  ensure(rounded.codes.sizes() == block.sizes() && cells_of(block) == cells, "memory for the values");
  const std::uint8_t *const codes = rounded.codes.data_ptr<std::uint8_t>(), *const zero =
                                                                                rounded.zero.data_ptr<std::uint8_t>();
  const float* const scale = rounded.scale.data_ptr<float>();
  float* const values = block.data_ptr<float>();
  for_each_on_threads(static_cast<std::size_t>(block.size(0)), [&](std::size_t c) {
    const std::size_t at = c * static_cast<std::size_t>(cells * kLanes), lane = c * kLanes;
    widen_channel(codes + at, scale + lane, zero + lane, cells, values + at);
  });
}

void widen_halves(const at::Tensor& halves, const at::Tensor& block) {
  const std::int64_t cells = cells_of(halves);
  ensure(halves.sizes() == block.sizes() && cells_of(block) == cells, "memory for the values");
  const auto* const bits = static_cast<const std::uint16_t*>(halves.data_ptr());
  float* const values = block.data_ptr<float>();
  for_each_on_threads(static_cast<std::size_t>(block.size(0)), [&](std::size_t c) {
    const std::size_t at = c * static_cast<std::size_t>(cells * kLanes);
    widen_some_halves(bits + at, cells * kLanes, values + at);
  });
}

}  // namespace outsole::match
