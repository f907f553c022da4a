#include "ingest/scans.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "core/errors.h"
#include "temporary_folder.h"
#include "wear/prepared.h"

namespace outsole::ingest {
namespace {

using ::testing::HasSubstr;

ScanRecord scan(const std::string& id, std::int32_t height_px, std::int32_t width_px, std::int32_t bit_depth) {
  ScanRecord record;
  record.id = id;
  record.height_px = height_px;
  record.width_px = width_px;
  record.bit_depth = bit_depth;
  record.was_colour = bit_depth == 16;
  record.dpi = 300;
  record.subject = {"036285L", "036", "L", 12.2857};
  record.source_sha256 = std::string(64, 'b');
  record.metadata = {{"brand", "x"}};
  record.pixels.resize(static_cast<std::size_t>(height_px * width_px * bit_depth / 8));
  for (std::size_t i = 0; i < record.pixels.size(); ++i) record.pixels[i] = static_cast<std::uint8_t>(7 * i);
  return record;
}

class Scans : public testing::TemporaryFolder {
 protected:
  std::filesystem::path save(const std::vector<ScanRecord>& records) const {
    store::StoreWriter writer(folder_ / "s.h5", {kScansSchema, 1, nlohmann::json::object()}, 1, /*create_folder=*/true);
    writer.write_unit(0, scan_columns(records));
    writer.finish();
    return folder_ / "s.h5";
  }

