#include "wear/network.h"

#include <ATen/record_function.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <string>

#include "core/errors.h"

namespace outsole::wear {
namespace {

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

// --- Transposed convolution -----------------------------------------------------------------------------------------

struct Layer {
  std::int64_t images, maps_in, maps_out, height, width;
};

/// A layer's output and the gradients of a weighted sum of it.
template <typename Function>
std::vector<at::Tensor> output_and_gradients(const Layer& layer, at::ScalarType type, const Function& function) {
  torch::manual_seed(5);
  const auto random = [&](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble).to(type).requires_grad_(); };
  const at::Tensor x = random({layer.images, layer.maps_in, layer.height, layer.width});
  const at::Tensor weight = random({layer.maps_in, layer.maps_out, 4, 4}), bias = random({layer.maps_out});
  const at::Tensor y = function(x, weight, bias);
  (y * at::randn(y.sizes(), at::kDouble).to(type)).sum().backward();
  return {y, x.grad(), weight.grad(), bias.grad()};
}

constexpr Layer kLayers[] = {{2, 3, 7, 5, 6}, {1, 24, 32, 1, 1}, {3, 40, 16, 9, 4}, {2, 32, 1, 3, 5}, {1, 1, 1, 4, 4}};

TEST(DoubleSize, IsTheTransposedConvolutionWithItsGradients) {
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-12}, std::pair{at::kFloat, 2e-6}}) {
    for (const Layer& layer : kLayers) {
      const auto ours =
          output_and_gradients(layer, type, [](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
            return double_size(x, weight, bias);
          });
      const auto torchs =
          output_and_gradients(layer, type, [](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
            return at::conv_transpose2d(x, weight, bias, 2, 1);
          });
      ASSERT_EQ(ours[0].sizes(), torchs[0].sizes());
      for (std::size_t i = 0; i < ours.size(); ++i) {
        EXPECT_LE(relative_difference(ours[i], torchs[i]), tolerance) << layer.maps_in << " maps, tensor " << i;
      }
    }
  }
}

// --- Network --------------------------------------------------------------------------------------------------------

NetworkShape small_shape(Task task = Task::kPrediction, NetworkKind kind = NetworkKind::kPaper) {
  return {task, 64, 32, 6, 3, kind};
}

constexpr NetworkKind kKinds[] = {NetworkKind::kPaper, NetworkKind::kResidual};

at::Tensor images_of(const NetworkShape& shape, std::int64_t images, at::ScalarType type = at::kDouble) {
  torch::manual_seed(3);
  return at::rand({images, 1, shape.height_px, shape.width_px}, at::kDouble).to(type);
}

at::Tensor times_of(const NetworkShape& shape, const std::vector<double>& weeks, at::ScalarType type = at::kDouble) {
  std::vector<float> numbers(static_cast<std::size_t>(time_inputs(shape.task)));
  at::Tensor times = at::empty({std::ssize(weeks), time_inputs(shape.task)});
  for (std::int64_t i = 0; i < std::ssize(weeks); ++i) {
    encode_time(shape.task, weeks[static_cast<std::size_t>(i)], numbers);
    times[i].copy_(at::tensor(numbers));
  }
  return times.to(type);
}

WearNetwork double_network(const NetworkShape& shape, std::uint64_t seed = 1) {
  WearNetwork network(shape, seed);
  network.to(torch::kDouble);
  return network;
}

TEST(WearNetwork, GivesAnImageBetweenBlackAndPaperOfTheInputsSize) {
  for (const Task task : {Task::kPrediction, Task::kReconstruction}) {
    for (const auto& [height_px, width_px] : {std::pair{64, 32}, std::pair{33, 50}}) {
      const NetworkShape shape{task, height_px, width_px, 6, 3};
      WearNetwork network(shape, 1);
      const at::Tensor y = network.forward(images_of(shape, 2, at::kFloat), times_of(shape, {0, 52}, at::kFloat));
      EXPECT_EQ(y.sizes(), at::IntArrayRef({2, 1, height_px, width_px}));
      EXPECT_GT(y.min().item<double>(), 0);
      EXPECT_LT(y.max().item<double>(), 1);
    }
  }
}

