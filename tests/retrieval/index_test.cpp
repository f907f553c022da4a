#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "../features/weights_fixture.h"
#include "../message_of.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "ingest/duplicates.h"
#include "ingest/exemplars.h"
#include "retrieval/build_index.h"
#include "retrieval/open_index.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using ::testing::HasSubstr;

/// 100 exemplars: four blocks, four units.
class Index : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    exemplars_ = synthetic_exemplars(100, 96, 48);
    fill_once("Index", [&] { ingest(exemplars_); });
  }
  fs::path shard(int unit) const { return folder_ / "index.shards" / ("0000" + std::to_string(unit) + ".h5"); }

  /// What every rank is told when the index is refused.
  template <typename Kind>
  std::string refusal(const BuildIndexOptions& options) const {
    try {
      build_index(comm_, options);
    } catch (const Kind& error) {
      EXPECT_TRUE(error.known_to_all_ranks());
      return error.what();
    }
    ADD_FAILURE() << "no refusal";
    return {};
  }

  /// The index as an earlier version would have written it. Not collective.
  void write_as_version(int version, const fs::path& path) const {
    const store::Store today(folder_ / "index.h5", kIndexSchema);
    nlohmann::json parameters = today.header().parameters;
    if (version == 1) {
      parameters["first_center_px"] = parameters["first_center_half_px"].get<int>() / 2;
      parameters.erase("first_center_half_px");
    }
    store::StoreWriter writer(path, {kIndexSchema, version, parameters}, 1, true);
    store::Columns rows = {{"maps", today.read("maps")}, {"channel_square_sum", today.read("channel_square_sum")}};
    if (version > 2) rows["channel_sum"] = today.read("channel_sum");
    writer.write_unit(0, rows);
    store::Columns whole;
    for (const char* name :
         {"exemplar_id", "exemplar_height_px", "exemplar_width_px", "exemplar_mirror", "white_response"}) {
      whole[name] = today.read(name);
    }
    if (version > 3) whole["exemplar_equal_to"] = today.read("exemplar_equal_to");
    writer.finish(whole);
  }

  std::vector<NaiveExemplar> exemplars_;
};

TEST_F(Index, HoldsEachExemplarsMapsLessTheResponseToWhite) {
  build_index(comm_, index_options({"pixels"}));
  on_root([&] {
    const store::Store index(folder_ / "index.h5", kIndexSchema);
    const auto p = IndexParameters::from_header(index.header(), "index.h5");
    EXPECT_EQ(p.search_height_px, 48);
    EXPECT_EQ(p.search_width_px, 24);
    EXPECT_EQ(p.exemplars, 100);
    EXPECT_EQ(p.border_cells, 2);
    const match::FrameCells cells = p.frame_cells();
    const store::Column maps = index.read("maps", 1, 1);
    ASSERT_EQ(maps.shape, (std::vector<std::int64_t>{1, 1, cells.width, cells.height, 32}));
    const auto& values = std::get<std::vector<float>>(maps.values);
    // Exemplar 40 is lane 8 of block 1. It fills less than the frame: its first pixel lies at column 0 or later.
    const NaiveExemplar& exemplar = exemplars_[40];
    ASSERT_FALSE(exemplar.mirror);
    const int left = (48 - exemplar.image.cols) / 2;
    double grey = 0, stored = 0;
    for (int y = 2 * 2; y < 2 * 46; ++y) {
      for (int x = 2 * 2; x < 2 * 22; ++x) {
        const bool inside = y < exemplar.image.rows && x >= left && x < left + exemplar.image.cols;
        grey += (inside ? exemplar.image(y, x - left) : 255) / 4.0;
      }
    }
    for (std::int64_t cell = 0; cell < cells.height * cells.width; ++cell) {
      stored += values[static_cast<std::size_t>(cell * 32 + 8)] + 255.0;
    }
    const auto count = static_cast<double>(cells.height * cells.width);
    EXPECT_NEAR(stored / count, grey / count, 2);  // halving is antialiased: pixels blur across the border
  });
}

/// The groups that provenance tells of. Not collective.
nlohmann::json told_duplicates(const fs::path& folder) {
  const auto json = nlohmann::json::parse(read_text_file(folder / "index.provenance.json"));
  return json.at("details").value("exemplars_of_equal_pixels", nlohmann::json::array());
}

