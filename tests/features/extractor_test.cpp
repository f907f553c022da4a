#include "features/extractor.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/errors.h"
#include "features/weights_fixture.h"

namespace outsole::features {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// What every extractor owes its callers, whatever its kind.
class EveryExtractor : public testing::TestWithParam<ExtractorSpec> {
 protected:
  EveryExtractor() {
    ExtractorSpec spec = GetParam();
    if (spec.kind.starts_with("resnet50")) {
      spec.weights_path = folder_ / "random.safetensors";
      write_safetensors(spec.weights_path, random_resnet50(2, 0));
    } else if (const std::optional<Network> network = find_network(spec)) {
      std::vector<std::pair<std::string, std::vector<std::int64_t>>> shapes;
      for (const PlacedConvolution& place : derive(network->layers, {{.channels = 3}}).convolutions) {
        for (const WeightTensor& tensor : place.tensors()) shapes.emplace_back(tensor.name, tensor.shape);
      }
      spec.weights_path = folder_ / "random.safetensors";
      write_safetensors(spec.weights_path, random_tensors(shapes));
    }
    extractor_ = make_extractor(spec);
    at::manual_seed(2);
  }

  TemporaryFolder folder_;
  std::unique_ptr<Extractor> extractor_;
};

TEST_P(EveryExtractor, GivesAnImageTheSameBitsInAnyBatchOnAnyNumberOfThreads) {
  const at::Tensor images = at::rand({5, 61, 47}) * 255;
  const int threads_before = at::get_num_threads();
  const at::Tensor maps = extractor_->extract(images);
  EXPECT_EQ(maps.sizes(), (at::IntArrayRef{5, extractor_->geometry().channels, extractor_->map_length(61),
                                           extractor_->map_length(47)}));
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(extractor_->extract(images), maps)) << threads;
    EXPECT_TRUE(at::equal(extractor_->extract(images.slice(0, 3)), maps.slice(0, 3))) << threads;
    for (std::int64_t i = 0; i < 5; ++i) {
      EXPECT_TRUE(at::equal(extractor_->extract(images[i].unsqueeze(0))[0], maps[i])) << threads;
    }
    EXPECT_EQ(at::get_num_threads(), threads);
  }
  at::set_num_threads(threads_before);
}

TEST_P(EveryExtractor, MovesItsMapByACellWhenTheImageMovesByAStride) {
  const std::int64_t stride_px = extractor_->geometry().stride_px;
  const at::Tensor image = at::rand({1, 128 + stride_px, 128}) * 255;
  const at::Tensor upper = extractor_->extract(image.slice(1, 0, 128)),
                   lower = extractor_->extract(image.slice(1, stride_px));
  const std::int64_t border = 40 / stride_px, cells = extractor_->map_length(128);
  const at::Tensor moved = upper.slice(2, border + 1, cells - border + 1) - lower.slice(2, border, cells - border);
  EXPECT_LT(moved.abs().max().item<double>() / upper.abs().max().item<double>(), 1e-6);
}

TEST_P(EveryExtractor, CentresTheRowsThatACellSeesWhereItsGeometrySays) {
  const MapGeometry geometry = extractor_->geometry();
  const std::int64_t cell = 48 / geometry.stride_px;
  const at::Tensor image = at::rand({97, 97}) * 255;
  const at::Tensor before = extractor_->extract(image.unsqueeze(0))[0].select(1, cell);
  at::Tensor altered = image.repeat({97, 1, 1});
  for (std::int64_t row = 0; row < 97; ++row) altered[row][row] = 2550 * at::rand({97});
  const at::Tensor after = extractor_->extract(altered).select(2, cell);
  std::vector<std::int64_t> seen;
  for (std::int64_t row = 0; row < 97; ++row) {
    if (!at::equal(after[row], before)) seen.push_back(row);
  }
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.front() + seen.back(), geometry.first_center_half_px + 2 * cell * geometry.stride_px);
}