void expect_finite_differences(NetworkKind kind) {
  const NetworkShape shape = small_shape(Task::kReconstruction, kind);
  WearNetwork network = double_network(shape);
  const at::Tensor x = images_of(shape, 2).requires_grad_(), times = times_of(shape, {4, 20});
  // Weights of both signs on what has changed: a number near 0, so that its differences lose no digits.
  const at::Tensor weights = images_of(shape, 2).flip(2) - 0.5, before = network.forward(x, times).detach();
  const auto loss = [&] { return (weights * (network.forward(x, times) - before)).sum(); };
  loss().backward();

  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"image", x}};
  for (const auto& named : network.named_parameters()) tensors.emplace_back(named.key(), named.value());
  EXPECT_EQ(tensors.size(), 1 + 2 * 12);
  const c10::NoGradGuard no_gradients;
  for (auto& [name, tensor] : tensors) {
    // Along the gradient itself, so that the difference is large, and along a random direction.
    for (at::Tensor direction : {tensor.grad().clone(), at::randn_like(tensor) * tensor.grad().abs()}) {
      ASSERT_GT(direction.norm().item<double>(), 0) << name;
      direction /= direction.norm();
      constexpr double kStep = 1e-6;
      tensor += kStep * direction;
      const double above = loss().item<double>();
      tensor -= 2 * kStep * direction;
      const double below = loss().item<double>();
      tensor += kStep * direction;
      const double expected = (above - below) / (2 * kStep), norm = tensor.grad().norm().item<double>();
      EXPECT_NEAR((tensor.grad() * direction).sum().item<double>(), expected, 1e-6 * norm + 1e-9) << name;
    }
  }
}

TEST(WearNetwork, GradientOfEveryLayerIsItsFiniteDifference) {
  for (const NetworkKind kind : kKinds) {
    SCOPED_TRACE(name_of(kind));
    expect_finite_differences(kind);
  }
}

TEST(WearNetwork, OfResidualsGivesItsInputBackAtFirst) {
  const NetworkShape shape = small_shape(Task::kPrediction, NetworkKind::kResidual);
  WearNetwork residual = double_network(shape), paper = double_network(small_shape());
  const at::Tensor x = images_of(shape, 3), times = times_of(shape, {0, 8, 52});
  const auto difference = [&](WearNetwork& network) {
    return (network.forward(x, times) - x).abs().mean().item<double>();
  };
  EXPECT_LT(difference(residual), 0.05);
  EXPECT_GT(difference(paper), 0.2);
}

/// The residual network by its definition, of LibTorch's own layers.
TEST(WearNetwork, OfResidualsAddsWhatTheEncoderHadAtEachSize) {
  const NetworkShape shape = small_shape(Task::kPrediction, NetworkKind::kResidual);
  WearNetwork network = double_network(shape);
  const at::Tensor x = images_of(shape, 2), times = times_of(shape, {8, 34});
  const auto parameters = network.named_parameters();
  const auto weight = [&](const std::string& name) { return parameters[name + ".weight"]; };
  const auto bias = [&](const std::string& name) { return parameters[name + ".bias"]; };
  std::vector<at::Tensor> encoded{at::logit(x.clamp(0.01, 0.99))};
  at::Tensor maps = x;
  for (int layer = 0; layer < 5; ++layer) {
    const std::string name = "encoder" + std::to_string(layer);
    maps = at::relu(at::conv2d(maps, weight(name), bias(name), 2, 1));
    encoded.push_back(maps);
  }
  const at::Tensor hidden = at::relu(at::linear(times, weight("time0"), bias("time0")));
  const at::Tensor when = at::relu(at::linear(hidden, weight("time1"), bias("time1"))).view({2, 3, 2, 1});
  maps = at::cat({maps, when}, 1);
  for (int layer = 0; layer < 5; ++layer) {
    const std::string name = "decoder" + std::to_string(layer);
    maps = at::conv_transpose2d(maps, weight(name), bias(name), 2, 1) + encoded[static_cast<std::size_t>(4 - layer)];
    maps = layer == 4 ? at::sigmoid(maps) : at::relu(maps);
  }
  EXPECT_LE(relative_difference(network.forward(x, times), maps), 1e-12);
}

TEST(WearNetwork, SidesThatAreNoMultiplesOf32ArePaddedWithPaperAndCropped) {
  for (const NetworkKind kind : kKinds) {
    const NetworkShape odd{Task::kPrediction, 50, 37, 6, 3, kind}, whole{Task::kPrediction, 64, 64, 6, 3, kind};
    WearNetwork odd_network = double_network(odd), whole_network = double_network(whole);
    const at::Tensor x = images_of(odd, 2), times = times_of(odd, {8, 34});
    at::Tensor padded = at::ones({2, 1, 64, 64}, at::kDouble);
    padded.slice(2, 0, 50).slice(3, 0, 37).copy_(x);
    const at::Tensor expected = whole_network.forward(padded, times).slice(2, 0, 50).slice(3, 0, 37);
    EXPECT_TRUE(at::equal(odd_network.forward(x, times), expected));
  }
}

TEST(WearNetwork, HasAsManyWeightsAsItsShapeSays) {
  for (const NetworkShape& shape : {small_shape(), NetworkShape{Task::kReconstruction, 70, 40, 9, 2, {}, 12}}) {
    std::int64_t weights = 0;
    for (const at::Tensor& parameter : WearNetwork(shape, 1).parameters()) weights += parameter.numel();
    EXPECT_EQ(weight_count(shape), weights);
  }
}

