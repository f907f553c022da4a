#include "features/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/errors.h"
#include "features/extractor.h"
#include "features/naive_layers.h"
#include "features/weights_fixture.h"

namespace outsole::features {
namespace {

using ::testing::HasSubstr;

constexpr double kMeanGrey = 142.5;

Derived derived(const std::vector<Layer>& layers, std::int64_t length = 40) {
  return derive(layers, {{.channels = 3}, length, length});
}

Layer convolution(const std::string& name, std::int64_t channels, const Window& window = {}) {
  return ConvolutionLayer{.name = name, .channels = channels, .window = window, .bias = true};
}

/// Weights of the network that `spec` names or holds, drawn at random.
std::vector<NamedTensor> random_weights_of(const ExtractorSpec& spec) {
  const std::optional<Network> network = find_network(spec);
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> shapes;
  for (const PlacedConvolution& place : derived(network->layers).convolutions) {
    for (const WeightTensor& tensor : place.tensors()) shapes.emplace_back(tensor.name, tensor.shape);
  }
  return random_tensors(shapes);
}

class Networks : public ::testing::Test {
 protected:
  at::Tensor image(std::int64_t height, std::int64_t width) {
    at::manual_seed(17);
    return at::rand({1, height, width}) * 255;
  }

  /// The map of an image seen with these weights.
  at::Tensor map_of(const at::Tensor& images, ExtractorSpec spec, const std::vector<NamedTensor>& weights) {
    spec.weights_path = folder_ / "weights.safetensors";
    spec.mean_grey = kMeanGrey;
    write_safetensors(spec.weights_path, weights);
    return make_extractor(spec)->extract(images)[0];
  }

