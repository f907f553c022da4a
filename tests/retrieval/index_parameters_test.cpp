#include "retrieval/index_parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "../features/weights_fixture.h"
#include "core/errors.h"
#include "core/json.h"
#include "core/sha256.h"
#include "retrieval/network_json.h"
#include "retrieval/weights_identity.h"

namespace outsole::retrieval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// As an index of schema version 1 keeps it, of the weights of random_resnet50(1, 0).
constexpr char kVersion1[] =
    R"({"border_cells":1,"channels":256,"exemplars":40,
        "exemplars_sha256":"f75529ab9ad44af19620067dedf111b4f7377428b6c0a8b63a11f68108670924",
        "extractor":"resnet50:res2a","first_center_px":2,"frame_height_px":120,"frame_width_px":64,"image_scale":0.5,
        "lanes":32,"map_height":15,"map_width":8,"mean_grey":205.99553385416667,"precision_bits":16,
        "search_height_px":60,"search_width_px":32,"stride_px":4,"weights_convention":"caffe",
        "weights_identity":"a6ab04bd85cb236b"})";

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "(not refused)";
}

features::Network network_of(const std::string& kind, const std::string& convention = "caffe") {
  return *features::find_network({.kind = kind, .weights_convention = convention});
}

/// Files of its own on every rank.
class IndexHeader : public ::testing::Test {
 protected:
  IndexHeader() { write_safetensors(weights_, tensors_); }

  static IndexParameters version_1() {
    return IndexParameters::from_header({kIndexSchema, 1, parse_json(kVersion1)}, "i.h5");
  }

  /// The same index, as it is made today.
  IndexParameters version_2() const {
    IndexParameters p = version_1();
    p.version = 2;
    p.network = network_of("resnet50:res2a");
    p.weights_identity = weights_sha256(weights_, features::make_extractor({"resnet50:res2a", weights_})->weights());
    return p;
  }

  /// A header of version 2 after a change to its JSON, read again.
  IndexParameters reread(const std::function<void(nlohmann::json&)>& change) const {
    store::StoreHeader header = version_2().header();
    change(header.parameters);
    return IndexParameters::from_header({header.schema, header.version, parse_json(header.parameters.dump())}, "i.h5");
  }

  features::TemporaryFolder folder_;
  std::vector<features::NamedTensor> tensors_ = features::random_resnet50(1, 0);
  std::string weights_ = folder_ / "weights.safetensors";
};

TEST_F(IndexHeader, OfVersionOneOpensAsBefore) {
  const IndexParameters p = version_1();
  EXPECT_EQ(p.geometry, (features::MapGeometry{256, 4, 4}));
  EXPECT_FALSE(p.network.has_value());
  const auto extractor = extractor_of_index(p, weights_, "i.h5");
  features::ExtractorSpec spec = {"resnet50:res2a", weights_, "caffe", p.mean_grey};
  const at::Tensor image = at::rand({1, 33, 25}) * 255;
  EXPECT_TRUE(at::equal(extractor->extract(image), features::make_extractor(spec)->extract(image)));
}

TEST_F(IndexHeader, OfEitherVersionRefusesOtherWeights) {
  tensors_[0].values[7] += 1e-6F;
  const std::string other = folder_ / "other.safetensors";
  write_safetensors(other, tensors_);
  for (const IndexParameters& p : {version_1(), version_2()}) {
    EXPECT_NO_THROW(extractor_of_index(p, weights_, "i.h5"));
    EXPECT_THAT(refusal([&] { extractor_of_index(p, other, "i.h5"); }),
                AllOf(HasSubstr("other.safetensors"), HasSubstr("i.h5")));
  }
}

TEST_F(IndexHeader, KeepsTheNetworkAndOpensByIt) {
  const IndexParameters same = reread([](nlohmann::json&) {});
  EXPECT_EQ(same.header().parameters, version_2().header().parameters);
  const auto extractor = extractor_of_index(same, weights_, "i.h5");
  // The names only name it.
  const IndexParameters renamed = reread([](nlohmann::json& json) {
    json["extractor"] = "one that this version does not know";
    json["weights_convention"] = "another";
  });
  const at::Tensor image = at::rand({1, 33, 25}) * 255;
  EXPECT_TRUE(at::equal(extractor_of_index(renamed, weights_, "i.h5")->extract(image), extractor->extract(image)));
  const IndexParameters divided = reread([](nlohmann::json& json) { json["network"]["convention"]["divisor"] = 255; });
  EXPECT_FALSE(at::equal(extractor_of_index(divided, weights_, "i.h5")->extract(image), extractor->extract(image)));
}

TEST_F(IndexHeader, KeepsTheExemplarsResolutionAndRefusesImpossibleOnes) {
  EXPECT_EQ(version_2().exemplar_dpi, 0);
  EXPECT_FALSE(version_2().header().parameters.contains("exemplar_dpi"));
  IndexParameters known = version_2();
  known.exemplar_dpi = 299.5;
  EXPECT_EQ(IndexParameters::from_header(known.header(), "i.h5").exemplar_dpi, 299.5);
  for (const nlohmann::json& wrong : std::vector<nlohmann::json>{-300, 0, 1e-300, 1e9, "300", nullptr}) {
    EXPECT_THAT(refusal([&] { reread([&](nlohmann::json& json) { json["exemplar_dpi"] = wrong; }); }),
                AllOf(HasSubstr("i.h5"), HasSubstr("'exemplar_dpi'")))
        << wrong;
  }
}