TEST_F(Index, TellsOfNoEqualPixelsWhereThereAreNone) {
  build_index(comm_, index_options({"pixels"}));
  on_root([&] { EXPECT_TRUE(told_duplicates(folder_).empty()); });
}

TEST_F(Retrieval, IndexNamesEveryGroupOfExemplarsOfEqualPixels) {
  auto exemplars = synthetic_exemplars(100, 80, 56);
  for (const int copy : {40, 99}) exemplars[static_cast<std::size_t>(copy)].image = exemplars[1].image.clone();
  exemplars[50].image = exemplars[49].image.clone();  // of the same block
  exemplars[50].mirror = !exemplars[49].mirror;       // and yet of equal pixels
  exemplars[98].image = exemplars[2].image.clone();
  exemplars[98].image(0, 0) ^= 1;  // nearly
  exemplars[97].image = cv::Mat1b(20, 10, 255);
  exemplars[96].image = cv::Mat1b(10, 20, 255);  // as many bytes of the same
  ingest(exemplars);
  const auto expected = nlohmann::json::array({{"001", "040", "099"}, {"049", "050"}});
  BuildIndexOptions options = index_options({"pixels"});
  build_index(comm_, options);
  on_root([&] {
    EXPECT_EQ(told_duplicates(folder_), expected);
    const auto equal_to =
        std::get<std::vector<std::int32_t>>(store::Store(options.output).read("exemplar_equal_to").values);
    ASSERT_EQ(equal_to.size(), 100U);
    for (std::int32_t i = 0; i < 100; ++i) {
      EXPECT_EQ(equal_to[static_cast<std::size_t>(i)], i == 40 || i == 99 ? 1 : i == 50 ? 49 : i);
    }
  });
}

/// The exemplars of `from` in a store of another version, or with other digests of their pixels. Not collective.
void write_exemplars(const fs::path& from, const fs::path& to, bool keeps_digests) {
  const store::Store store(from, ingest::kExemplarsSchema);
  store::Columns columns;
  for (const std::string& name : store.datasets()) columns[name] = store.read(name);
  if (keeps_digests) {
    auto& digests = std::get<std::vector<std::uint8_t>>(columns[ingest::kPixelsDigests].values);
    std::copy_n(digests.begin(), 32, digests.begin() + 15 * 32);
    std::copy_n(digests.begin(), 32, digests.begin() + 1 * 32);
  } else {
    columns.erase(ingest::kPixelsDigests);
    columns.erase("dpi");
  }
  store::StoreWriter writer(to, {ingest::kExemplarsSchema, keeps_digests ? 2 : 1, nlohmann::json::object()}, 1, true);
  writer.write_unit(0, columns);
  writer.finish();
}

TEST_F(Index, TakesEqualPixelsFromTheStoreWhereItKnowsThem) {
  ASSERT_EQ(exemplars_[0].image.size(), exemplars_[15].image.size());
  ASSERT_NE(exemplars_[0].image.size(), exemplars_[1].image.size());
  BuildIndexOptions options = index_options({"pixels"});
  options.exemplars = folder_ / "told.h5";
  on_root([&] { write_exemplars(folder_ / "exemplars.h5", options.exemplars, true); });
  build_index(comm_, options);
  on_root([&] { EXPECT_EQ(told_duplicates(folder_), nlohmann::json::array({{"000", "015"}})); });
}

TEST_F(Retrieval, IndexFindsEqualPixelsOfExemplarsOfTheFirstVersion) {
  auto exemplars = synthetic_exemplars(40, 80, 56);
  exemplars[35].image = exemplars[1].image.clone();
  ingest(exemplars);
  BuildIndexOptions options = index_options({"pixels"});
  options.exemplars = folder_ / "first.h5";
  on_root([&] { write_exemplars(folder_ / "exemplars.h5", options.exemplars, false); });
  build_index(comm_, options);
  on_root([&] {
    EXPECT_EQ(told_duplicates(folder_), nlohmann::json::array({{"001", "035"}}));
    EXPECT_EQ(open_index(store::Store(options.output, kIndexSchema), "", at::kCPU).parameters.exemplar_dpi, 0);
  });
}

