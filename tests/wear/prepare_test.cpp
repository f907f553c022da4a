#include "wear/prepare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../shared_folder.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "image/consensus.h"
#include "image/tread_fixture.h"

namespace outsole::wear {
namespace {

namespace fs = std::filesystem;
using image::print_of_sole;

constexpr double kDpi = 40, kPxPerMm = kDpi / 25.4;

/// A print within a grey ruler border with a dark frame line.
cv::Mat1b with_ruler(const cv::Mat1b& print) {
  constexpr int kBorder = 20;
  cv::Mat1b scan(print.rows + 2 * kBorder, print.cols + 2 * kBorder, uchar{226});
  const cv::Rect window(cv::Point(kBorder, kBorder), print.size());
  cv::rectangle(scan, cv::Rect(window.x - 2, window.y - 2, window.width + 4, window.height + 4), cv::Scalar(90), -1);
  print.copyTo(scan(window));
  return scan;
}

ingest::ScanRecord scan(const std::string& id, const std::string& shoe, double week, const cv::Mat1b& image) {
  ingest::ScanRecord record;
  record.id = id;
  record.height_px = image.rows;
  record.width_px = image.cols;
  record.dpi = kDpi;
  record.subject = {shoe, "p", shoe == "right" ? "R" : "L", week};
  record.source_sha256 = std::string(64, 'a');
  record.pixels.assign(image.data, image.data + image.total());
  return record;
}

/// Two shoes: three weeks of a left one in different poses, two of a right one; and a scan that shows something else.
class Prepare : public testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    options_.scans = folder_ / "scans.h5";
    options_.output = folder_ / "prepared.h5";
    cv::Mat1b noise(540, 240);
    cv::RNG(9).fill(noise, cv::RNG::UNIFORM, 0, 256);
    save({scan("left4", "left", 4, with_ruler(print_of_sole(kPxPerMm, 340, 150, -7, 10, -8))),
          scan("left0", "left", 0, with_ruler(print_of_sole(kPxPerMm, 340, 150, 1, -6, 5))),
          scan("left2", "left", 2, with_ruler(print_of_sole(kPxPerMm, 336, 146, 6, 4, 12))),
          scan("right0", "right", 0, with_ruler(print_of_sole(kPxPerMm, 340, 150, 0, 3, 2))),
          scan("right2", "right", 2, noise)});
  }

  void save(const std::vector<ingest::ScanRecord>& records) const {
    prepare([&] {
      fs::remove_all(folder_ / "scans.shards");
      fs::remove(folder_ / "scans.h5");
      store::StoreWriter writer(folder_ / "scans.h5", {ingest::kScansSchema, 1, nlohmann::json::object()}, 1, true);
      writer.write_unit(0, ingest::scan_columns(records));
      writer.finish();
    });
  }

  cv::Mat1b pixels(const wear::PreparedStore& store, std::int64_t row) const {
    const auto record = store.record(row);
    return cv::Mat1b(static_cast<int>(store.height_px()), static_cast<int>(store.width_px()),
                     const_cast<std::uint8_t*>(record.pixels.data()))
        .clone();
  }
  cv::Mat1b support(const wear::PreparedStore& store, std::int64_t row) const {
    const auto record = store.record(row);
    return cv::Mat1b(static_cast<int>(store.height_px()), static_cast<int>(store.width_px()),
                     const_cast<std::uint8_t*>(record.support.data()))
        .clone();
  }

  PrepareOptions options_;
};

class PrepareOnOneRank : public Prepare {};

