#include "features/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>

#include "core/errors.h"
#include "features/weights_fixture.h"

namespace outsole::features {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

const std::string kTwoTensors =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}})";

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "(not refused)";
}

class Safetensors : public ::testing::Test {
 protected:
  std::string refusal_of(const std::string& header, const std::string& data = std::string(12, '\0')) {
    write_raw(path_, header.size(), header, data);
    return refusal([&] { SafetensorsFile file(path_); });
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "some.safetensors";
};

TEST_F(Safetensors, GivesTheTensorsThatWereWritten) {
  write_safetensors(path_, {{"a", {2, 2}, {1, 2, 3, 4}}, {"scalar", {}, {5}}, {"none", {0, 3}, {}}});
  SafetensorsFile file(path_);
  EXPECT_TRUE(at::equal(file.read("a", {2, 2}), at::tensor({1.F, 2.F, 3.F, 4.F}).view({2, 2})));
  EXPECT_EQ(file.read("scalar", {}).item<float>(), 5);
  EXPECT_EQ(file.read("none", {0, 3}).numel(), 0);
}

TEST_F(Safetensors, WidensHalfPrecisionAndAllowsOtherTypesBeside) {
  const std::string header =
      R"({"half":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},
          "brain":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]},
          "num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[4,12]}})";
  write_raw(path_, header.size(), header, std::string("\x00\x3e\xc0\x3f", 4) + std::string(8, '\0'));  // 1.5 twice
  SafetensorsFile file(path_);
  EXPECT_EQ(file.read("half", {1}).item<float>(), 1.5F);
  EXPECT_EQ(file.read("brain", {1}).item<float>(), 1.5F);
  EXPECT_THAT(refusal([&] { file.read("num_batches_tracked", {}); }), HasSubstr("I64"));
}

TEST_F(Safetensors, HandsOutTensorsAsTheyAreStored) {
  const std::string header = R"({"half":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}})";
  write_raw(path_, header.size(), header, std::string("\x00\x3e\x00\x7e", 4));  // 1.5 and not a number
  const SafetensorsFile file(path_);
  const auto stored = file.stored("half", {1, 2});
  EXPECT_EQ(stored.headline, "half F16 [1, 2]");
  EXPECT_EQ(std::string(static_cast<const char*>(stored.values.data_ptr()), stored.values.nbytes()),
            std::string("\x00\x3e\x00\x7e", 4));
}

TEST_F(Safetensors, RefusesWhatIsNoFile) {
  EXPECT_THAT(refusal([&] { SafetensorsFile file(folder_ / "nowhere"); }), HasSubstr("nowhere: no such file"));
  EXPECT_THAT(refusal([&] { SafetensorsFile file(folder_ / ""); }), HasSubstr("no such file"));
}

TEST_F(Safetensors, RefusesFilesTooShortForTheirHeader) {
  std::ofstream(path_).close();
  EXPECT_THAT(refusal([&] { SafetensorsFile file(path_); }), HasSubstr("too short"));
  for (const std::uint64_t header_bytes : {std::uint64_t{200}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    write_raw(path_, header_bytes, kTwoTensors, "");
    EXPECT_THAT(refusal([&] { SafetensorsFile file(path_); }), HasSubstr("not a safetensors file"));
  }
}

TEST_F(Safetensors, RefusesTruncatedAndProlongedFiles) {
  EXPECT_EQ(refusal_of(kTwoTensors), "(not refused)");
  EXPECT_THAT(refusal_of(kTwoTensors, std::string(11, '\0')), HasSubstr("tensor 'b': ends beyond the end of the file"));
  EXPECT_THAT(refusal_of(kTwoTensors, std::string(13, '\0')), HasSubstr("1 bytes belong to no tensor"));
}

TEST_F(Safetensors, RefusesEveryPrefixOfAHeader) {
  for (std::size_t length = 0; length < kTwoTensors.size(); ++length) {
    EXPECT_THAT(refusal_of(kTwoTensors.substr(0, length)), HasSubstr(path_ + ": the header")) << length;
  }
}

TEST_F(Safetensors, RefusesHeadersThatAreNotStrictJson) {
  const std::string tensor = R"("a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]})";
  EXPECT_EQ(refusal_of("{" + tensor + "}"), "(not refused)");
  for (const std::string& header :
       {"{" + tensor + "} x", "{" + tensor + ",}", "[" + tensor + "]", "{" + tensor + "," + tensor + "}",
        std::string(R"({"a":{"dtype":"F32","shape":[-3],"data_offsets":[0,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[3.0],"data_offsets":[0,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[03],"data_offsets":[0,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[3],"shape":[3],"data_offsets":[0,12]}})"),
        std::string(R"({"a":{"dtype":"F32","shape":[3]}})"), std::string(R"({"a":{"dtype":"F32","shap\x":[3]}})"),
        std::string(R"({"a":{"dtype":"F32","extra":[3]}})"), std::string("{\"a\n\":{}}"),
        std::string(R"({"\u00g0":{}})"), std::string(50000, '{'), std::string(64, '\0')}) {
    EXPECT_THAT(refusal_of(header), HasSubstr(path_ + ": the header is not what safetensors allows")) << header;
  }
}

