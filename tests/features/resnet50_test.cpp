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

/// ResNet-50 as plain loops in double precision, straight from the papers: convolution, then batch norm, then ReLU.
class NaiveResNet50 {
 public:
  NaiveResNet50(const std::vector<NamedTensor>& tensors, bool caffe) : caffe_(caffe) { tensors_ = by_name(tensors); }

  /// The map after unit `last_unit` of `last_layer`, counted as in the names.
  Map forward(const at::Tensor& image, double mean_grey, int last_layer, int last_unit) const {
    Map map = relu(convolution(colour(image, mean_grey), "conv1", "bn1", 2, 3));
    map = caffe_ ? naive_max_pool(map, 3, 2, 0, true) : naive_max_pool(map, 3, 2, 1, false);
    const int units[] = {3, 4, 6, 3};
    for (int layer = 1; layer <= last_layer; ++layer) {
      for (int unit = 0; unit < (layer == last_layer ? last_unit + 1 : units[layer - 1]); ++unit) {
        map = residual_unit(map, "layer" + std::to_string(layer) + "." + std::to_string(unit),
                            layer > 1 && unit == 0 ? 2 : 1);
      }
    }
    return map;
  }

 private:
  Map colour(const at::Tensor& image, double mean_grey) const {
    const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
    Map planes(3, image.size(0), image.size(1));
    for (std::int64_t c = 0; c < 3; ++c) {
      for (std::int64_t y = 0; y < planes.height; ++y) {
        for (std::int64_t x = 0; x < planes.width; ++x) {
          const double grey = image[y][x].item<double>();
          planes.at(c, y, x) = caffe_ ? grey - mean_grey : (grey / 255 - mean[c]) / deviation[c];
        }
      }
    }
    return planes;
  }

  Map convolution(const Map& in, const std::string& name, const std::string& norm, int stride, int pad) const {
    return batch_norm(naive_convolution(in, *tensors_.at(name + ".weight"), stride, pad), tensors_, norm);
  }

  Map residual_unit(const Map& in, const std::string& name, int stride) const {
    const int first_stride = caffe_ ? stride : 1, second_stride = caffe_ ? 1 : stride;
    Map map = relu(convolution(in, name + ".conv1", name + ".bn1", first_stride, 0));
    map = relu(convolution(map, name + ".conv2", name + ".bn2", second_stride, 1));
    map = convolution(map, name + ".conv3", name + ".bn3", 1, 0);
    const bool projected = tensors_.count(name + ".downsample.0.weight") > 0;
    const Map shortcut = projected ? convolution(in, name + ".downsample.0", name + ".downsample.1", stride, 0) : in;
    for (std::size_t i = 0; i < map.values.size(); ++i) map.values[i] += shortcut.values[i];
    return relu(std::move(map));
  }

  bool caffe_;
  TensorsByName tensors_;
};

at::Tensor random_images(std::int64_t count, std::int64_t height, std::int64_t width) {
  at::manual_seed(11);
  return at::rand({count, height, width}) * 255;
}

class ResNet50 : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    tensors_ = random_resnet50(2, 0);
    write_safetensors(*folder_ / "random.safetensors", tensors_);
  }
  static void TearDownTestSuite() { delete folder_; }

  static ExtractorSpec spec(const std::string& stage, const std::string& convention = "caffe") {
    return {"resnet50:" + stage, *folder_ / "random.safetensors", convention, 142.5};
  }

  static TemporaryFolder* folder_;
  static std::vector<NamedTensor> tensors_;
};

TemporaryFolder* ResNet50::folder_ = nullptr;
std::vector<NamedTensor> ResNet50::tensors_;

struct Place {
  std::string stage;
  int layer, unit;
};

TEST_F(ResNet50, EqualsANaiveReferenceInBothConventions) {
  for (const std::string convention : {"caffe", "torchvision"}) {
    const NaiveResNet50 reference(tensors_, convention == "caffe");
    for (const Place& place : {Place{"res2a", 1, 0}, Place{"res2b", 1, 1}, Place{"res3a", 2, 0}}) {
      const at::Tensor image = random_images(1, 27, 22);
      const Map expected = reference.forward(image[0], 142.5, place.layer, place.unit);
      const at::Tensor map = make_extractor(spec(place.stage, convention))->extract(image)[0];
      ASSERT_EQ(map.sizes(), (at::IntArrayRef{expected.channels, expected.height, expected.width})) << place.stage;
      const at::Tensor wanted = at::tensor(expected.values, at::kDouble).view(map.sizes());
      const double error =
          (map.to(at::kDouble) - wanted).abs().max().item<double>() / wanted.abs().max().item<double>();
      EXPECT_LT(error, 2e-6) << place.stage << ' ' << convention;
      EXPECT_GT((wanted > 0).to(at::kDouble).mean().item<double>(), 0.2) << "the test shows nothing if all is dead";
    }
  }
}

TEST_F(ResNet50, EqualsANaiveReferenceToItsLastUnit) {
  const std::vector<NamedTensor> tensors = random_resnet50(4, 2);
  const std::string path = *folder_ / "whole.safetensors";
  write_safetensors(path, tensors);
  const at::Tensor image = random_images(1, 35, 33);
  for (const std::string convention : {"caffe", "torchvision"}) {
    const NaiveResNet50 reference(tensors, convention == "caffe");
    for (const Place& place : {Place{"res4c", 3, 2}, Place{"res5c", 4, 2}}) {
      const Map expected = reference.forward(image[0], 142.5, place.layer, place.unit);
      const auto extractor = make_extractor({"resnet50:" + place.stage, path, convention, 142.5});
      EXPECT_LT(relative_error(extractor->extract(image)[0], expected), 1e-5) << place.stage << ' ' << convention;
      EXPECT_GT(alive(expected), 0.2) << place.stage;
    }
  }
}

