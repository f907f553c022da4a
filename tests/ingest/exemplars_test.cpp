#include "ingest/exemplars.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "core/errors.h"
#include "core/sha256.h"
#include "ingest/duplicates.h"
#include "temporary_folder.h"

namespace outsole::ingest {
namespace {

using ::testing::HasSubstr;

ExemplarRecord exemplar(const std::string& id, std::int32_t height_px, std::int32_t width_px, std::int32_t bit_depth) {
  ExemplarRecord record{id, height_px, width_px, bit_depth, false, false, std::string(64, 'a'), {{"brand", id}}, {}};
  record.pixels.resize(static_cast<std::size_t>(height_px * width_px * (bit_depth / 8)));
  for (std::size_t i = 0; i < record.pixels.size(); ++i)
    record.pixels[i] = static_cast<std::uint8_t>(3 * i + id.size());
  return record;
}

class Exemplars : public testing::TemporaryFolder {
 protected:
  /// A store of two units.
  std::filesystem::path save(const std::vector<ExemplarRecord>& first,
                             const std::vector<ExemplarRecord>& second) const {
    store::StoreWriter writer(folder_ / "e.h5", {kExemplarsSchema, kExemplarsVersion, nlohmann::json::object()}, 2,
                              /*create_folder=*/true);
    writer.write_unit(0, exemplar_columns(first));
    writer.write_unit(1, exemplar_columns(second));
    writer.finish();
    return folder_ / "e.h5";
  }

  std::string refusal(const std::vector<ExemplarRecord>& records) const {
    std::filesystem::remove_all(folder_ / "e.shards");
    std::filesystem::remove(folder_ / "e.h5");
    try {
      ExemplarStore(save(records, {})).records(0, static_cast<std::int64_t>(records.size()));
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("e.h5"));
      return error.what();
    }
    return "no refusal";
  }
};

TEST_F(Exemplars, ComeBackAsTheyWereAcrossUnits) {
  std::vector<ExemplarRecord> records = {exemplar("a", 3, 2, 8), exemplar("b\xC3\xA9", 5, 7, 16),
                                         exemplar("c", 1, 1, 8)};
  records[0].was_colour = true;
  records[2].mirror = true;
  records[1].dpi = 300;
  records[2].metadata = nlohmann::json::object();
  const ExemplarStore store(save({records[0], records[1]}, {records[2]}));
  ASSERT_EQ(store.size(), 3);
  const auto read_back = store.records(0, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(store.ids()[i], records[i].id);
    EXPECT_EQ(read_back[i].id, records[i].id);
    EXPECT_EQ(read_back[i].height_px, records[i].height_px);
    EXPECT_EQ(read_back[i].width_px, records[i].width_px);
    EXPECT_EQ(read_back[i].bit_depth, records[i].bit_depth);
    EXPECT_EQ(read_back[i].was_colour, records[i].was_colour);
    EXPECT_EQ(read_back[i].mirror, records[i].mirror);
    EXPECT_EQ(read_back[i].dpi, records[i].dpi);
    EXPECT_EQ(store.exemplars()[i].dpi, records[i].dpi);
    EXPECT_EQ(read_back[i].source_sha256, records[i].source_sha256);
    EXPECT_EQ(read_back[i].metadata, records[i].metadata);
    EXPECT_EQ(read_back[i].pixels, records[i].pixels);
    EXPECT_EQ(store.record(static_cast<std::int64_t>(i)).pixels, records[i].pixels);
  }
  EXPECT_TRUE(store.records(3, 0).empty());
}

TEST_F(Exemplars, KeepTheSha256OfTheirPixels) {
  const std::vector<ExemplarRecord> records = {exemplar("a", 3, 2, 8), exemplar("b", 5, 7, 16)};
  const auto digests = stored_pixels_digests(ExemplarStore(save({records[0]}, {records[1]})).store());
  ASSERT_EQ(digests.size(), 2U);
  for (std::size_t i = 0; i < digests.size(); ++i) {
    std::string hex;
    for (const char byte : digests[i]) {
      for (const int digit : {(byte >> 4) & 15, byte & 15}) hex += "0123456789abcdef"[digit];
    }
    EXPECT_EQ(hex, sha256_of(std::as_bytes(std::span(records[i].pixels))));
  }
}

TEST_F(Exemplars, OfTheFirstVersionAreReadAndKnowNoResolution) {
  ExemplarRecord record = exemplar("a", 3, 2, 8);
  record.mirror = true;
  record.dpi = 300;
  store::Columns columns = exemplar_columns(std::span(&record, 1));
  columns.erase("dpi");
  columns.erase(kPixelsDigests);
  store::StoreWriter writer(folder_ / "e.h5", {kExemplarsSchema, 1, nlohmann::json::object()}, 1,
                            /*create_folder=*/true);
  writer.write_unit(0, columns);
  writer.finish();
  const ExemplarStore store(folder_ / "e.h5");
  const ExemplarRecord back = store.record(0);
  EXPECT_EQ(back.pixels, record.pixels);
  EXPECT_TRUE(back.mirror);
  EXPECT_EQ(back.dpi, 0);
  EXPECT_TRUE(stored_pixels_digests(store.store()).empty());
  EXPECT_TRUE(find_duplicates(store.store(), {}, 0).empty());
}

TEST_F(Exemplars, ResolutionsThatNoScannerHasAreRefusedByName) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double dpi : {-300.0, -0.5, 1.0, 1e9, kInfinity, -kInfinity, 1e-300}) {
    ExemplarRecord record = exemplar("odd", 2, 2, 8);
    record.dpi = dpi;
    EXPECT_THAT(refusal({exemplar("a", 2, 3, 8), record}), ::testing::AllOf(HasSubstr("'dpi'"), HasSubstr("'odd'")))
        << dpi;
  }
  std::filesystem::remove_all(folder_ / "e.shards");
  std::filesystem::remove(folder_ / "e.h5");
  ExemplarRecord unknown = exemplar("a", 2, 2, 8);
  unknown.dpi = std::nan("");
  EXPECT_EQ(ExemplarStore(save({unknown}, {exemplar("b", 2, 3, 8)})).exemplars()[0].dpi, 0);
}