  TemporaryFolder folder_;
};

TEST(Derive, CentresEvenWindowsBetweenPixels) {
  const Layer halving = MaxPoolLayer{{.kernel = 2, .stride = 2}};
  EXPECT_EQ(derived({halving}).geometry, (MapGeometry{3, 2, 1}));
  EXPECT_EQ(derived({halving, halving}).geometry, (MapGeometry{3, 4, 3}));
  EXPECT_EQ(derived({halving, AveragePoolLayer{{.kernel = 3, .stride = 2}}}).geometry, (MapGeometry{3, 4, 5}));
  EXPECT_EQ(derived({convolution("c", 8, {.kernel = 7, .stride = 2, .padding = 3})}).geometry, (MapGeometry{8, 2, 0}));
}

TEST(Derive, FollowsBranches) {
  const std::vector<Layer> layers = {
      ConcatLayer{{{convolution("a", 5)}, {convolution("b", 2), convolution("c", 7, {.kernel = 3, .padding = 1})}}},
      ResidualLayer{{convolution("d", 6, {.stride = 2})},
                    {convolution("e", 6, {.kernel = 3, .stride = 2, .padding = 1})}}};
  const Derived end = derived(layers, 9);
  EXPECT_EQ(end.geometry, (MapGeometry{6, 2, 0}));
  EXPECT_EQ(end.height, 5);
  EXPECT_EQ(end.flops, 2 * (81. * 3 * (5 + 2) + 81. * 9 * 2 * 7 + 25. * 12 * 6 * (1 + 9)));
  std::vector<std::string> names;
  for (const PlacedConvolution& place : end.convolutions) {
    for (const WeightTensor& tensor : place.tensors()) names.push_back(tensor.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a.weight", "a.bias", "b.weight", "b.bias", "c.weight", "c.bias",
                                             "d.weight", "d.bias", "e.weight", "e.bias"}));
  EXPECT_EQ(end.convolutions[2].tensors()[0].shape, (std::vector<std::int64_t>{7, 2, 3, 3}));
}

TEST(Derive, RefusesBranchesThatDoNotMeet) {
  const Layer same = convolution("a", 3), wider = convolution("b", 4),
              moved = convolution("c", 3, {.kernel = 2, .padding = 1}), halved = convolution("d", 3, {.stride = 2});
  EXPECT_NO_THROW(derived({ResidualLayer{{same}}}));
  EXPECT_NO_THROW(derived({ConcatLayer{{{same}, {wider}}}}));
  for (const Layer& layer : {wider, moved, halved}) EXPECT_THROW(derived({ResidualLayer{{layer}}}), DataError);
  for (const Layer& layer : {moved, halved}) EXPECT_THROW(derived({ConcatLayer{{{same}, {layer}}}}), DataError);
  EXPECT_THROW(derived({ResidualLayer{{}, {same}}}), DataError);
  EXPECT_THROW(derived({ConcatLayer{}}), DataError);
}

TEST(Derive, RefusesStridesThatNoImageHas) {
  EXPECT_THROW(derived(std::vector<Layer>(40, MaxPoolLayer{{.kernel = 3, .stride = 3}})), DataError);
}

TEST_F(Networks, EvaluateEveryKindOfLayerAsANaiveReferenceDoes) {
  // A ReLU first in a branch must leave the map to the other branches.
  const std::vector<Layer> layers = {convolution("first", 6, {.kernel = 3, .stride = 2, .padding = 1}),
                                     ResponseNormLayer{.channels = 4, .alpha = 0.3, .beta = 0.6, .k = 2},
                                     ConcatLayer{{{ReluLayer{}, convolution("a", 4)},
                                                  {AveragePoolLayer{{.kernel = 3, .padding = 1}}, convolution("b", 3)},
                                                  {MaxPoolLayer{{.kernel = 3, .stride = 1, .padding = 1}}},
                                                  {}}},
                                     MaxPoolLayer{{.kernel = 2, .stride = 2, .ceil_mode = true}},
                                     ResidualLayer{{ReluLayer{}, convolution("c", 19, {.kernel = 3, .padding = 1})}},
                                     AveragePoolLayer{{.kernel = 2, .stride = 2}}};
  const ExtractorSpec spec = {.kind = "drawn", .network = Network{convention_named("caffe"), layers}};
  const std::vector<NamedTensor> weights = random_weights_of(spec);
  const TensorsByName named = by_name(weights);
  const auto convolved = [&](const Map& map, const std::string& name, std::int64_t stride, std::int64_t pad) {
    return add_bias(naive_convolution(map, *named.at(name + ".weight"), stride, pad), *named.at(name + ".bias"));
  };
  for (const std::int64_t height : {21, 22, 23, 25}) {
    const at::Tensor seen = image(height, 30);
    const Map first = naive_response_norm(convolved(grey_planes(seen[0], kMeanGrey), "first", 2, 1), 4, 0.3, 0.6, 2);
    const Map all =
        concatenated({convolved(relu(first), "a", 1, 0), convolved(naive_average_pool(first, 3, 1, 1), "b", 1, 0),
                      naive_max_pool(first, 3, 1, 1, false), first});
    const Map halved = naive_max_pool(all, 2, 2, 0, true);
    const Map expected = naive_average_pool(sum(convolved(relu(halved), "c", 1, 1), halved), 2, 2, 0);
    EXPECT_LT(relative_error(map_of(seen, spec, weights), expected), 2e-6) << height;
    EXPECT_GT(alive(expected), 0.2);
  }
}

TEST_F(Networks, FoldBatchNormsWithTheirOwnEpsilonIntoConvolutionsWithABias) {
  ConvolutionLayer layer = {.name = "c", .channels = 5, .window = {.kernel = 3}, .bias = true, .batch_norm = "n"};
  layer.batch_norm_epsilon = 0.3;
  const ExtractorSpec spec = {.kind = "drawn", .network = Network{convention_named("caffe"), {layer}}};
  const std::vector<NamedTensor> weights = random_weights_of(spec);
  const TensorsByName named = by_name(weights);
  const at::Tensor seen = image(8, 9);
  const Map sums = naive_convolution(grey_planes(seen[0], kMeanGrey), *named.at("c.weight"), 1, 0);
  const Map expected = batch_norm(add_bias(sums, *named.at("c.bias")), named, "n", 0.3);
  EXPECT_LT(relative_error(map_of(seen, spec, weights), expected), 2e-6);
}

TEST_F(Networks, SeePlanesInTheOrderOfTheConvention) {
  Convention convention = convention_named("torchvision");
  const ExtractorSpec spec = {.kind = "drawn", .network = Network{convention, {convolution("c", 1)}}};
  std::vector<NamedTensor> weights = {{"c.weight", {1, 3, 1, 1}, {1, 0, 0}}, {"c.bias", {1}, {0}}};
  const at::Tensor white = at::full({1, 1, 1}, 255.0);
  EXPECT_NEAR(map_of(white.to(at::kFloat), spec, weights).item<float>(), (1 - 0.485) / 0.229, 1e-6);
  convention.planes_are_bgr = true;
  const ExtractorSpec bgr = {.kind = "drawn", .network = Network{convention, {convolution("c", 1)}}};
  EXPECT_NEAR(map_of(white.to(at::kFloat), bgr, weights).item<float>(), (1 - 0.406) / 0.225, 1e-6);
}

TEST_F(Networks, Vgg16EqualsANaiveReference) {
  const ExtractorSpec spec = {.kind = "vgg16:relu3_1"}, deepest = {.kind = "vgg16:relu5_3"};
  const std::vector<NamedTensor> weights = random_weights_of(deepest);
  const TensorsByName named = by_name(weights);
  const at::Tensor seen = image(17, 18);
  const auto block = [&](Map map, const std::vector<int>& places) {
    for (const int place : places) {
      const std::string name = "features." + std::to_string(place);
      map = relu(add_bias(naive_convolution(map, *named.at(name + ".weight"), 1, 1), *named.at(name + ".bias")));
    }
    return map;
  };
  for (const std::string convention : {"caffe", "torchvision"}) {
    const bool caffe = convention == "caffe";
    Map planes = grey_planes(seen[0], kMeanGrey);
    if (!caffe) {
      const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
      for (std::int64_t c = 0; c < 3; ++c) {
        for (std::int64_t i = 0; i < 17 * 18; ++i) {
          double& value = planes.values[c * 17 * 18 + i];
          value = ((value + kMeanGrey) / 255 - mean[c]) / deviation[c];
        }
      }
    }
    Map map = naive_max_pool(block(planes, {0, 2}), 2, 2, 0, caffe);
    map = naive_max_pool(block(map, {5, 7}), 2, 2, 0, caffe);
    const Map expected = block(map, {10});
    ExtractorSpec seen_by = spec;
    seen_by.weights_convention = convention;
    EXPECT_LT(relative_error(map_of(seen, seen_by, weights), expected), 2e-6) << convention;
    EXPECT_GT(alive(expected), 0.2);
    map = naive_max_pool(block(expected, {12, 14}), 2, 2, 0, caffe);
    map = naive_max_pool(block(map, {17, 19, 21}), 2, 2, 0, caffe);
    seen_by.kind = deepest.kind;
    EXPECT_LT(relative_error(map_of(seen, seen_by, weights), block(map, {24, 26, 28})), 1e-5) << convention;
  }
}

TEST_F(Networks, SqueezeNetEqualsANaiveReference) {
  const ExtractorSpec spec = {.kind = "squeezenet:fire4"}, deepest = {.kind = "squeezenet:fire9"};
  const std::vector<NamedTensor> weights = random_weights_of(deepest);
  const TensorsByName named = by_name(weights);
  const auto convolved = [&](const Map& map, const std::string& name, std::int64_t stride, std::int64_t pad) {
    return relu(add_bias(naive_convolution(map, *named.at("features." + name + ".weight"), stride, pad),
                         *named.at("features." + name + ".bias")));
  };
  const auto fire = [&](const Map& map, const std::string& name) {
    const Map squeezed = convolved(map, name + ".squeeze", 1, 0);
    return concatenated(
        {convolved(squeezed, name + ".expand1x1", 1, 0), convolved(squeezed, name + ".expand3x3", 1, 1)});
  };
  const at::Tensor seen = image(31, 26);
  Map expected = naive_max_pool(convolved(grey_planes(seen[0], kMeanGrey), "0", 2, 0), 3, 2, 0, true);
  expected = naive_max_pool(fire(fire(expected, "3"), "4"), 3, 2, 0, true);
  expected = fire(expected, "6");
  EXPECT_EQ(expected.channels, 256);
  EXPECT_LT(relative_error(map_of(seen, spec, weights), expected), 2e-6);
  EXPECT_GT(alive(expected), 0.2);
  expected = naive_max_pool(fire(expected, "7"), 3, 2, 0, true);
  for (const std::string name : {"9", "10", "11", "12"}) expected = fire(expected, name);
  EXPECT_LT(relative_error(map_of(seen, deepest, weights), expected), 1e-5);
}

/// GoogLeNet as plain loops, straight from its table of layers; `published` as its authors' Caffe model has it, else as
/// torchvision.
class NaiveGoogLeNet {
 public:
  NaiveGoogLeNet(const std::vector<NamedTensor>& tensors, bool published, bool folded)
      : published_(published), folded_(folded), tensors_(by_name(tensors)) {}

