#include "retrieval/search_path.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "match/lanes.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using ::testing::HasSubstr;

const RankMeans kOld = {"cpu", {"generic", "tensors"}}, kNewer = {"cpu", {"avx2", "generic", "tensors"}},
                kTorchGpu = {"cuda", {"avx2", "generic", "tensors"}}, kGpu = {"cpu", {"generic", "tensors", "gpu"}};

std::string name_of_agreed(const std::string& wanted, const std::vector<RankMeans>& ranks) {
  return agreed_kernel({.kernel = wanted}, ranks).name;
}

template <typename Error>
std::string refusal(const std::string& wanted, const std::vector<RankMeans>& ranks) {
  try {
    agreed_kernel({.kernel = wanted}, ranks);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no refusal";
  return "";
}

TEST(AgreedKernel, IsTheFastestThatEveryRankCanRun) {
  if (match::find_kernel("avx2") != nullptr) {
    EXPECT_EQ(name_of_agreed("auto", {kNewer, kNewer}), "avx2");
  }
  EXPECT_EQ(name_of_agreed("auto", {kNewer, kOld, kNewer}), "generic");
  EXPECT_EQ(name_of_agreed("direct", {kOld, kNewer}), "generic");
  EXPECT_EQ(name_of_agreed("generic", {kNewer}), "generic");
}

TEST(AgreedKernel, IsTensorOperationsWhereOnlyLibTorchHasGpus) {
  EXPECT_EQ(name_of_agreed("auto", {kTorchGpu, kTorchGpu}), "tensors");
  EXPECT_EQ(name_of_agreed("generic", {kTorchGpu, kTorchGpu}), "generic");
  EXPECT_EQ(name_of_agreed("tensors", {kOld}), "tensors");
}

TEST(AgreedKernel, RefusesDevicesOfTwoKindsNamingTheRank) {
  EXPECT_THAT(refusal<EnvironmentError>("auto", {kNewer, kNewer, kTorchGpu}), HasSubstr("rank 2"));
}

TEST(AgreedKernel, IsThatForGpusWhereEveryRankHasOne) {
  if (match::find_kernel("gpu") == nullptr) GTEST_SKIP() << "a build without the kernel for GPUs";
  const std::vector<RankMeans> ranks = {kGpu, kGpu};
  EXPECT_EQ(name_of_agreed("auto", ranks), "gpu");
  EXPECT_EQ(name_of_agreed("direct", ranks), "generic");
  EXPECT_EQ(name_of_agreed("auto", {kGpu, kOld}), "generic");
  // Which it cannot compute.
  EXPECT_EQ(agreed_kernel({.precision = "32"}, ranks).name, "generic");
  EXPECT_EQ(agreed_kernel({.similarity = match::similarity_named("cosine")}, ranks).name, "generic");
  EXPECT_THROW(agreed_kernel({.precision = "32", .device = "cuda"}, ranks), UsageError);
  EXPECT_THROW(agreed_kernel({.device = "cuda", .similarity = match::similarity_named("cosine")}, ranks), UsageError);
  EXPECT_THROW(agreed_kernel({.kernel = "gpu", .similarity = match::similarity_named("cosine")}, ranks), UsageError);
}

TEST(AgreedKernel, RefusesAKernelThatARankLacksNamingIt) {
  if (match::find_kernel("avx2") == nullptr) GTEST_SKIP() << "no kernel of this build needs instructions";
  EXPECT_THAT(refusal<UsageError>("avx2", {kNewer, kOld}), HasSubstr("rank 1"));
}

TEST(AgreedKernel, RefusesAWordThatIsNoneNamingThoseThatAre) {
  EXPECT_THAT(refusal<UsageError>("abacus", {kNewer}), HasSubstr("generic"));
}

TEST_F(Retrieval, RanksSearchByOneArithmeticAndForceASlowerOne) {
  const SearchPath path = agreed_search_path(comm_, {.device = "cpu"}, at::kCPU);
  EXPECT_EQ(path.kernel, &match::fastest_cpu_kernel());  // all ranks are on this machine
  EXPECT_EQ(agreed_search_path(comm_, {.kernel = "generic"}, at::kCPU).arithmetic(), "generic, 32-bit floats");
  EXPECT_EQ(agreed_search_path(comm_, {.kernel = "tensors", .precision = "tf32"}, at::kCPU).arithmetic(),
            "tensors, TF32 floats");
  EXPECT_THROW(agreed_search_path(comm_, {.kernel = "generic", .precision = "16"}, at::kCPU), UsageError);
}

class OtherArithmetic : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    const auto exemplars = synthetic_exemplars(33, 80, 46);
    ingest(exemplars);
    write_mark("m", {exemplars[9].image(cv::Rect(2, 10, 24, 40)).clone(), {}});
    build_index(comm_, index_options({"pixels"}));
  }
  SearchOptions options_with(const std::string& kernel) const {
    SearchOptions options = search_options();
    options.protocol.angles_deg = {0};
    options.kernel = kernel;
    return options;
  }
};

