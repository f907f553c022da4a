#include "wear/loss.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>

#include <cstdlib>
#include <opencv2/core.hpp>
#include <set>
#include <string>
#include <vector>

#include "measure/image_quality.h"

namespace outsole::wear {
namespace {

/// Two images that resemble each other, and what is known of them: all but a corner.
struct Case {
  explicit Case(std::uint64_t seed, at::ScalarType type = at::kDouble) {
    torch::manual_seed(seed);
    const at::Tensor drawn = at::randint(0, 256, {2, 1, 23, 18}, at::kDouble);
    target = drawn.to(type) / 255;
    predicted = ((drawn + at::randint(-60, 60, drawn.sizes(), at::kDouble)).clamp(0, 255) / 255).to(type);
    known = at::ones_like(target);
    known.slice(2, 0, 9).slice(3, 0, 8).zero_();
  }
  double known_pixels() const { return known.sum().item<double>(); }
  at::Tensor predicted, target, known;
};

cv::Mat1b as_image(const at::Tensor& plane) {
  const at::Tensor bytes = (plane * 255).round().to(at::kByte).contiguous();
  return cv::Mat1b(static_cast<int>(bytes.size(0)), static_cast<int>(bytes.size(1)), bytes.data_ptr<uchar>()).clone();
}

TEST(SquaredError, CountsKnownPixelsOnlyAndAddsUpOverPartsOfABatch) {
  const at::Tensor predicted = at::tensor({0.5, 0.25, 1.0, 0.0}).view({2, 1, 1, 2});
  const at::Tensor target = at::tensor({0.0, 0.75, 0.5, 1.0}).view({2, 1, 1, 2});
  const at::Tensor known = at::tensor({1.0, 0.0, 1.0, 1.0}).view({2, 1, 1, 2});
  const auto part = [&](std::int64_t i) { return squared_error(predicted[i], target[i], known[i], 3).item<double>(); };
  EXPECT_DOUBLE_EQ(squared_error(predicted, target, known, 3).item<double>(), (0.25 + 0.25 + 1) / 3);
  EXPECT_DOUBLE_EQ(part(0) + part(1), (0.25 + 0.25 + 1) / 3);
}

TEST(StructuralDissimilarity, IsOneLessTheSimilarityThatResultsAreMeasuredBy) {
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-5}, std::pair{at::kFloat, 2e-5}}) {
    const Case images(7, type);
    double similarity = 0;
    for (std::int64_t i = 0; i < 2; ++i) {
      similarity += 0.5 * measure::structural_similarity(as_image(images.predicted[i][0]),
                                                         as_image(images.target[i][0]), as_image(images.known[i][0]));
    }
    const double found =
        structural_dissimilarity(images.predicted, images.target, images.known, images.known_pixels()).item<double>();
    EXPECT_NEAR(found, 1 - similarity, tolerance);
    EXPECT_LT(similarity, 0.95);
  }
}

TEST(StructuralDissimilarity, AddsUpOverPartsOfABatch) {
  const Case images(8);
  const auto of = [&](std::int64_t first, std::int64_t count) {
    const auto cut = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, count); };
    return structural_dissimilarity(cut(images.predicted), cut(images.target), cut(images.known), images.known_pixels())
        .item<double>();
  };
  EXPECT_NEAR(of(0, 1) + of(1, 1), of(0, 2), 1e-14);
}

TEST(StructuralDissimilarity, OfEqualImagesIsZeroAndDoesNotDependOnWhatIsUnknown) {
  const Case images(9);
  const double known = images.known_pixels();
  EXPECT_NEAR(structural_dissimilarity(images.target, images.target, images.known, known).item<double>(), 0, 1e-14);
  const at::Tensor other = at::where(images.known > 0, images.predicted, at::zeros_like(images.predicted));
  EXPECT_EQ(structural_dissimilarity(other, images.target, images.known, known).item<double>(),
            structural_dissimilarity(images.predicted, images.target, images.known, known).item<double>());
}

TEST(StructuralDissimilarity, GradientIsItsFiniteDifference) {
  Case images(10);
  images.predicted.requires_grad_();
  const auto loss = [&] {
    return structural_dissimilarity(images.predicted, images.target, images.known, images.known_pixels());
  };
  loss().backward();
  const at::Tensor gradient = images.predicted.grad();
  const c10::NoGradGuard no_gradients;
  for (at::Tensor direction : {gradient.clone(), at::randn_like(gradient)}) {
    direction /= direction.norm();
    constexpr double kStep = 1e-5;
    images.predicted += kStep * direction;
    const double above = loss().item<double>();
    images.predicted -= 2 * kStep * direction;
    const double below = loss().item<double>();
    images.predicted += kStep * direction;
    EXPECT_NEAR((gradient * direction).sum().item<double>(), (above - below) / (2 * kStep),
                1e-7 * gradient.norm().item<double>());
  }
}

/// The gradient by `predicted`, where LibTorch refuses operations whose result changes from run to run on a GPU.
at::Tensor gradient_of(Case images, const at::Device& device) {
  images.predicted = images.predicted.to(device).requires_grad_();
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  structural_dissimilarity(images.predicted, images.target.to(device), images.known.to(device), images.known_pixels())
      .backward();
  at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
  return images.predicted.grad().cpu();
}

/// LibTorch's own padding is such a one.
TEST(StructuralDissimilarity, UsesNoOperationOfLibTorchsThatIsNotDeterministicOnAGpu) {
  Case images(11);
  images.predicted.requires_grad_();
  const at::Tensor loss =
      structural_dissimilarity(images.predicted, images.target, images.known, images.known_pixels());
  std::vector<torch::autograd::Node*> nodes{loss.grad_fn().get()};
  std::set<std::string> names;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    names.insert(nodes[i]->name());
    for (const auto& edge : nodes[i]->next_edges()) {
      if (edge.function) nodes.push_back(edge.function.get());
    }
  }
  EXPECT_TRUE(names.contains("MulBackward0"));
  for (const std::string& name : names) {
    EXPECT_EQ(name.find("ReflectionPad"), name.npos) << name;
    EXPECT_EQ(name.find("ReplicationPad"), name.npos) << name;
  }
}

TEST(MirroredEdges, AreLibTorchsOnACpuBitForBit) {
  torch::manual_seed(12);
  for (const auto& [height, width] : {std::pair{23, 18}, std::pair{6, 7}, std::pair{11, 64}}) {
    const at::Tensor image = at::rand({2, 1, height, width}, at::kFloat),
                     weights = at::randn({2, 1, height + 10, width + 10});
    at::Tensor ours = image.clone().requires_grad_(), theirs = image.clone().requires_grad_();
    const at::Tensor padded = mirrored_edges(ours), expected = at::reflection_pad2d(theirs, {5, 5, 5, 5});
    EXPECT_TRUE(at::equal(padded, expected));
    (padded * weights).sum().backward();
    (expected * weights).sum().backward();
    EXPECT_TRUE(at::equal(ours.grad(), theirs.grad())) << height << " x " << width;
  }
}

TEST(StructuralDissimilarity, OnAGpuItsGradientIsTheSameBitsEveryTime) {
  if (!at::hasCUDA()) GTEST_SKIP() << "needs a GPU and a LibTorch that can use it";
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  const Case images(13, at::kFloat);
  const at::Tensor first = gradient_of(images, at::Device(at::kCUDA, 0));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(at::equal(gradient_of(images, at::Device(at::kCUDA, 0)), first));
}

}  // namespace
}  // namespace outsole::wear