  /// The maps after conv2, inception_3a, and inception_5b, of the network's input.
  std::vector<Map> forward(const Map& planes) const {
    Map map = naive_max_pool(convolution(planes, "conv1", 2, 3), 3, 2, 0, true);
    if (published_) map = naive_response_norm(map, 5, 1e-4, 0.75, 1);
    std::vector<Map> seen = {convolution(convolution(map, "conv2", 1, 0), "conv3", 1, 1)};
    map = seen[0];
    if (published_) map = naive_response_norm(map, 5, 1e-4, 0.75, 1);
    map = inception(naive_max_pool(map, 3, 2, 0, true), "3a");
    seen.push_back(map);
    map = naive_max_pool(inception(map, "3b"), 3, 2, 0, true);
    for (const std::string name : {"4a", "4b", "4c", "4d", "4e"}) map = inception(map, name);
    map = naive_max_pool(map, published_ ? 3 : 2, 2, 0, true);
    seen.push_back(inception(inception(map, "5a"), "5b"));
    return seen;
  }

 private:
  Map convolution(const Map& in, const std::string& name, std::int64_t stride, std::int64_t pad) const {
    const Map sums = naive_convolution(in, *tensors_.at(name + ".conv.weight"), stride, pad);
    if (published_ || folded_) return relu(add_bias(sums, *tensors_.at(name + ".conv.bias")));
    return relu(batch_norm(sums, tensors_, name + ".bn", 1e-3));
  }

