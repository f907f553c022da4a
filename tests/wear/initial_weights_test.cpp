#include "wear/initial_weights.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "message_of.h"
#include "wear/model_file.h"

namespace outsole::wear {
namespace {

using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

NetworkShape shape(std::int64_t height_px, std::int64_t width_px) {
  return {Task::kPrediction, height_px, width_px, 6, 2, NetworkKind::kResidual, 4};
}

at::Tensor weights(const WearNetwork& network, const std::string& name) {
  for (const auto& [its_name, tensor] : weights_of(network)) {
    if (its_name == name) return tensor.detach();
  }
  return {};
}

/// What a grid of cells of `from_px` pixels, 32 a cell, holds at the middle of a cell of an image of `to_px` pixels:
/// the two cells to mix and the share of the second.
struct Mixture {
  std::int64_t first, second;
  double share;
};

Mixture mixture(std::int64_t cell, std::int64_t from_px, std::int64_t to_px) {
  const double place = (static_cast<double>(cell) + 0.5) * 32 / static_cast<double>(to_px);
  const double at = std::max(0.0, place * static_cast<double>(from_px) / 32 - 0.5);
  const std::int64_t last = (from_px + 31) / 32 - 1;
  const auto first = std::min(static_cast<std::int64_t>(at), last);
  return {first, std::min(first + 1, last), at - static_cast<double>(first)};
}

TEST(InitialWeights, AreThoseOfTheModelButForTheTimeMapsWhichAreInterpolatedBetweenCells) {
  for (const auto& [from, to] : {std::pair{shape(64, 96), shape(160, 224)}, std::pair{shape(150, 70), shape(75, 35)},
                                 std::pair{shape(64, 64), shape(63, 40)}}) {
    const WearNetwork model(from, 1);
    WearNetwork network(to, 2);
    start_from(model, network);
    for (const auto& [name, tensor] : weights_of(network)) {
      if (!name.starts_with("time1.")) {
        EXPECT_TRUE(tensor.equal(weights(model, name))) << name;
      }
    }
    const std::int64_t rows = (from.height_px + 31) / 32, columns = (from.width_px + 31) / 32;
    const std::int64_t to_rows = (to.height_px + 31) / 32, to_columns = (to.width_px + 31) / 32;
    for (const char* name : {"time1.weight", "time1.bias"}) {
      const at::Tensor there = weights(model, name).reshape({2, rows, columns, -1}).to(at::kDouble);
      const at::Tensor here = weights(network, name).reshape({2, to_rows, to_columns, -1}).to(at::kDouble);
      for (std::int64_t y = 0; y < to_rows; ++y) {
        for (std::int64_t x = 0; x < to_columns; ++x) {
          const Mixture down = mixture(y, from.height_px, to.height_px), right = mixture(x, from.width_px, to.width_px);
          const auto row = [&](std::int64_t at) {
            return (1 - right.share) * there.select(1, at).select(1, right.first) +
                   right.share * there.select(1, at).select(1, right.second);
          };
          const at::Tensor expected = (1 - down.share) * row(down.first) + down.share * row(down.second);
          EXPECT_LT((here.select(1, y).select(1, x) - expected).abs().max().item<double>(), 1e-6) << name;
        }
      }
    }
  }
}

TEST(InitialWeights, OfTheSameSizeMakeTheSameNetwork) {
  const WearNetwork model(shape(70, 41), 1);
  WearNetwork network(shape(70, 41), 2);
  start_from(model, network);
  const at::Tensor x = at::rand({2, 1, 70, 41}), time = at::rand({2, 1});
  EXPECT_TRUE(network.forward(x, time).equal(WearNetwork(shape(70, 41), 1).forward(x, time)));
}

TEST(InitialWeights, OfAnotherNetworkAreRefusedNamingWhatDiffers) {
  const NetworkShape to = shape(64, 64);
  const auto refusal = [&](auto change) {
    NetworkShape from = shape(32, 32);
    change(from);
    return message_of<UsageError>([&] { require_same_but_size(from, to, "old/model.h5"); });
  };
  EXPECT_NO_THROW(require_same_but_size(shape(32, 32), to, "old/model.h5"));
  EXPECT_THAT(refusal([](NetworkShape& from) { from.task = Task::kReconstruction; }),
              AllOf(HasSubstr("`init` old/model.h5"), HasSubstr("`task` is reconstruction, here it is prediction")));
  EXPECT_THAT(refusal([](NetworkShape& from) { from.kind = NetworkKind::kPaper; }), HasSubstr("`network` is paper"));
  EXPECT_THAT(refusal([](NetworkShape& from) { from.first_maps = 8; }), HasSubstr("`first_maps` is 8"));
  EXPECT_THAT(refusal([](NetworkShape& from) { from.time_hidden = 8; }), HasSubstr("`time_hidden` is 8"));
  EXPECT_THAT(refusal([](NetworkShape& from) { from.time_maps = 8; }), HasSubstr("`time_maps` is 8"));
}

}  // namespace
}  // namespace outsole::wear