TEST_F(PrepareOnOneRank, BringsAllScansOfAShoeIntoTheFrameOfItsEarliest) {
  const PrepareSummary summary = prepare_scans(comm_, options_);
  if (!comm_.is_root()) return;
  const wear::PreparedStore store(options_.output);
  ASSERT_EQ(store.size(), 5);
  const std::vector<std::string> ids = {"left0", "left2", "left4", "right0", "right2"};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(store.scans()[i].id, ids[i]);
    EXPECT_EQ(store.scans()[i].reference_id, i < 3 ? "left0" : "right0");
  }
  EXPECT_NEAR(store.scans()[1].angle_deg, 5, 0.05);
  EXPECT_NEAR(store.scans()[2].angle_deg, -8, 0.05);
  const cv::Mat1b first = pixels(store, 0);
  for (const std::int64_t row : {1, 2}) {
    const cv::Mat1b known = support(store, 0) & support(store, row);
    EXPECT_GT(cv::countNonZero(known), 0.7 * known.total());
    EXPECT_LT(cv::countNonZero(known), 0.99 * known.total());
    EXPECT_LT(cv::norm(first, pixels(store, row), cv::NORM_L1, known) / cv::countNonZero(known), 3);
    EXPECT_EQ(cv::norm(pixels(store, row), cv::Mat1b(first.size(), uchar{255}), cv::NORM_INF, support(store, row) == 0),
              0);
  }
  ASSERT_EQ(summary.flagged.size(), 1u);
  EXPECT_EQ(summary.flagged[0].id, "right2");
  EXPECT_NE(store.scans()[4].flag.find("correlation"), std::string::npos);
  EXPECT_TRUE(store.store().validate().empty());
  EXPECT_TRUE(fs::exists(folder_ / "prepared.provenance.json"));
}

TEST_F(PrepareOnOneRank, PutsTheOutsoleInTheMiddleAndSaysWhichPixelLiesThere) {
  options_.denoises = false;
  prepare_scans(comm_, options_);
  if (!comm_.is_root()) return;
  const wear::PreparedStore store(options_.output);
  const cv::Rect ink = cv::boundingRect(pixels(store, 0) < 128);
  EXPECT_NEAR(ink.x + ink.width / 2.0, store.width_px() / 2.0, 1);
  EXPECT_NEAR(ink.y + ink.height / 2.0, store.height_px() / 2.0, 1);
  // The reference is copied: its pixels are those of the scan, shifted by whole pixels.
  const wear::PreparedInfo& info = store.scans()[0];
  const cv::Mat1b print = with_ruler(print_of_sole(kPxPerMm, 340, 150, 1, -6, 5)), frame = pixels(store, 0);
  const int dy = static_cast<int>(std::lround(info.centre_y_px - (frame.rows - 1) / 2.0)),
            dx = static_cast<int>(std::lround(info.centre_x_px - (frame.cols - 1) / 2.0));
  const cv::Rect box = cv::boundingRect(frame < 128);
  EXPECT_EQ(cv::norm(frame(box), print(box + cv::Point(dx, dy)), cv::NORM_INF), 0);
}

TEST_F(Prepare, WritesTheSameBytesOnAnyNumberOfRanksAndAfterAnInterruption) {
  options_.size = cv::Size(176, 432);
  prepare_scans(comm_, options_);
  std::string whole;
  prepare([&] {
    whole = sha256_of_file(options_.output);
    fs::remove(options_.output);
    fs::remove(folder_ / "prepared.shards" / "00000.h5");
  });
  EXPECT_FALSE(comm_.any_of(prepare_scans(comm_, options_).was_finished));
  if (comm_.is_root()) {
    EXPECT_EQ(sha256_of_file(options_.output), whole);
    const wear::PreparedStore spread(options_.output);
    fs::create_directory(folder_ / "serial");
    store::StoreWriter writer(folder_ / "serial" / "prepared.h5", spread.store().header(), spread.store().units(),
                              true);
    for (std::int64_t unit = 0; unit < spread.store().units(); ++unit) {
      const auto [first, count] = spread.store().unit_rows(unit);
      std::vector<wear::PreparedRecord> records;
      for (std::int64_t row = first; row < first + count; ++row) records.push_back(spread.record(row));
      writer.write_unit(unit, wear::prepared_columns(records, 432, 176));
    }
    writer.finish();
    EXPECT_EQ(sha256_of_file(folder_ / "serial" / "prepared.h5"), whole);
  }
  EXPECT_TRUE(comm_.any_of(prepare_scans(comm_, options_).was_finished));
}

