#include "match/rotation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace outsole::match {
namespace {

at::Tensor random_image(std::int64_t height, std::int64_t width) {
  at::manual_seed(3);
  return at::rand({height, width}) * 255;
}

TEST(Rotation, ByZeroReturnsTheImageItself) {
  const at::Tensor image = random_image(11, 8), mask = image > 100;
  EXPECT_TRUE(at::equal(rotate_image(image, 0, 255), image));
  EXPECT_TRUE(at::equal(rotate_mask(mask, 0), mask));
}

TEST(Rotation, ByQuarterTurnsIsExact) {
  for (const std::int64_t side : {9, 10}) {
    const at::Tensor image = random_image(side, side), mask = image > 100;
    for (const int turns : {-1, 1, 2, 3}) {
      const at::Tensor expected = at::rot90(image, turns);  // counter-clockwise on screen from axis 0 towards axis 1
      EXPECT_LT((rotate_image(image, 90 * turns, 0) - expected).abs().max().item<float>(), 1e-3F) << turns;
      EXPECT_TRUE(at::equal(rotate_mask(mask, 90 * turns), at::rot90(mask, turns))) << turns;
    }
  }
}

TEST(Rotation, ByAPositiveAngleTurnsCounterClockwiseAsSeen) {
  const double angle_deg = std::atan2(3, 4) * 180 / std::numbers::pi;
  at::Tensor image = at::zeros({41, 41});
  image[20][20 + 15] = 1;  // right of the centre
  const std::int64_t up_and_right = (20 - 9) * 41 + 20 + 12;
  EXPECT_EQ(rotate_image(image, angle_deg, 0).argmax().item<std::int64_t>(), up_and_right);
  EXPECT_TRUE(rotate_mask(image > 0, angle_deg).view(-1)[up_and_right].item<bool>());
}

TEST(Rotation, ReproducesALinearRampInside) {
  const double angle = 17 * std::numbers::pi / 180;
  const at::Tensor y = at::arange(31, at::kFloat).view({-1, 1}) - 15, x = at::arange(41, at::kFloat).view({1, -1}) - 20;
  const at::Tensor turned = rotate_image(2 * x - y, 17, 0);
  const at::Tensor expected =
      2 * (x * std::cos(angle) - y * std::sin(angle)) - (y * std::cos(angle) + x * std::sin(angle));
  const at::Tensor inside = (turned - expected).slice(0, 8, 23).slice(1, 10, 31);
  EXPECT_LT(inside.abs().max().item<float>(), 1e-4F);
}

TEST(Rotation, FillsOutsideAndKeepsAConstantOfTheSameValue) {
  const at::Tensor image = at::full({20, 60}, 255.F);
  EXPECT_LT((rotate_image(image, 20, 255) - 255).abs().max().item<float>(), 1e-3F);
  const at::Tensor on_black = rotate_image(image, 45, 0);
  EXPECT_EQ(on_black[0][0].item<float>(), 0);
  EXPECT_NEAR(on_black[10][30].item<float>(), 255, 1e-3);
}

TEST(Rotation, OfAMaskIsFalseOutside) {
  const at::Tensor turned = rotate_mask(at::ones({20, 60}, at::kBool), 45);
  EXPECT_FALSE(turned[0][0].item<bool>());
  EXPECT_TRUE(turned[10][30].item<bool>());
  EXPECT_TRUE(at::equal(turned, turned.flip({0, 1})));  // about its centre
}

}  // namespace
}  // namespace outsole::match