  std::string refusal(const std::vector<ScanRecord>& records) const {
    std::filesystem::remove_all(folder_ / "s.shards");
    std::filesystem::remove(folder_ / "s.h5");
    try {
      ScanStore(save(records)).record(0);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no refusal";
  }
};

TEST_F(Scans, ComeBackAsTheyWere) {
  const std::vector<ScanRecord> records = {scan("a", 3, 2, 8), scan("b", 5, 7, 16)};
  const ScanStore store(save(records));
  ASSERT_EQ(store.size(), 2);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const ScanRecord back = store.record(static_cast<std::int64_t>(i));
    EXPECT_EQ(back.id, records[i].id);
    EXPECT_EQ(back.height_px, records[i].height_px);
    EXPECT_EQ(back.bit_depth, records[i].bit_depth);
    EXPECT_EQ(back.was_colour, records[i].was_colour);
    EXPECT_EQ(back.dpi, 300);
    EXPECT_EQ(back.subject.shoe, "036285L");
    EXPECT_EQ(back.subject.pair, "036");
    EXPECT_EQ(back.subject.foot, "L");
    EXPECT_EQ(back.subject.week, 12.2857);
    EXPECT_EQ(back.metadata, records[i].metadata);
    EXPECT_EQ(back.pixels, records[i].pixels);
  }
}

TEST_F(Scans, SlabsOfRowsAreReadWithoutTheRest) {
  const std::vector<ScanRecord> records = {scan("a", 900, 1300, 8), scan("b", 5, 7, 16)};  // a: more than one chunk
  const ScanStore store(save(records));
  for (const auto& [index, first_px, count_px] :
       {std::tuple{0, 0, 900}, {0, 899, 1}, {0, 301, 555}, {0, 17, 0}, {1, 0, 5}, {1, 2, 2}}) {
    const ScanRecord& record = records[static_cast<std::size_t>(index)];
    const auto row_bytes = record.width_px * record.bit_depth / 8;
    const auto begin = record.pixels.begin() + first_px * row_bytes;
    EXPECT_EQ(store.pixel_rows(index, first_px, count_px),
              std::vector<std::uint8_t>(begin, begin + count_px * row_bytes));
  }
  EXPECT_THROW(store.pixel_rows(0, 899, 2), Bug);
  EXPECT_THROW(store.pixel_rows(0, -1, 2), Bug);
  EXPECT_THROW(store.pixel_rows(2, 0, 1), Bug);
}

TEST_F(Scans, ImpossibleFactsAreRefusedByName) {
  ScanRecord foot = scan("a", 3, 2, 8), week = foot, dpi = foot, pixels = foot;
  foot.subject.foot = "X";
  week.subject.week = -1;
  dpi.dpi = std::numeric_limits<double>::quiet_NaN();
  pixels.pixels.pop_back();
  EXPECT_THAT(refusal({foot}), HasSubstr("foot"));
  EXPECT_THAT(refusal({week}), HasSubstr("week"));
  EXPECT_THAT(refusal({dpi}), HasSubstr("dpi"));
  EXPECT_THAT(refusal({pixels}), HasSubstr("'a'"));
}

TEST_F(Scans, PreparedScansComeBackAsTheyWere) {
  wear::PreparedRecord record;
  record.info.id = "a";
  record.info.subject = {"s", "p", "R", 4};
  record.info.reference_id = "r";
  record.info.flag = "correlation too low";
  record.info.mirrored = true;
  record.info.window_x_px = 54;
  record.info.angle_deg = -8.25;
  record.info.centre_y_px = 700.5;
  record.info.correlation = 0.3;
  record.info.block_features = 63;
  record.info.source_sha256 = std::string(64, 'c');
  record.metadata = {{"brand", "y"}};
  record.pixels = {0, 1, 2, 3, 4, 255};
  record.support = {255, 255, 255, 255, 255, 0};
  record.info.filled_share = 0.5;
  record.filled = {255, 255, 255, 0, 0, 0};
  store::StoreWriter writer(folder_ / "p.h5", {wear::kPreparedSchema, wear::kPreparedVersion, nlohmann::json::object()},
                            2,
                            /*create_folder=*/true);
  writer.write_unit(0, wear::prepared_columns(std::span(&record, 1), 2, 3));
  store::Columns none = wear::prepared_columns({}, 2, 3);
  none["filled"] = none["support"];
  writer.write_unit(1, none);
  writer.finish();
  const wear::PreparedStore store(folder_ / "p.h5");
  ASSERT_EQ(store.size(), 1);
  EXPECT_EQ(store.height_px(), 2);
  EXPECT_EQ(store.width_px(), 3);
  const wear::PreparedRecord back = store.record(0);
  EXPECT_EQ(back.info.id, "a");
  EXPECT_EQ(back.info.subject.foot, "R");
  EXPECT_EQ(back.info.reference_id, "r");
  EXPECT_EQ(back.info.flag, record.info.flag);
  EXPECT_TRUE(back.info.mirrored);
  EXPECT_EQ(back.info.window_x_px, 54);
  EXPECT_EQ(back.info.angle_deg, -8.25);
  EXPECT_EQ(back.info.centre_y_px, 700.5);
  EXPECT_EQ(back.info.correlation, 0.3);
  EXPECT_TRUE(std::isnan(back.info.overlap));
  EXPECT_EQ(back.info.block_features, 63);
  EXPECT_EQ(back.info.source_sha256, record.info.source_sha256);
  EXPECT_EQ(back.metadata, record.metadata);
  EXPECT_EQ(back.pixels, record.pixels);
  EXPECT_EQ(back.support, record.support);
  EXPECT_EQ(back.info.filled_share, 0.5);
  EXPECT_EQ(back.filled, record.filled);
}

TEST_F(Scans, PreparedScansOfTheFirstVersionAreReadAsFilledByNothing) {
  wear::PreparedRecord record;
  record.info.id = record.info.reference_id = "a";
  record.info.subject = {"s", "p", "R", 4};
  record.info.source_sha256 = std::string(64, 'c');
  record.pixels = {0, 255};
  record.support = {255, 255};
  store::Columns columns = wear::prepared_columns(std::span(&record, 1), 1, 2);
  columns.erase("filled_share");
  store::StoreWriter writer(folder_ / "p.h5", {wear::kPreparedSchema, 1, nlohmann::json::object()}, 1,
                            /*create_folder=*/true);
  writer.write_unit(0, columns);
  writer.finish();
  const wear::PreparedRecord back = wear::PreparedStore(folder_ / "p.h5").record(0);
  EXPECT_EQ(back.pixels, record.pixels);
  EXPECT_TRUE(std::isnan(back.info.filled_share));
  EXPECT_TRUE(back.filled.empty());
}

}  // namespace
}  // namespace outsole::ingest