TEST_F(Index, WhoseEqualsAreNoneIsRefused) {
  build_index(comm_, index_options({"pixels"}));
  on_root([&] {
    const store::Store today(folder_ / "index.h5", kIndexSchema);
    store::Columns rows, whole;
    for (const char* name : {"maps", "channel_sum", "channel_square_sum"}) rows[name] = today.read(name);
    for (const char* name : {"exemplar_id", "exemplar_height_px", "exemplar_width_px", "exemplar_mirror",
                             "exemplar_equal_to", "white_response"}) {
      whole[name] = today.read(name);
    }
    for (const std::int32_t wrong : {-1, 8, 100, 3}) {
      const fs::path path = folder_ / ("wrong" + std::to_string(wrong) + ".h5");
      auto& equal_to = std::get<std::vector<std::int32_t>>(whole["exemplar_equal_to"].values);
      equal_to[3] = 2;
      equal_to[7] = wrong;
      store::StoreWriter writer(path, {kIndexSchema, 5, today.header().parameters}, 1, true);
      writer.write_unit(0, rows);
      writer.finish(whole);
      EXPECT_THAT(
          outsole::testing::message_of<DataError>([&] { open_index(store::Store(path, kIndexSchema), "", at::kCPU); }),
          HasSubstr("exemplar_equal_to"))
          << wrong;
    }
  });
}

TEST_F(Index, MeanGreyIsThatOfTheFramedExemplars) {
  build_index(comm_, index_options({"pixels"}));
  on_root([&] {
    const store::Store index(folder_ / "index.h5", kIndexSchema);
    const auto p = IndexParameters::from_header(index.header(), "index.h5");
    EXPECT_NEAR(p.mean_grey, NaiveRetrieval(exemplars_, {"pixels"}, {}).mean_grey(), 1e-9);
  });
}

TEST_F(Index, LanesBeyondTheLastExemplarAreZero) {
  build_index(comm_, index_options({"pixels"}));
  on_root([&] {
    const store::Store index(folder_ / "index.h5", kIndexSchema);
    const auto values = std::get<std::vector<float>>(index.read("maps", 3, 1).values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % 32 >= 100 - 3 * 32) {
        ASSERT_EQ(values[i], 0);
      }
    }
  });
}

TEST_F(Index, SixteenBitMapsAreTheRoundedOnes) {
  build_index(comm_, index_options({"scattering"}));
  BuildIndexOptions halves = index_options({"scattering"});
  halves.precision_bits = 16;
  halves.output = folder_ / "index16.h5";
  build_index(comm_, halves);
  on_root([&] {
    const store::Store whole(folder_ / "index.h5"), half(halves.output);
    const auto floats = std::get<std::vector<float>>(whole.read("maps", 0, 1).values);
    auto bits = std::get<std::vector<std::uint16_t>>(half.read("maps", 0, 1).values);
    const auto count = static_cast<std::int64_t>(bits.size());
    ASSERT_EQ(bits.size(), floats.size());
    const at::Tensor rounded = at::from_blob(bits.data(), {count}, at::kHalf).to(at::kFloat);
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = floats[static_cast<std::size_t>(i)];
      ASSERT_NEAR(rounded.data_ptr<float>()[i], value, std::abs(value) / 2048 + 1e-7);
    }
  });
}

TEST_F(Index, AnyLostShardIsMadeAgainWithTheSameBytes) {
  build_index(comm_, index_options({"scattering"}));
  const std::string undisturbed = comm_.broadcast(comm_.is_root() ? sha256("index.h5") : "");
  for (int lost = 0; lost < 4; ++lost) {
    on_root([&] {
      fs::remove(folder_ / "index.h5");
      fs::remove(shard(lost));
    });
    build_index(comm_, index_options({"scattering"}));
    on_root([&] {
      EXPECT_EQ(sha256("index.h5"), undisturbed);
      EXPECT_TRUE(store::Store(folder_ / "index.h5").validate().empty());
    });
  }
}

TEST_F(Index, AFinishedIndexIsLeftAlone) {
  build_index(comm_, index_options({"pixels"}));
  const auto written = fs::last_write_time(folder_ / "index.h5"), shard_written = fs::last_write_time(shard(2));
  comm_.barrier();
  build_index(comm_, index_options({"pixels"}));
  EXPECT_EQ(fs::last_write_time(folder_ / "index.h5"), written);
  EXPECT_EQ(fs::last_write_time(shard(2)), shard_written);
}