/// Six weekly scans of one shoe in different poses, of which those of weeks 2 and 4 lack a patch each.
std::vector<ingest::ScanRecord> scans_with_gaps() {
  std::vector<ingest::ScanRecord> scans;
  for (int week = 0; week < 6; ++week) {
    cv::Mat1b print = print_of_sole(kPxPerMm, 340, 150, week == 0 ? 0 : 5 - 1.5 * week, week, -week);
    if (week == 2 || week == 4) cv::circle(print, {print.cols / 2, print.rows / 2 + 40}, 12, 255, -1);
    scans.push_back(scan("w" + std::to_string(week), "left", week, print));
  }
  return scans;
}

TEST_F(Prepare, ConsensusFillsWhatDidNotPrintAndSaysWhereOnAnyNumberOfRanks) {
  save(scans_with_gaps());
  options_.crops = options_.denoises = false;
  prepare_scans(comm_, options_);
  const fs::path plain = options_.output;
  options_.output = folder_ / "filled.h5";
  options_.consensus_weeks = 1;
  prepare_scans(comm_, options_);
  std::string whole;
  prepare([&] {
    whole = sha256_of_file(options_.output);
    fs::remove(options_.output);
    fs::remove(folder_ / "filled.shards" / "00000.h5");
  });
  prepare_scans(comm_, options_);
  if (!comm_.is_root()) return;
  EXPECT_EQ(sha256_of_file(options_.output), whole) << "after an interruption";
  const wear::PreparedStore before(plain), after(options_.output);
  EXPECT_TRUE(before.record(3).filled.empty());
  const auto image = [&](std::int64_t week) { return image::AlignedScan{pixels(before, week), support(before, week)}; };
  for (const std::int64_t week : {0, 5}) {
    EXPECT_TRUE(std::isnan(after.scans()[static_cast<std::size_t>(week)].filled_share)) << "has one witness only";
    EXPECT_EQ(cv::norm(pixels(after, week), pixels(before, week), cv::NORM_INF), 0);
  }
  for (std::int64_t week = 1; week < 5; ++week) {
    const image::Consensus expected = image::filled_by_consensus(image(week), image(week - 1), image(week + 1));
    EXPECT_EQ(cv::norm(pixels(after, week), expected.pixels, cv::NORM_INF), 0) << week;
    EXPECT_EQ(after.record(week).filled, std::vector<std::uint8_t>(expected.filled.begin(), expected.filled.end()));
    EXPECT_EQ(after.scans()[static_cast<std::size_t>(week)].filled_share > 0.001, week == 2 || week == 4) << week;
  }
}

TEST_F(PrepareOnOneRank, ConsensusAsksNoScanThatIsTooFarOrNotInTheFrame) {
  auto scans = scans_with_gaps();
  cv::Mat1b noise(540, 240);
  cv::RNG(9).fill(noise, cv::RNG::UNIFORM, 0, 256);
  scans[3] = scan("w3", "left", 3, noise);  // flagged: weeks 2 and 4 become each other's witness
  save(scans);
  options_.consensus_weeks = 1;
  prepare_scans(comm_, options_);
  if (comm_.is_root()) {
    const wear::PreparedStore store(options_.output);
    for (const std::size_t week : {2, 3, 4}) EXPECT_TRUE(std::isnan(store.scans()[week].filled_share)) << week;
    EXPECT_FALSE(std::isnan(store.scans()[1].filled_share));
  }
  options_.output = folder_ / "wider.h5";
  options_.consensus_weeks = 2;
  prepare_scans(comm_, options_);
  if (!comm_.is_root()) return;
  const wear::PreparedStore store(options_.output);
  EXPECT_GT(store.scans()[2].filled_share, 0);
  EXPECT_TRUE(std::isnan(store.scans()[3].filled_share));
}

