#include <gmock/gmock.h>

#include <array>
#include <bit>
#include <cmath>

#include "core/errors.h"
#include "sample_store.h"

namespace outsole::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using StoreRoundTrip = StoreTest;

Columns concatenated(const std::vector<Columns>& units, const std::string& name) {
  Columns whole{{name, units.front().at(name)}};
  Column& column = whole.at(name);
  for (std::size_t i = 1; i < units.size(); ++i) {
    const Column& more = units[i].at(name);
    column.shape[0] += more.shape[0];
    column.row_lengths.insert(column.row_lengths.end(), more.row_lengths.begin(), more.row_lengths.end());
    std::visit(
        [&](auto& values) {
          const auto& tail = std::get<std::decay_t<decltype(values)>>(more.values);
          values.insert(values.end(), tail.begin(), tail.end());
        },
        column.values);
  }
  return whole;
}

TEST_F(StoreRoundTrip, ReadsBackEveryColumnOverAllShards) {
  write_sample(folder_ / "s.h5");
  const Store store(folder_ / "s.h5", "outsole.exemplars");
  EXPECT_EQ(store.rows(), 7);
  EXPECT_EQ(store.units(), 3);
  EXPECT_EQ(store.unit_rows(0), std::pair(std::int64_t{0}, std::int64_t{4}));
  EXPECT_EQ(store.unit_rows(1), std::pair(std::int64_t{4}, std::int64_t{0}));
  EXPECT_EQ(store.unit_rows(2), std::pair(std::int64_t{4}, std::int64_t{3}));
  const std::vector<Columns> units{sample_images(0, 4), sample_images(10, 0), sample_images(20, 3)};
  EXPECT_EQ(store.datasets().size(), units[0].size());
  for (const auto& [name, column] : units[0]) {
    const Column expected = concatenated(units, name).at(name), read = store.read(name);
    EXPECT_EQ(read.values, expected.values) << name;
    EXPECT_EQ(read.shape, expected.shape) << name;
    EXPECT_EQ(read.row_lengths, expected.row_lengths) << name;
  }
  EXPECT_EQ(store.header().parameters, sample_header().parameters);
  EXPECT_EQ(store.type("id"), "text128");
  EXPECT_THAT(store.shape("pixels"), ElementsAre(7, -1));
  EXPECT_THAT(store.validate(), ElementsAre());
  EXPECT_THAT(Store::validate_in_child(folder_ / "s.h5"), ElementsAre());
  EXPECT_NO_THROW(Store(folder_ / "s.h5", "", Origin::kForeign));
}

TEST_F(StoreRoundTrip, EveryRangeOfRowsIsThatPartOfTheWhole) {
  write_sample(folder_ / "s.h5");
  const Store store(folder_ / "s.h5");
  const auto ids = elements<std::string>(store.read("id"));
  const Column all = store.read("pixels");
  for (std::int64_t first = 0; first <= 7; ++first) {
    std::int64_t offset = 0;
    for (std::int64_t row = 0; row < first; ++row) offset += all.row_lengths[static_cast<std::size_t>(row)];
    for (std::int64_t count = 0; first + count <= 7; ++count) {
      EXPECT_EQ(elements<std::string>(store.read("id", first, count)),
                std::vector(ids.begin() + first, ids.begin() + first + count));
      const Column pixels = store.read_async("pixels", first, count).get();
      EXPECT_EQ(pixels.shape, std::vector{count});
      const auto& bytes = elements<std::uint8_t>(all);
      EXPECT_EQ(
          elements<std::uint8_t>(pixels),
          std::vector(bytes.begin() + offset, bytes.begin() + offset + std::ssize(elements<std::uint8_t>(pixels))));
      std::int64_t sum = 0;
      for (const std::int64_t length : pixels.row_lengths) sum += length;
      EXPECT_EQ(sum, std::ssize(elements<std::uint8_t>(pixels)));
    }
  }
  EXPECT_THROW(store.read("id", 5, 3), Bug);
  EXPECT_THROW(store.read("id", -1, 1), Bug);
  EXPECT_THAT(message_of<DataError>([&] { store.read("maps"); }), HasSubstr("no data set 'maps'"));
}

Columns sample_index_whole() {
  return {{"exemplar_id", {{3}, std::vector<std::string>{"a", "b", "c"}, {}}},
          {"exemplar_height_px", {{3}, std::vector<std::int32_t>{1, 2, 3}, {}}},
          {"exemplar_width_px", {{3}, std::vector<std::int32_t>{4, 5, 6}, {}}},
          {"exemplar_mirror", {{3}, std::vector<std::uint8_t>{0, 1, 0}, {}}},
          {"white_response", {{5}, std::vector<float>{1, -0.0F, 2, std::nanf(""), 3}, {}}}};
}