TEST(WearNetwork, AnotherTimeGivesAnotherImageInBothTasks) {
  for (const Task task : {Task::kPrediction, Task::kReconstruction}) {
    const NetworkShape shape = small_shape(task);
    WearNetwork network = double_network(shape);
    const at::Tensor x = images_of(shape, 1);
    const at::Tensor early = network.forward(x, times_of(shape, {2})), late = network.forward(x, times_of(shape, {40}));
    EXPECT_GT((early - late).abs().max().item<double>(), 1e-8);
  }
}

TEST(WearNetwork, ImagesOfABatchDoNotMeet) {
  const NetworkShape shape = small_shape();
  WearNetwork network = double_network(shape);
  const at::Tensor x = images_of(shape, 3), times = times_of(shape, {0, 8, 52});
  const at::Tensor together = network.forward(x, times);
  for (std::int64_t i = 0; i < 3; ++i) {
    const at::Tensor alone = network.forward(x.slice(0, i, i + 1), times.slice(0, i, i + 1));
    EXPECT_LE(relative_difference(together.slice(0, i, i + 1), alone), 1e-13);
  }
}

TEST(WearNetwork, TheSeedAloneDecidesTheWeights) {
  WearNetwork one(small_shape(), 7), same(small_shape(), 7), other(small_shape(), 8);
  for (std::size_t i = 0; i < one.parameters().size(); ++i) {
    EXPECT_TRUE(at::equal(one.parameters()[i], same.parameters()[i]));
    if (one.parameters()[i].dim() == 1) continue;  // a bias
    EXPECT_FALSE(at::equal(one.parameters()[i], other.parameters()[i]));
  }
}

TEST(WearNetwork, RefusesSizesThatVanishBelowFiveHalvings) {
  EXPECT_THROW(WearNetwork({Task::kPrediction, 31, 64, 6, 3}, 1), UsageError);
  EXPECT_THROW(WearNetwork({Task::kPrediction, 64, 0, 6, 3}, 1), UsageError);
  EXPECT_THROW(WearNetwork({Task::kPrediction, 64, 64, 0, 3}, 1), UsageError);
  EXPECT_THROW(WearNetwork({Task::kPrediction, 64, 64, 6, 3, NetworkKind::kPaper, 0}, 1), UsageError);
  EXPECT_THROW(WearNetwork({Task::kPrediction, 64, 64, 6, -1}, 1), UsageError);
}

TEST(WearNetwork, RefusesImagesAndTimesOfAnotherShape) {
  const NetworkShape shape = small_shape();
  WearNetwork network = double_network(shape);
  EXPECT_THROW(network.forward(at::ones({1, 1, 32, 64}, at::kDouble), times_of(shape, {0})), Bug);
  EXPECT_THROW(network.forward(images_of(shape, 2), times_of(shape, {0})), Bug);
}

/// Adds up the floating point operations of the convolutions and products that LibTorch is asked for.
double counted_flops = 0;

std::unique_ptr<at::ObserverContext> count_flops(const at::RecordFunction& function) {
  const std::string name = function.name();
  const auto tensor = [&](std::size_t i) { return function.inputs()[i].toTensor(); };
  const auto cells = [](const at::Tensor& maps) { return static_cast<double>(maps.size(2) * maps.size(3)); };
  if (name == "aten::convolution") {
    const bool transposed = function.inputs()[6].toBool();
    counted_flops += 2.0 * static_cast<double>(tensor(1).numel()) * cells(tensor(0)) / (transposed ? 1 : 4);
  } else if (name == "aten::convolution_backward") {  // by its input: the transposed convolution of its first argument
    counted_flops += 2.0 * static_cast<double>(tensor(2).numel()) * cells(tensor(0));
  } else if (name == "aten::addmm") {
    counted_flops += 2.0 * static_cast<double>(tensor(2).numel());
  }
  return nullptr;
}

TEST(WearNetwork, FlopsAreThoseOfTheOperationsOfAForwardPass) {
  for (const NetworkShape& shape : {small_shape(Task::kReconstruction),
                                    NetworkShape{Task::kPrediction, 70, 40, 9, 2, NetworkKind::kResidual, 12}}) {
    WearNetwork network = double_network(shape);
    const at::Tensor x = images_of(shape, 1), times = times_of(shape, {4});
    const c10::NoGradGuard no_gradients;
    counted_flops = 0;
    const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(count_flops).needsInputs(true));
    network.forward(x, times);
    at::removeCallback(handle);
    EXPECT_DOUBLE_EQ(network.flops(), counted_flops);
  }
}

}  // namespace
}  // namespace outsole::wear