TEST_P(EveryExtractor, TakesEmptyBatchesAndRefusesOtherTypes) {
  EXPECT_EQ(extractor_->extract(at::zeros({0, 40, 40})).size(0), 0);
  EXPECT_THROW(extractor_->extract(at::zeros({1, 40, 40}, at::kByte)), Bug);
  EXPECT_THROW(extractor_->extract(at::zeros({40, 40})), Bug);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, EveryExtractor,
    testing::Values(ExtractorSpec{.kind = "pixels"}, ExtractorSpec{.kind = "scattering"},
                    ExtractorSpec{.kind = "resnet50:res2b"}, ExtractorSpec{.kind = "resnet50:res3a"},
                    ExtractorSpec{.kind = "resnet50:res2b", .weights_convention = "torchvision"},
                    ExtractorSpec{.kind = "resnet50:res3a", .weights_convention = "torchvision"},
                    ExtractorSpec{.kind = "resnet18:layer2.0", .weights_convention = "torchvision"},
                    ExtractorSpec{.kind = "vgg16:relu3_1"}, ExtractorSpec{.kind = "vgg16:pool2"},
                    ExtractorSpec{.kind = "squeezenet:fire3"}, ExtractorSpec{.kind = "squeezenet:fire4"}));

TEST(Pixels, AreTheImage) {
  const at::Tensor images = at::rand({2, 5, 7});
  const at::Tensor maps = make_extractor({.kind = "pixels"})->extract(images);
  EXPECT_TRUE(at::equal(maps, images.unsqueeze(1)));
  EXPECT_NE(maps.data_ptr(), images.data_ptr());
}

std::string refusal(const ExtractorSpec& spec) {
  try {
    make_extractor(spec);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "(not refused)";
}

TEST(MakeExtractor, NamesTheNearestAndAllKnownNames) {
  EXPECT_THAT(refusal({.kind = "scatering"}), AllOf(HasSubstr("'scatering'"), HasSubstr("did you mean 'scattering'"),
                                                    HasSubstr("pixels, scattering, resnet50")));
  EXPECT_THAT(refusal({.kind = "resnet50:res2d", .weights_path = "w"}),
              AllOf(HasSubstr("'res2d'"), HasSubstr("res4f")));
  EXPECT_THAT(refusal({.kind = "resnet50", .weights_path = "w"}), HasSubstr("res2a"));
  EXPECT_THAT(refusal({.kind = "vgg16:relu31", .weights_path = "w"}), HasSubstr("did you mean 'relu3_1'"));
  EXPECT_THAT(refusal({.kind = "vgg16:", .weights_path = "w"}), HasSubstr("relu3_1"));
  EXPECT_THAT(refusal({.kind = "resnet50:res2b", .weights_path = "w", .weights_convention = "cafe"}),
              AllOf(HasSubstr("did you mean 'caffe'"), HasSubstr("torchvision")));
}

TEST(MakeExtractor, AsksForWeightsExactlyWhereTheyAreNeeded) {
  EXPECT_THAT(refusal({.kind = "resnet50:res2b"}), HasSubstr("needs a weights file"));
  EXPECT_THAT(refusal({.kind = "scattering", .weights_path = "w"}), HasSubstr("takes no weights"));
  EXPECT_THAT(refusal({.kind = "scattering:res2b"}), HasSubstr("has no stages"));
}

TEST(ExtractorKinds, AreDescribed) {
  const auto kinds = extractor_kinds();
  ASSERT_EQ(kinds.size(), 7U);
  EXPECT_EQ(kinds[2].first, "resnet50:STAGE");
  EXPECT_THAT(kinds[2].second, HasSubstr("res2a, res2b, res2c, res3a"));
  EXPECT_THAT(kinds[3].second, HasSubstr("layer2.1"));
  EXPECT_THAT(kinds[4].second, HasSubstr("relu3_1"));
  EXPECT_THAT(kinds[5].second, HasSubstr("fire3"));
  EXPECT_THAT(kinds[6].second, HasSubstr("inception_3a"));
}

}  // namespace
}  // namespace outsole::features