TEST_F(Exemplars, UnitsMayBeEmpty) { EXPECT_EQ(ExemplarStore(save({}, {exemplar("a", 2, 2, 8)})).size(), 1); }

TEST_F(Exemplars, RowsThatContradictThemselvesAreRefusedByName) {
  ExemplarRecord wrong = exemplar("wrong", 4, 4, 8);
  wrong.pixels.pop_back();
  EXPECT_THAT(refusal({exemplar("a", 2, 2, 8), wrong}), HasSubstr("'wrong'"));
}

TEST_F(Exemplars, DepthsOtherThan8And16AreRefused) {
  EXPECT_THAT(refusal({exemplar("deep", 4, 4, 24)}), HasSubstr("'deep'"));
}

TEST_F(Exemplars, ImagesWithoutPixelsAreRefused) {
  EXPECT_THAT(refusal({exemplar("flat", 0, 4, 8)}), HasSubstr("'flat'"));
}

TEST_F(Exemplars, EqualIdsAreRefused) {
  EXPECT_THAT(refusal({exemplar("a", 2, 2, 8), exemplar("a", 2, 3, 8)}), HasSubstr("twice"));
}

TEST_F(Exemplars, MetadataThatIsNoObjectIsRefused) {
  ExemplarRecord record = exemplar("odd", 2, 2, 8);
  record.metadata = nlohmann::json::array({1, 2});
  EXPECT_THAT(refusal({record}), HasSubstr("metadata"));
}

}  // namespace
}  // namespace outsole::ingest