TEST_F(StoreRoundTrip, HalfFloatsKeepEveryBit) {
  std::vector<std::uint16_t> maps(2 * 5 * 4 * 3 * 6);
  for (std::size_t i = 0; i < maps.size(); ++i) maps[i] = static_cast<std::uint16_t>(i * 91);
  {
    StoreWriter writer(folder_ / "s.h5", {"outsole.index", 1, {}}, 1, true);
    writer.write_unit(0, {{"maps", {{2, 5, 4, 3, 6}, maps, {}}},
                          {"channel_square_sum", {{2, 5}, std::vector<double>(10, 1e-300), {}}}});
    writer.finish(sample_index_whole());
  }
  const Store store(folder_ / "s.h5");
  EXPECT_EQ(store.type("maps"), "float16");
  EXPECT_EQ(elements<std::uint16_t>(store.read("maps")), maps);
  EXPECT_EQ(elements<std::uint16_t>(store.read("maps", 1, 1)), std::vector(maps.begin() + 360, maps.end()));
  EXPECT_EQ(elements<double>(store.read("channel_square_sum")), std::vector<double>(10, 1e-300));
  EXPECT_EQ(elements<std::int32_t>(store.read("exemplar_width_px")), (std::vector<std::int32_t>{4, 5, 6}));
  EXPECT_TRUE(std::isnan(elements<float>(store.read("white_response"))[3]));
  EXPECT_THROW(store.read("exemplar_id", 0, 2), Bug);
}

TEST_F(StoreRoundTrip, RowsOfManyChunksComeBackWhole) {
  const std::int64_t channels = 37, width = 31, height = 29, lanes = 24;  // 3 MiB a row, no chunk divides it
  std::vector<float> maps(static_cast<std::size_t>(3 * channels * width * height * lanes));
  for (std::size_t i = 0; i < maps.size(); ++i) maps[i] = static_cast<float>(i);
  Columns whole = sample_index_whole();
  whole["white_response"] = {{channels}, std::vector<float>(static_cast<std::size_t>(channels)), {}};
  {
    StoreWriter writer(folder_ / "s.h5", {"outsole.index", 1, {}}, 1, true);
    writer.write_unit(
        0, {{"maps", {{3, channels, width, height, lanes}, maps, {}}},
            {"channel_square_sum", {{3, channels}, std::vector<double>(static_cast<std::size_t>(3 * channels)), {}}}});
    writer.finish(whole);
  }
  const Store store(folder_ / "s.h5");
  const auto row = channels * width * height * lanes;
  EXPECT_EQ(elements<float>(store.read("maps")), maps);
  EXPECT_EQ(elements<float>(store.read("maps", 1, 1)), std::vector(maps.begin() + row, maps.begin() + 2 * row));
  const auto line = width * height * lanes;
  for (const auto& [first, count] : {std::pair{0, 1}, std::pair{5, 20}, std::pair{36, 1}, std::pair{37, 0}}) {
    EXPECT_EQ(std::get<std::vector<float>>(store.read_lines("maps", 1, first, count)),
              std::vector(maps.begin() + row + first * line, maps.begin() + row + (first + count) * line));
  }
  EXPECT_THROW(store.read_lines("maps", 3, 0, 1), Bug);
  EXPECT_THROW(store.read_lines("maps", 0, 36, 2), Bug);
  EXPECT_THROW(store.read_lines("maps", 0, -1, 1), Bug);
  EXPECT_THROW(store.read_lines("white_response", 0, 0, 1), Bug);
}