TEST_F(Safetensors, RefusesRangesThatLieAboutSizesOverlapOrLeaveHoles) {
  const auto two = [](const std::string& shape, const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + first +
           R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}";
  };
  EXPECT_THAT(refusal_of(two("[3]", "[0,8]", "[8,12]")), HasSubstr("tensor 'a': its shape needs 12 bytes"));
  EXPECT_THAT(refusal_of(two("[2]", "[8,0]", "[8,12]")), HasSubstr("tensor 'a': its shape needs 8 bytes"));
  EXPECT_THAT(refusal_of(two("[2]", "[0,8]", "[4,8]")), HasSubstr("tensor 'b': overlaps"));
  EXPECT_THAT(refusal_of(two("[1]", "[0,4]", "[8,12]")), HasSubstr("tensor 'b': starts after a hole"));
  EXPECT_THAT(refusal_of(two("[4294967296,4294967296]", "[0,8]", "[8,12]")), HasSubstr("tensor 'a': impossible size"));
  EXPECT_THAT(refusal_of(two("[1000000000]", "[0,4000000000]", "[4000000000,4000000004]")),
              HasSubstr("tensor 'a': ends beyond the end of the file"));
}

TEST_F(Safetensors, RefusesUnknownTypes) {
  EXPECT_THAT(refusal_of(R"({"a":{"dtype":"F31","shape":[3],"data_offsets":[0,12]}})"),
              HasSubstr("tensor 'a': unknown type 'F31'"));
}

TEST_F(Safetensors, RefusesToReadMissingMisshapenAndNonFiniteTensors) {
  write_safetensors(path_, {{"a", {2}, {1, NAN}}});
  SafetensorsFile file(path_);
  EXPECT_THAT(refusal([&] { file.read("layer2.0.conv1.weight", {2}); }),
              HasSubstr("no tensor 'layer2.0.conv1.weight'"));
  EXPECT_THAT(refusal([&] {
                file.read("a", {1, 2});
              }),
              HasSubstr("tensor 'a': its shape is [2], the network needs [1, 2]"));
  EXPECT_THAT(refusal([&] { file.read("a", {2}); }), HasSubstr("tensor 'a': holds a value that is not finite"));
}

TEST_F(Safetensors, IsReadOrRefusedWhateverBytesAreAltered) {
  std::mt19937 random(1);
  const std::size_t length = kTwoTensors.size();
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    std::string header = kTwoTensors;
    for (int change = 0; change < 1 + round % 3; ++change) {
      header[random() % length] = static_cast<char>(round % 2 ? kTwoTensors[random() % length] : random());
    }
    const std::string refusal = refusal_of(header);
    EXPECT_THAT(refusal, AnyOf("(not refused)", HasSubstr(path_ + ": "))) << header;
    refused += refusal != "(not refused)";
  }
  EXPECT_GT(refused, 250);
  EXPECT_LT(refused, 500);
}

TEST_F(Safetensors, RefusesAFileThatShrankAfterItWasOpened) {
  write_safetensors(path_, {{"a", {2}, {1, 2}}});
  SafetensorsFile file(path_);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  EXPECT_THAT(refusal([&] { file.read("a", {2}); }), HasSubstr("tensor 'a': cannot be read"));
}

}  // namespace
}  // namespace outsole::features