  Map inception(const Map& in, const std::string& module) const {
    const std::string name = "inception" + module + ".branch";
    return concatenated({convolution(in, name + "1", 1, 0),
                         convolution(convolution(in, name + "2.0", 1, 0), name + "2.1", 1, 1),
                         convolution(convolution(in, name + "3.0", 1, 0), name + "3.1", 1, published_ ? 2 : 1),
                         convolution(naive_max_pool(in, 3, 1, 1, false), name + "4.1", 1, 0)});
  }

  bool published_, folded_;
  TensorsByName tensors_;
};

TEST_F(Networks, GoogLeNetEqualsANaiveReferenceInEveryForm) {
  const at::Tensor seen = image(33, 38);
  for (const std::string convention : {"caffe", "torchvision", "torchvision-folded"}) {
    const bool published = convention == "caffe";
    const std::vector<NamedTensor> weights =
        random_weights_of({.kind = "googlenet:inception_5b", .weights_convention = convention});
    Map planes = grey_planes(seen[0], published ? kMeanGrey : 0);
    if (!published) {
      for (double& value : planes.values) value = (value / 255 - 0.5) / 0.5;
    }
    const auto expected = NaiveGoogLeNet(weights, published, convention == "torchvision-folded").forward(planes);
    const std::string stages[] = {"conv2", "inception_3a", "inception_5b"};
    const std::int64_t channels[] = {192, 256, 1024};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const ExtractorSpec spec = {.kind = "googlenet:" + stages[i], .weights_convention = convention};
      EXPECT_EQ(expected[i].channels, channels[i]);
      EXPECT_LT(relative_error(map_of(seen, spec, weights), expected[i]), 1e-5) << stages[i] << ' ' << convention;
      EXPECT_GT(alive(expected[i]), 0.2) << stages[i];
    }
  }
}

