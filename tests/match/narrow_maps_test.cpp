#include "match/narrow_maps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace outsole::match {
namespace {

EightBitMaps memory_for(const at::Tensor& block) {
  return {at::empty(block.sizes(), at::kByte), at::empty({block.size(0), kLanes}, at::kFloat),
          at::empty({block.size(0), kLanes}, at::kByte)};
}

TEST(EightBitMaps, AreOffByHalfAStepAtMostAndKeepZero) {
  at::manual_seed(1);
  at::Tensor block = at::randn({5, 7, 3, kLanes}) * at::logspace(-6, 4, kLanes);
  block.relu_();                               // as most features are
  block.select(0, 1).neg_();                   // never positive
  block.select(0, 2).fill_(7);                 // flat
  block.select(3, 9).zero_();                  // an empty lane
  block.select(0, 3).select(0, 0).add_(1e20);  // what is small beside it is nothing
  const EightBitMaps rounded = memory_for(block);
  round_to_8_bits(block, rounded);
  at::Tensor wide = at::empty_like(block);
  widen(rounded, wide);
  const at::Tensor step = rounded.scale.view({5, 1, 1, kLanes});
  EXPECT_TRUE(((wide - block).abs() <= step * 0.501).all().item<bool>());
  EXPECT_TRUE((wide.masked_select(block == 0) == 0).all().item<bool>());
  const at::Tensor flat = wide.select(0, 2);
  EXPECT_TRUE((flat == flat.select(0, 0).select(0, 0)).all().item<bool>());
  const at::Tensor range = block.amax({1, 2}).clamp_min(0) - block.amin({1, 2}).clamp_max(0);
  EXPECT_TRUE(at::allclose(rounded.scale, range / 255, 1e-5, 0));
}

TEST(WidenHalves, GivesTheVeryValueOfEveryFiniteHalf) {
  std::vector<std::uint16_t> bits(1 << 16);
  std::iota(bits.begin(), bits.end(), 0);
  for (std::uint16_t& half : bits) half = (half & 0x7c00U) == 0x7c00U ? std::uint16_t{0} : half;
  const at::Tensor halves = at::from_blob(bits.data(), {4, 16, 32, kLanes}, at::kHalf);
  at::Tensor wide = at::empty(halves.sizes(), at::kFloat);
  widen_halves(halves, wide);
  EXPECT_TRUE(at::equal(wide, halves.to(at::kFloat)));
  EXPECT_TRUE(std::signbit(wide.view({-1})[0x8000].item<float>()));
}

}  // namespace
}  // namespace outsole::match