TEST_F(Index, OtherParametersAreRefusedByNameFinishedOrNot) {
  build_index(comm_, index_options({"pixels"}));
  BuildIndexOptions other = index_options({"pixels"});
  other.precision_bits = 16;
  EXPECT_THAT(refusal<DataError>(other), HasSubstr("precision_bits"));
  on_root([&] {
    fs::remove(folder_ / "index.h5");
    fs::remove(shard(1));
  });
  EXPECT_THAT(refusal<DataError>(other), HasSubstr("precision_bits"));
}

TEST_F(Index, AFrameThatLeavesNoCellsIsRefused) {
  BuildIndexOptions options = index_options({"scattering"});
  options.frame = FrameSize{16, 16};
  options.image_scale = 0.25;
  EXPECT_THAT(refusal<UsageError>(options), HasSubstr("16x16"));
}

TEST_F(Index, WeightsThatGiveNoNumbersAreRefused) {
  const std::string weights = folder_ / "nan.safetensors";
  on_root([&] {
    auto tensors = features::random_resnet50(1, 0);
    tensors[0].values[5] = std::nanf("");
    features::write_safetensors(weights, tensors);
  });
  EXPECT_THAT(refusal<DataError>(index_options({"resnet50:res2a", weights})), HasSubstr("not finite"));
}

TEST_F(Index, OfEarlierVersionsIsOpenedAndSearchedAsTheSameIndexOfToday) {
  build_index(comm_, index_options({"scattering"}));
  write_mark("mark", {exemplars_[5].image(cv::Rect(0, 0, 40, 40)).clone(), {}});
  search(comm_, search_options());
  for (const int version : {1, 2, 3, 4}) {
    SearchOptions options = search_options();
    options.indexes = {folder_ / ("index" + std::to_string(version) + ".h5")};
    options.output = folder_ / ("results" + std::to_string(version) + ".h5");
    options.csv = folder_ / ("results" + std::to_string(version) + ".csv");
    on_root([&] { write_as_version(version, options.indexes.front()); });
    search(comm_, options);
    on_root([&] {
      EXPECT_EQ(read_text_file(options.csv), read_text_file(folder_ / "results.csv"));
      EXPECT_EQ(read_candidates(options.csv).front().exemplar, id_of_exemplar(5));
    });
    if (version > 2) continue;
    options.protocol.similarity = match::similarity_named("mu_bar_c,sigma_c");
    try {
      search(comm_, options);
      ADD_FAILURE() << "no refusal";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr("`similarity` mu_bar_c,sigma_c"));
      EXPECT_THAT(error.what(), HasSubstr(options.indexes.front().string()));
      EXPECT_THAT(error.what(), HasSubstr("make it anew"));
    }
  }
}

TEST_F(Index, KeepsSumsThatGiveEachChannelsMeanAndDeviation) {
  build_index(comm_, index_options({"scattering"}));
  on_root([&] {
    const OpenIndex index = open_index(store::Store(folder_ / "index.h5", kIndexSchema), "", at::kCPU);
    const NaiveRetrieval naive(exemplars_, {"scattering"}, {});
    const at::Tensor maps = at::stack(naive.maps()).to(at::kDouble);
    const at::Tensor mean = maps.mean({0, 2, 3}) - index.channels.white.to(at::kDouble);
    EXPECT_TRUE(at::allclose(index.channels.mean, mean, 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(index.channels.deviation, maps.std({0, 2, 3}, false), 1e-5, 1e-5));
  });
}

TEST_F(Index, APlanSaysWhatIsThenDone) {
  const BuildIndexFacts facts = index_facts(index_options({"scattering"}));
  build_index(comm_, index_options({"scattering"}));
  on_root([&] {
    const store::Store index(folder_ / "index.h5");
    EXPECT_EQ(index.units(), facts.units);
    EXPECT_EQ(index.rows(), facts.parameters.blocks());
    const auto maps = index.shape("maps");
    EXPECT_EQ(facts.bytes, maps[0] * maps[1] * maps[2] * maps[3] * maps[4] * 4);
  });
}

}  // namespace
}  // namespace outsole::retrieval::testing