TEST_F(Networks, ResNet18EqualsANaiveReferenceWithBatchNormAndWithItFoldedIn) {
  for (const std::string convention : {"torchvision", "torchvision-folded"}) {
    const ExtractorSpec spec = {.kind = "resnet18:layer2.1", .weights_convention = convention};
    const ExtractorSpec deepest = {.kind = "resnet18:layer4.1", .weights_convention = convention};
    const std::vector<NamedTensor> weights = random_weights_of(deepest);
    const TensorsByName named = by_name(weights);
    const auto convolved = [&](const Map& map, const std::string& name, const std::string& norm, std::int64_t stride,
                               std::int64_t pad) {
      const Map sums = naive_convolution(map, *named.at(name + ".weight"), stride, pad);
      return convention == "torchvision" ? batch_norm(sums, named, norm) : add_bias(sums, *named.at(name + ".bias"));
    };
    const at::Tensor seen = image(23, 18);
    Map planes = grey_planes(seen[0], 0);
    const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
    for (std::size_t i = 0; i < planes.values.size(); ++i) {
      const std::size_t c = i / (23 * 18);
      planes.values[i] = (planes.values[i] / 255 - mean[c]) / deviation[c];
    }
    Map map = naive_max_pool(relu(convolved(planes, "conv1", "bn1", 2, 3)), 3, 2, 1, false);
    const auto add_unit = [&](const std::string& unit, bool halves) {
      Map residual = relu(convolved(map, unit + ".conv1", unit + ".bn1", halves ? 2 : 1, 1));
      residual = convolved(residual, unit + ".conv2", unit + ".bn2", 1, 1);
      map = relu(sum(residual, halves ? convolved(map, unit + ".downsample.0", unit + ".downsample.1", 2, 0) : map));
    };
    for (const std::string unit : {"layer1.0", "layer1.1", "layer2.0", "layer2.1"}) add_unit(unit, unit == "layer2.0");
    EXPECT_EQ(map.channels, 128);
    EXPECT_LT(relative_error(map_of(seen, spec, weights), map), 2e-6) << convention;
    EXPECT_GT(alive(map), 0.2);
    for (const std::string unit : {"layer3.0", "layer3.1", "layer4.0", "layer4.1"}) add_unit(unit, unit.ends_with("0"));
    EXPECT_LT(relative_error(map_of(seen, deepest, weights), map), 1e-5) << convention;
  }
}

