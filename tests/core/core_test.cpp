#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "temporary_folder.h"

namespace outsole {
namespace {

TEST(Narrow, RefusesWhatDoesNotFit) {
  EXPECT_EQ(narrow<int>(std::int64_t{2147483647}), 2147483647);
  EXPECT_THROW(narrow<int>(std::int64_t{2147483648}), Bug);
  EXPECT_THROW(narrow<std::uint8_t>(-1), Bug);
}

TEST(CheckedProduct, RefusesOverflowAndNegativeSizes) {
  EXPECT_EQ(checked_product({13750, 5500}, "scan"), 75625000);
  EXPECT_EQ(checked_product({}, "nothing"), 1);
  EXPECT_EQ(checked_product({0, std::numeric_limits<std::int64_t>::max()}, "empty"), 0);
  EXPECT_THROW(checked_product({std::int64_t{1} << 32, std::int64_t{1} << 31}, "huge"), DataError);
  EXPECT_THROW(checked_product({-1, 5}, "negative"), DataError);
}

TEST(DivideUp, CountsTheLastPiece) {
  EXPECT_EQ(divide_up(0, 4), 0);
  EXPECT_EQ(divide_up(8, 4), 2);
  EXPECT_EQ(divide_up(9, 4), 3);
}

TEST(Errors, OfAnotherRankKeepTheirCauseAndAreKnownToAll) {
  for (const ExitCode code : {ExitCode::kUsage, ExitCode::kData, ExitCode::kEnvironment, ExitCode::kStopped}) {
    try {
      throw_shared_error(code, "why");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_STREQ(error.what(), "why");
      EXPECT_TRUE(error.known_to_all_ranks());
    }
  }
  EXPECT_FALSE(DataError("mine alone").known_to_all_ranks());
  EXPECT_THROW(throw_shared_error(ExitCode::kBug, "why"), Bug);
  EXPECT_THROW(ensure(false, "why"), Bug);
}

TEST(Sha256, GivesThePublishedDigests) {  // FIPS 180-2, appendix B
  const auto digest = [](const std::string& text) { return sha256_of(std::as_bytes(std::span(text))); };
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(FormatDuration, UsesTheUnitsOfASpeaker) {
  EXPECT_EQ(format_duration(3.14), "3.1 s");
  EXPECT_EQ(format_duration(42.4), "42 s");
  EXPECT_EQ(format_duration(250), "4 min 10 s");
  EXPECT_EQ(format_duration(7500), "2 h 05 min");
}

TEST(FormatBytes, UsesBinaryPrefixes) {
  EXPECT_EQ(format_bytes(512), "512 bytes");
  EXPECT_EQ(format_bytes(12.3 * 1024 * 1024), "12.3 MiB");
  EXPECT_EQ(format_bytes(1024.0 * 1024 * 1024 * 1024), "1.0 TiB");
}

class OnDisk : public testing::TemporaryFolder {};

TEST_F(OnDisk, Sha256OfAFileIsThatOfItsBytes) {
  EXPECT_EQ(sha256_of_file(write("abc", "abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THROW(sha256_of_file(folder_ / "missing"), DataError);
}

TEST_F(OnDisk, ProvenanceLiesBesideTheResult) {
  write_provenance(folder_ / "result.h5", {"outsole", "ingest"}, 3, {{"files", 7}});
  const auto record = nlohmann::json::parse(read(folder_ / "result.provenance.json"));
  EXPECT_EQ(record.at("output"), "result.h5");
  EXPECT_EQ(record.at("ranks"), 3);
  EXPECT_EQ(record.at("command_line").at(1), "ingest");
  EXPECT_EQ(record.at("details").at("files"), 7);
}

TEST_F(OnDisk, AStoreAndAnEvaluationOfOneNameHaveEachTheirProvenance) {
  write_provenance(folder_ / "run1.a.h5", {"outsole", "search"}, 1, {});
  write_provenance(folder_ / "run1.a.json", {"outsole", "evaluate"}, 1, {});
  for (const char* output : {"run1.a.h5", "run1.a.json"}) {
    const std::filesystem::path path = provenance_path(folder_ / output);
    EXPECT_EQ(nlohmann::json::parse(read(path)).at("output"), output);
  }
  EXPECT_EQ(provenance_path("run1.a.h5"), "run1.a.provenance.json");
}

TEST_F(OnDisk, ProvenanceIsCompletedByALaterRunAndNeverChangedByIt) {
  const auto path = folder_ / "result.provenance.json";
  write_provenance(folder_ / "result.h5", {"outsole", "index"}, 1, {}, /*was_finished=*/true);
  EXPECT_NE(nlohmann::json::parse(read(path)).at("note").get<std::string>().find("made before"), std::string::npos);
  const std::string record = read(path);
  write_provenance(folder_ / "result.h5", {"outsole", "index"}, 2, {}, /*was_finished=*/true);
  EXPECT_EQ(read(path), record);
  write_provenance(folder_ / "result.h5", {"outsole", "index"}, 2, {});
  EXPECT_EQ(nlohmann::json::parse(read(path)).at("ranks"), 2);
}

}  // namespace
}  // namespace outsole