TEST_F(ResNet50, MapsOfSmallAndOddImagesHaveTheReferencesSize) {
  for (const std::string convention : {"caffe", "torchvision"}) {
    const NaiveResNet50 reference(tensors_, convention == "caffe");
    const auto extractor = make_extractor(spec("res2a", convention));
    for (std::int64_t height = 1; height <= 12; ++height) {
      if (extractor->map_length(height) == 0) continue;
      const at::Tensor image = random_images(1, height, 13);
      const Map expected = reference.forward(image[0], 142.5, 1, 0);
      const at::Tensor map = extractor->extract(image)[0];
      ASSERT_EQ(map.sizes(), (at::IntArrayRef{256, expected.height, expected.width})) << height << ' ' << convention;
      const at::Tensor wanted = at::tensor(expected.values, at::kDouble).view(map.sizes());
      EXPECT_LT((map - wanted).abs().max().item<double>() / wanted.abs().max().item<double>(), 2e-6) << height;
    }
  }
}

TEST_F(ResNet50, HasTheGeometryOfItsConventions) {
  const auto caffe = make_extractor(spec("res2b")), torchvision = make_extractor(spec("res2b", "torchvision"));
  EXPECT_EQ(caffe->map_length(293), 73);
  EXPECT_EQ(caffe->map_length(135), 34);
  EXPECT_EQ(caffe->geometry().first_center_half_px, 4);
  EXPECT_EQ(torchvision->map_length(224), 56);
  EXPECT_EQ(torchvision->geometry().first_center_half_px, 0);
  EXPECT_EQ(caffe->map_length(2), 0);
  EXPECT_THROW(caffe->extract(at::zeros({1, 2, 50})), Bug);
}

TEST_F(ResNet50, StagesHaveTheirChannelsAndStrides) {
  const std::string path = *folder_ / "zero.safetensors";
  write_safetensors(path, random_resnet50(4, 2, 0));
  const auto expect = [&](const std::string& stage, std::int64_t channels, std::int64_t stride_px) {
    const MapGeometry geometry = make_extractor({"resnet50:" + stage, path, "caffe", 0})->geometry();
    EXPECT_EQ(geometry.channels, channels) << stage;
    EXPECT_EQ(geometry.stride_px, stride_px) << stage;
    EXPECT_EQ(geometry.first_center_half_px, 4) << stage;
  };
  expect("res2c", 256, 4);
  expect("res3a", 512, 8);
  expect("res4c", 1024, 16);
  expect("res5c", 2048, 32);
}

TEST_F(ResNet50, CountsTheOperationsOfItsLayers) {
  // 147 x 68 cells of conv1 on the one grey plane, 73 x 34 of two units.
  const double products = 147. * 68 * 64 * 49 + 73. * 34 * (64 * 64 + 64 * 576 + 64 * 256 + 64 * 256) +
                          73. * 34 * (256 * 64 + 64 * 576 + 64 * 256);
  EXPECT_DOUBLE_EQ(make_extractor(spec("res2b"))->flops(293, 135), 2 * products);
}

TEST_F(ResNet50, LoadsOnlyWhatItsStageNeeds) {
  const std::string path = *folder_ / "layer1.safetensors";
  write_safetensors(path, random_resnet50(1, 1));
  const auto make = [&](const std::string& stage) { return make_extractor({"resnet50:" + stage, path, "caffe", 0}); };
  EXPECT_EQ(make("res2a")->weights().size(), 5U + 20);  // conv1 and a projected unit, each with batch norm
  EXPECT_EQ(make("res2b")->weights().size(), 5U + 20 + 15);
  try {
    make("res2c");
    FAIL() << "layer1.2 is not in the file";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("layer1.safetensors: no tensor 'layer1.2.conv1.weight'"));
  }
}

TEST_F(ResNet50, RefusesNegativeVariances) {
  std::vector<NamedTensor> tensors = random_resnet50(1, 0);
  for (NamedTensor& tensor : tensors) {
    if (tensor.name == "layer1.0.bn2.running_var") tensor.values[3] = -1;
  }
  const std::string path = *folder_ / "negative.safetensors";
  write_safetensors(path, tensors);
  try {
    make_extractor({"resnet50:res2a", path, "caffe", 0});
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'layer1.0.bn2.running_var': a variance is negative"));
  }
}

TEST(RealResNet50, GivesFiniteAndSparseMapsAndLacksWhatTheFileLacks) {
  const char* data = std::getenv("OUTSOLE_DATA");
  const std::string path = data ? std::string(data) + "/weights/resnet50_layer1.safetensors" : "";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "OUTSOLE_DATA holds no weights/resnet50_layer1.safetensors";
  const at::Tensor stripes = 127.5 + 127.5 * (at::arange(293, at::kFloat) * 0.6).sin();
  const at::Tensor map =
      make_extractor({"resnet50:res2b", path, "caffe", 142})->extract(stripes.view({1, 293, 1}).repeat({1, 1, 135}));
  EXPECT_EQ(map.sizes(), (at::IntArrayRef{1, 256, 73, 34}));
  EXPECT_TRUE(at::isfinite(map).all().item<bool>());
  EXPECT_GE(map.min().item<float>(), 0);
  EXPECT_GT((map > 0).to(at::kFloat).mean().item<float>(), 0.1F);
  try {
    make_extractor({"resnet50:res3a", path, "caffe", 142});
    FAIL() << "layer2 is not in the file";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no tensor 'layer2.0.conv1.weight'"));
  }
}

}  // namespace
}  // namespace outsole::features