/// Largest difference of the gradient of sum(values * maps) from finite differences, over the largest of these, at
/// some pixels of a random image.
double gradient_error(const Extractor& extractor, std::int64_t height, std::int64_t width) {
  at::manual_seed(5);
  at::Tensor image = at::rand({1, 1, height, width}, at::kDouble) * 255;
  const at::Tensor values = at::randn_like(extractor.forward(image));
  const at::Tensor seen = image.clone().requires_grad_(true);
  const at::Tensor maps = extractor.forward(seen);
  maps.backward(values);
  double most = 0, error = 0;
  constexpr double kStep = 2e-6;  // seldom crosses a kink
  for (std::int64_t i = 0; i < height * width; i += 7) {
    const auto moved = [&](double by) {
      at::Tensor other = image.clone();
      other.view(-1)[i] += by;
      return (extractor.forward(other) * values).sum().item<double>();
    };
    const double expected = (moved(kStep) - moved(-kStep)) / (2 * kStep);
    most = std::max(most, std::abs(expected));
    error = std::max(error, std::abs(expected - seen.grad().view(-1)[i].item<double>()));
  }
  return error / most;
}

TEST_F(Networks, GradientsOfMapsByTheImageAreThoseOfFiniteDifferences) {
  for (const std::string kind : {"squeezenet:fire4", "resnet18:layer2.0", "googlenet:inception_3a", "vgg16:pool2"}) {
    ExtractorSpec spec = {.kind = kind};
    spec.weights_path = folder_ / "weights.safetensors";
    write_safetensors(spec.weights_path, random_weights_of(spec));
    EXPECT_LT(gradient_error(*make_extractor(spec), 27, 30), 1e-5) << kind;
  }
  for (const std::string kind : {"pixels", "scattering"}) {
    EXPECT_LT(gradient_error(*make_extractor({.kind = kind}), 21, 24), 1e-5) << kind;
  }
}

TEST(Scattering, HasNoGradientOnWhitePaper) {
  const auto extractor = make_extractor({});
  const at::Tensor white = at::full({1, 1, 20, 20}, 255.0, at::kDouble).requires_grad_(true);
  extractor->forward(white).sum().backward();
  EXPECT_TRUE(at::isfinite(white.grad()).all().item<bool>());
}

TEST(Convention, IsNamedOrRefusedWithTheNearest) {
  EXPECT_EQ(convention_named("torchvision").divisor, 255);
  try {
    convention_named("torchvison");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'torchvision'"));
    EXPECT_THAT(error.what(), HasSubstr("caffe, torchvision, torchvision-folded"));
  }
}

struct Trained {
  std::string file, kind, convention;
  std::int64_t channels;
};

TEST(RealWeights, GiveFiniteAndSparseMaps) {
  const char* data = std::getenv("OUTSOLE_DATA");
  const std::string folder = std::string(data ? data : "") + "/weights/";
  if (!data || !std::filesystem::exists(folder)) GTEST_SKIP() << "OUTSOLE_DATA holds no weights/";
  const at::Tensor stripes =
      (127.5 + 127.5 * (at::arange(90, at::kFloat) * 0.6).sin()).view({1, 90, 1}).repeat({1, 1, 61});
  for (const Trained& trained : {Trained{"squeezenet1_1_features", "squeezenet:fire9", "caffe", 512},
                                 Trained{"squeezenet1_1_features", "squeezenet:fire3", "caffe", 128},
                                 Trained{"vgg16_conv1_conv2", "vgg16:relu2_2", "caffe", 128},
                                 Trained{"resnet18_layer1_3_folded", "resnet18:layer3.1", "torchvision-folded", 256}}) {
    const std::string path = folder + trained.file + ".safetensors";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
    const auto extractor = make_extractor({trained.kind, path, trained.convention, 142});
    const at::Tensor map = extractor->extract(stripes);
    EXPECT_EQ(map.size(1), trained.channels) << trained.kind;
    EXPECT_TRUE(at::isfinite(map).all().item<bool>()) << trained.kind;
    EXPECT_GE(map.min().item<float>(), 0) << trained.kind;
    EXPECT_GT((map > 0).to(at::kFloat).mean().item<float>(), 0.01F) << trained.kind;
    EXPECT_LT((map > 0).to(at::kFloat).mean().item<float>(), 0.95F) << trained.kind;
  }
}

}  // namespace
}  // namespace outsole::features