TEST_F(PrepareOnOneRank, EachStepCanBeSwitchedOff) {
  options_.crops = options_.denoises = options_.registers = false;
  options_.mirrors_right = true;
  prepare_scans(comm_, options_);
  if (!comm_.is_root()) return;
  const wear::PreparedStore store(options_.output);
  const cv::Mat1b left = with_ruler(print_of_sole(kPxPerMm, 340, 150, 1, -6, 5));
  EXPECT_EQ(pixels(store, 0).size(), left.size());
  EXPECT_EQ(cv::norm(pixels(store, 0), left, cv::NORM_INF), 0);
  EXPECT_TRUE(std::isnan(store.scans()[0].noise_share));
  EXPECT_TRUE(std::isnan(store.scans()[1].correlation));
  cv::Mat1b right;
  cv::flip(with_ruler(print_of_sole(kPxPerMm, 340, 150, 0, 3, 2)), right, 1);
  EXPECT_TRUE(store.scans()[3].mirrored);
  EXPECT_FALSE(store.scans()[0].mirrored);
  EXPECT_EQ(cv::norm(pixels(store, 3), right, cv::NORM_INF), 0);
}

TEST_F(Prepare, StrictStopsAtAScanThatCannotBeRegistered) {
  options_.strict = true;
  try {
    prepare_scans(comm_, options_);
    ADD_FAILURE() << "no refusal";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("right2"), std::string::npos);
  }
}

TEST_F(Prepare, RefusesSizesAndResolutionsThatCannotBe) {
  const auto refuses = [&](auto error) {
    EXPECT_THROW(prepare_scans(comm_, options_), decltype(error));
    EXPECT_FALSE(fs::exists(options_.output));
  };
  options_.size = cv::Size(1760, 4320);
  refuses(UsageError(""));
  options_.size.reset();
  options_.memory_bytes = 1 << 20;
  refuses(EnvironmentError(""));
  options_.memory_bytes = 1 << 30;
  auto unknown = scan("a", "left", 0, print_of_sole(1)), other = scan("b", "left", 1, print_of_sole(1));
  unknown.dpi = 0;
  save({unknown});
  refuses(UsageError(""));
  other.dpi = 2 * kDpi;
  options_.dpi = kDpi;
  save({unknown, other});
  refuses(DataError(""));
}

TEST_F(Prepare, TakesResolutionsThatDifferByRoundingForOne) {
  auto a = scan("a", "left", 0, print_of_sole(1)), b = scan("b", "left", 1, print_of_sole(1));
  a.dpi = 299.9994;  // 11811 pixels a metre
  b.dpi = 300;
  save({a, b});
  EXPECT_NEAR(prepare_facts(comm_, options_).dpi, 300, 0.001);
  a.dpi = 299;
  save({a, b});
  EXPECT_THROW(prepare_facts(comm_, options_), DataError);
}

TEST_F(Prepare, DisbelievesAResolutionThatNoScannerHas) {
  auto one = scan("a", "left", 0, print_of_sole(1));
  one.dpi = 1;
  save({one});
  EXPECT_THROW(prepare_facts(comm_, options_), UsageError);
  options_.dpi = kDpi;
  EXPECT_EQ(prepare_facts(comm_, options_).dpi, kDpi);
}

TEST_F(Prepare, PlanSaysWhatWouldBeDone) {
  options_.size = cv::Size(176, 432);
  const PrepareFacts facts = prepare_facts(comm_, options_);
  EXPECT_EQ(facts.scans, 5);
  EXPECT_EQ(facts.shoes, 2);
  EXPECT_EQ(facts.height_px, 432);
  EXPECT_EQ(facts.width_px, 176);
  EXPECT_LT(facts.scale, 1);
  EXPECT_FALSE(fs::exists(options_.output));
}

}  // namespace
}  // namespace outsole::wear