TEST_F(StoreRoundTrip, LinesComeOfEachRowOfEveryShard) {
  write_sample(folder_ / "ragged.h5");
  EXPECT_THROW(Store(folder_ / "ragged.h5").read_lines("pixels", 0, 0, 1), Bug) << "ragged rows have no lines";
  const std::vector<double> sums{0, 1, 2, 3, 4, 5};
  {
    StoreWriter writer(folder_ / "s.h5", {"outsole.index", 1, {}}, 2, true);
    for (const std::int64_t unit : {0, 1}) {
      writer.write_unit(unit, {{"maps", {{1, 3, 1, 1, 1}, std::vector<float>{0, 0, 0}, {}}},
                               {"channel_square_sum",
                                {{1, 3}, std::vector(sums.begin() + 3 * unit, sums.begin() + 3 * unit + 3), {}}}});
    }
    Columns whole = sample_index_whole();
    whole["white_response"] = {{3}, std::vector<float>(3), {}};
    writer.finish(whole);
  }
  const Store store(folder_ / "s.h5");
  EXPECT_EQ(std::get<std::vector<double>>(store.read_lines("channel_square_sum", 1, 1, 2)),
            (std::vector<double>{4, 5}));
  EXPECT_EQ(std::get<std::vector<double>>(store.read_lines("channel_square_sum", 0, 0, 2)),
            (std::vector<double>{0, 1}));
}

TEST_F(StoreRoundTrip, ParametersMayBeLongerThanAnAttributeUsedToBe) {
  StoreHeader header = sample_header();
  header.parameters["list"] = std::string(300'000, 'x');
  {
    StoreWriter writer(folder_ / "s.h5", header, 1, true);
    writer.write_unit(0, sample_images(0, 1));
    writer.finish();
  }
  EXPECT_EQ(Store(folder_ / "s.h5").header().parameters, header.parameters);
}

TEST_F(StoreRoundTrip, SameContentGivesTheSameBytesInWhateverOrderUnitsWereWritten) {
  for (const char* run : {"a", "b"}) fs::create_directory(folder_ / run);
  write_sample(folder_ / "a" / "s.h5", {0, 1, 2});
  usleep(1'100'000);  // HDF5's times have a resolution of one second
  write_sample(folder_ / "b" / "s.h5", {2, 0, 1});
  for (const char* file : {"s.h5", "s.shards/00000.h5", "s.shards/00001.h5", "s.shards/00002.h5"}) {
    EXPECT_EQ(sha256_of_file(folder_ / "a" / file), sha256_of_file(folder_ / "b" / file)) << file;
  }
  EXPECT_EQ(Store(folder_ / "a" / "s.h5").sha256(), Store(folder_ / "b" / "s.h5").sha256());
}

TEST_F(StoreRoundTrip, AStoreOfUnitsWithoutRowsIsAStore) {
  {
    StoreWriter writer(folder_ / "s.h5", sample_header(), 2, true);
    for (const std::int64_t unit : {0, 1}) writer.write_unit(unit, sample_images(0, 0));
    writer.finish();
  }
  const Store store(folder_ / "s.h5");
  EXPECT_EQ(store.rows(), 0);
  EXPECT_EQ(elements<std::string>(store.read("id")).size(), 0U);
  EXPECT_THAT(store.validate(), ElementsAre());
}

TEST_F(StoreRoundTrip, ColumnsThatBreakTheSchemaAreABug) {
  StoreWriter writer(folder_ / "s.h5", sample_header(), 1, true);
  const auto complaint = [&](auto change) {
    Columns columns = sample_images(0, 4);
    change(columns);
    return message_of<Bug>([&] { writer.write_unit(0, columns); });
  };
  EXPECT_THAT(complaint([](Columns& c) { c.erase("id"); }), HasSubstr("'id' is missing"));
  EXPECT_THAT(complaint([](Columns& c) { c["colour"] = c["mirror"]; }), HasSubstr("'colour'"));
  EXPECT_THAT(complaint([](Columns& c) { c["mirror"].values = std::vector<float>(4); }), HasSubstr("'mirror'"));
  EXPECT_THAT(complaint([](Columns& c) { c["mirror"].shape = {5}; }), HasSubstr("'mirror'"));
  EXPECT_THAT(complaint([](Columns& c) {
                c["mirror"] = {{2, 2}, std::vector<std::uint8_t>(4), {}};
              }),
              HasSubstr("dimensions"));
  EXPECT_THAT(complaint([](Columns& c) {
                c["mirror"] = {{3}, std::vector<std::uint8_t>(3), {}};
              }),
              HasSubstr("'images' is 4"));
  EXPECT_THAT(complaint([](Columns& c) { c["pixels"].row_lengths[0]++; }), HasSubstr("'pixels'"));
  EXPECT_THAT(complaint([](Columns& c) { c["id"].values = std::vector<std::string>(4, std::string(129, 'x')); }),
              HasSubstr("text128"));
  EXPECT_FALSE(writer.has_unit(0));
  EXPECT_FALSE(fs::exists(folder_ / "s.shards" / "00000.h5.part"));
}

}  // namespace
}  // namespace outsole::store