class OtherArithmeticOnOneRank : public OtherArithmetic {};

TEST_F(OtherArithmetic, ARunIsNotResumedByAnotherKernel) {
  search(comm_, options_with("tensors"));
  on_root([&] {
    EXPECT_EQ(store::Store(folder_ / "results.h5").header().parameters.at("arithmetic"), "tensors, 32-bit floats");
    fs::remove(folder_ / "results.h5");
  });
  try {
    search(comm_, options_with("generic"));
    ADD_FAILURE() << "no refusal";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("arithmetic"));
    EXPECT_THAT(error.what(), HasSubstr("generic, 32-bit floats"));
  }
}

TEST_F(OtherArithmeticOnOneRank, EverySimilarityFindsTheExemplarThatTheMarkWasCutFrom) {
  for (const match::Similarity& similarity : match::known_similarities()) {
    SearchOptions options = options_with("auto");
    options.output = folder_ / (match::name_of(similarity) + ".h5");
    options.protocol.similarity = similarity;
    search(comm_, options);
    on_root([&] {
      EXPECT_EQ(store::Store(options.output).header().parameters.at("similarity"), match::name_of(similarity));
      const bool is_scaled =
          similarity.scaling == match::Scaling::kSigma || similarity.scaling == match::Scaling::kSigmaC;
      if (!is_scaled && !similarity.is_distance) return;  // the largest contrast wins, not the likest
      EXPECT_EQ(read_candidates(options.csv).front().exemplar, id_of_exemplar(9)) << match::name_of(similarity);
    });
  }
}

/// Writes the index anew with one number of one exemplar changed.
void spoil(const fs::path& path, std::size_t lane, float value) {
  store::StoreHeader header;
  std::vector<store::Columns> units;
  store::Columns whole;
  {
    const store::Store index(path);
    header = index.header();
    for (std::int64_t unit = 0; unit < index.units(); ++unit) {
      const auto [first, count] = index.unit_rows(unit);
      units.push_back({{"maps", index.read("maps", first, count)},
                       {"channel_sum", index.read("channel_sum", first, count)},
                       {"channel_square_sum", index.read("channel_square_sum", first, count)}});
    }
    for (const std::string& name : index.datasets()) {
      if (!units.front().contains(name)) whole[name] = index.read(name);
    }
  }
  std::get<std::vector<float>>(units.front().at("maps").values)[5 * match::kLanes + lane] = value;
  fs::remove(path);
  fs::remove_all(fs::path(path).replace_extension(".shards"));
  store::StoreWriter writer(path, header, std::ssize(units), true);
  for (std::size_t unit = 0; unit < units.size(); ++unit) {
    writer.write_unit(static_cast<std::int64_t>(unit), units[unit]);
  }
  writer.finish(whole);
}

TEST_F(OtherArithmetic, AnExemplarWhoseFeaturesAreNotFiniteIsRefusedByName) {
  on_root([&] { spoil(folder_ / "index.h5", 7, std::numeric_limits<float>::quiet_NaN()); });
  for (const std::string kernel : {"direct", "tensors"}) {
    try {
      search(comm_, options_with(kernel));
      ADD_FAILURE() << "no refusal";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("'" + id_of_exemplar(7) + "'"));
    }
    on_root([&] { fs::remove_all(folder_ / "results.shards"); });
  }
}

}  // namespace
}  // namespace outsole::retrieval::testing