TEST_F(IndexHeader, RefusesANetworkThatIsImpossible) {
  const auto refused = [&](const std::function<void(nlohmann::json&)>& change) {
    return refusal([&] { reread([&](nlohmann::json& json) { change(json["network"]); }); });
  };
  EXPECT_THAT(refusal([&] { reread([](nlohmann::json& json) { json.erase("network"); }); }), HasSubstr("i.h5"));
  EXPECT_THAT(refused([](auto& network) { network = 3; }), HasSubstr("'network' of the network"));
  EXPECT_THAT(refused([](auto& network) { network.erase("convention"); }), HasSubstr("'convention'"));
  EXPECT_THAT(refused([](auto& network) { network["convention"]["divisor"] = 0; }), HasSubstr("'divisor'"));
  EXPECT_THAT(refused([](auto& network) { network["convention"]["mean_rgb"] = {1, 2}; }), HasSubstr("'mean_rgb'"));
  EXPECT_THAT(refused([](auto& network) { network["layers"] = nlohmann::json::array(); }), HasSubstr("begin"));
  EXPECT_THAT(refused([](auto& network) { network["layers"][0]["convolution"]["kernel"] = 1e9; }),
              HasSubstr("'kernel'"));
  EXPECT_THAT(refused([](auto& network) { network["layers"][0]["convolution"]["channels"] = -1; }),
              HasSubstr("'channels'"));
  EXPECT_THAT(refused([](auto& network) { network["layers"][0]["convolution"]["channels"] = ~std::uint64_t{0}; }),
              HasSubstr("'channels'"));
  EXPECT_THAT(refused([](auto& network) {
                network["layers"][1] = {{"gelu", nlohmann::json::object()}};
              }),
              HasSubstr("does not know"));
  EXPECT_THAT(refused([](auto& network) { network["layers"][1] = 7; }), HasSubstr("a layer"));
  EXPECT_THAT(refused([](auto& network) { network["layers"][3]["sum"]["shortcut"] = nlohmann::json::array(); }),
              HasSubstr("do not fit each other"));
  EXPECT_THAT(refused([](auto& network) {
                for (int i = 0; i < 12; ++i) {
                  network["layers"][1] = {{"concat", {{"branches", {nlohmann::json::array({network["layers"][1]})}}}}};
                }
              }),
              HasSubstr("'layers'"));
}

TEST(NetworkJson, GivesBackEveryNetwork) {
  for (const std::string kind :
       {"resnet50:res5c", "resnet18:layer4.1", "vgg16:pool5", "squeezenet:fire9", "googlenet:inception_5b"}) {
    for (const features::Convention& convention : features::conventions()) {
      const nlohmann::json json = network_to_json(network_of(kind, convention.name));
      EXPECT_EQ(network_to_json(network_from_json(json, "f")), json) << kind;
      EXPECT_LT(json.dump().size(), 32000U) << "an attribute of HDF5 holds 64 KB";
    }
  }
  using namespace features;
  const Network drawn = {convention_named("caffe"),
                         {ConvolutionLayer{"c", 4, {.kernel = 3, .padding = 1}},
                          AveragePoolLayer{{.kernel = 2, .stride = 2, .ceil_mode = true}},
                          ResponseNormLayer{.channels = 3, .alpha = 0.25, .beta = 0.5, .k = 2}}};
  EXPECT_EQ(network_to_json(network_from_json(network_to_json(drawn), "f")), network_to_json(drawn));
}

TEST(WeightsSha256, IsThatOfTheTensorsThatWereRead) {
  const features::TemporaryFolder folder;
  const std::string path = folder / "w.safetensors";
  features::write_safetensors(path, {{"b", {1}, {2}}, {"a", {1, 2}, {1, 3}}, {"unread", {1}, {NAN}}});
  std::string text = "a F32 [1, 2] ";
  for (const float value : {1.F, 3.F}) text.append(reinterpret_cast<const char*>(&value), sizeof value);
  text += "b F32 [1] ";
  const float two = 2;
  text.append(reinterpret_cast<const char*>(&two), sizeof two);
  const std::string expected = sha256_of(std::as_bytes(std::span(text)));
  EXPECT_EQ(weights_sha256(path, {{"a", {1, 2}}, {"b", {1}}}), expected);
  EXPECT_EQ(weights_sha256(path, {{"b", {1}}, {"a", {1, 2}}}), expected);
  EXPECT_NE(weights_sha256(path, {{"a", {1, 2}}}), expected);
  EXPECT_EQ(expected.size(), 64U);
}

TEST(WeightsFnv1a, DependsOnWhatWasReadAndNotOnItsOrder) {
  const features::TemporaryFolder folder;
  const std::string path = folder / "w.safetensors";
  features::write_safetensors(path, {{"a", {1}, {1}}, {"b", {1}, {2}}});
  const std::string identity = weights_fnv1a(path, {{"a", {1}}, {"b", {1}}});
  EXPECT_EQ(weights_fnv1a(path, {{"b", {1}}, {"a", {1}}}), identity);
  EXPECT_NE(weights_fnv1a(path, {{"a", {1}}}), identity);
  EXPECT_EQ(identity.size(), 16U);
  features::write_safetensors(path, {{"a", {1}, {1}}, {"b", {1}, {2.0000002F}}});
  EXPECT_NE(weights_fnv1a(path, {{"a", {1}}, {"b", {1}}}), identity);
}

}  // namespace
}  // namespace outsole::retrieval
