#include "synth/synthesize.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/csv.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "image/image.h"
#include "ingest/ingest_scans.h"
#include "ingest/scans.h"
#include "synth/capture.h"

namespace outsole::synth {
namespace {

namespace fs = std::filesystem;

/// A folder that all ranks share, removed at the end.
class Synthesize : public ::testing::Test {
 protected:
  Synthesize() : folder_(fs::temp_directory_path() / ("outsole_synthesize_" + std::to_string(comm_.size()))) {
    if (comm_.is_root()) fs::remove_all(folder_);
    comm_.barrier();
  }
  ~Synthesize() override {
    comm_.barrier();
    if (comm_.is_root()) fs::remove_all(folder_);
  }

  SynthesizeExemplarsOptions exemplars() const { return {folder_ / "exemplars", 5, 3, 98, 40}; }
  SynthesizeMarksOptions marks() const { return {folder_ / "marks", {folder_ / "exemplars"}, 4, 2, {}}; }

  SynthesizeWearOptions wear() const { return {folder_ / "wear", 1, 3, 160, 64}; }

  comm::Communicator comm_;
  fs::path folder_;
};

TEST_F(Synthesize, WritesEveryImageAndItsRow) {
  synthesize_exemplars(comm_, exemplars());
  synthesize_marks(comm_, marks());
  const CsvTable manifest = read_csv(folder_ / "exemplars" / "manifest.csv");
  ASSERT_EQ(manifest.rows.size(), 5u);
  for (const auto& row : manifest.rows) EXPECT_TRUE(fs::exists(folder_ / "exemplars" / row[manifest.column("file")]));
  const CsvTable labels = read_csv(folder_ / "marks" / "labels.csv");
  ASSERT_EQ(labels.rows.size(), 4u);
  for (const auto& row : labels.rows) {
    EXPECT_TRUE(fs::exists(folder_ / "marks" / (row[labels.column("mark")] + ".png")));
    EXPECT_TRUE(fs::exists(folder_ / "exemplars" / (row[labels.column("exemplar")] + ".png")));
  }
}

TEST_F(Synthesize, GivesTheSameBytesOnAnyNumberOfRanks) {
  synthesize_exemplars(comm_, exemplars());
  const auto bytes = sha256_of_file(folder_ / "exemplars" / "00005.png");
  auto alone = exemplars();
  alone.output = folder_ / "alone";
  alone.count = 6;
  synthesize_exemplars(comm_, alone);
  EXPECT_EQ(sha256_of_file(alone.output / "00005.png"), bytes);
}

TEST_F(Synthesize, DrawsFromTheExemplarsThatRankZeroSees) {
  synthesize_exemplars(comm_, exemplars());
  auto more = exemplars();
  more.output = folder_ / "late";
  more.seed = 9;
  more.count = 30;
  synthesize_exemplars(comm_, more);
  auto seen = marks();
  seen.count = 12;
  if (!comm_.is_root()) seen.exemplars.insert(seen.exemplars.begin(), more.output);  // as if files had come meanwhile
  synthesize_marks(comm_, seen);
  comm_.barrier();
  const CsvTable labels = read_csv(folder_ / "marks" / "labels.csv");
  ASSERT_EQ(labels.rows.size(), 12u);
  for (const auto& row : labels.rows) EXPECT_LE(row[labels.column("exemplar")], "00005");
}

TEST_F(Synthesize, LeavesAFinishedFolderAsItIs) {
  synthesize_exemplars(comm_, exemplars());
  const auto written = fs::last_write_time(folder_ / "exemplars" / "00001.png");
  comm_.barrier();
  synthesize_exemplars(comm_, exemplars());
  EXPECT_EQ(fs::last_write_time(folder_ / "exemplars" / "00001.png"), written);
}

TEST_F(Synthesize, RefusesAFolderOfOtherFiles) {
  if (comm_.is_root()) {
    fs::create_directories(folder_ / "exemplars");
    std::ofstream(folder_ / "exemplars" / "notes.txt") << "mine";
  }
  comm_.barrier();
  EXPECT_THROW(synthesize_exemplars(comm_, exemplars()), UsageError);
}

TEST_F(Synthesize, RefusesAFolderMadeWithOtherOptions) {
  synthesize_exemplars(comm_, exemplars());
  auto other = exemplars();
  other.seed = 4;
  EXPECT_THROW(synthesize_exemplars(comm_, other), UsageError);
}

TEST_F(Synthesize, RefusesImpossibleCounts) {
  auto none = exemplars();
  none.count = 0;
  EXPECT_THROW(synthesize_exemplars(comm_, none), UsageError);
}

TEST_F(Synthesize, WritesAYearOfScansThatIngestTakes) {
  synthesize_wear(comm_, wear());
  ingest::IngestOptions ingest;
  ingest.inputs = {wear().output};
  ingest.manifest = wear().output / "manifest.csv";
  ingest.output = folder_ / "scans.h5";
  const ingest::IngestSummary summary = ingest_images(comm_, ingest, ingest::scan_kind());
  if (!comm_.is_root()) return;
  EXPECT_EQ(summary.images, 52);
  EXPECT_TRUE(summary.skipped.empty());
  EXPECT_TRUE(summary.manifest_mismatches.empty());
  const ingest::ScanStore store(ingest.output);
  EXPECT_EQ(store.scans()[0].subject.shoe, "00001L");
  EXPECT_EQ(store.scans()[51].subject.foot, "R");
  EXPECT_EQ(store.scans()[51].subject.week, 52);
}

TEST_F(Synthesize, WritesTheSameScansOfAYearOnAnyNumberOfRanks) {
  synthesize_wear(comm_, wear());
  if (!comm_.is_root()) return;
  const fs::path truth = wear().output / "truth";
  const synth::WornShoeScanner scanner(synth::make_worn_shoe(3, 0, synth::Foot::kRight), {64, 160});
  for (const int week : {0, 20, 52}) {
    const std::string id = "00001R_week" + std::string(week == 0 ? "0" : "") + std::to_string(week);
    const synth::WornScan worn = scanner.scan(week);
    const auto differs = [](const fs::path& file, const cv::Mat& image) {
      return cv::norm(image::read_image(file).grey, image, cv::NORM_INF) > 0;
    };
    EXPECT_FALSE(differs(wear().output / (id + ".tiff"), worn.capture.scan)) << id;
    EXPECT_FALSE(differs(truth / "clean" / (id + ".png"), worn.capture.clean)) << id;
    EXPECT_FALSE(differs(truth / "faults" / (id + ".png"), worn.capture.faults)) << id;
    EXPECT_FALSE(differs(truth / "print" / (id + ".png"), worn.print)) << id;
    EXPECT_FALSE(differs(truth / "height" / (id + ".png"), worn.height)) << id;
  }
  const CsvTable poses = read_csv(truth / "truth.csv");
  ASSERT_EQ(poses.rows.size(), 52u);
  EXPECT_NEAR(std::stod(poses.rows[26][poses.column("angle_deg")]), scanner.scan(0).pose.angle_deg, 1e-6);
}

TEST_F(Synthesize, CompletesAYearThatWasInterrupted) {
  synthesize_wear(comm_, wear());
  const auto digest = [&](const char* file) { return sha256_of_file(wear().output / file); };
  const auto scan = digest("00001L_week10.tiff"), manifest = digest("manifest.csv"), poses = digest("truth/truth.csv");
  const auto kept = fs::last_write_time(wear().output / "00001L_week12.tiff");
  comm_.barrier();
  if (comm_.is_root()) {
    fs::remove(wear().output / "manifest.csv");
    fs::remove(wear().output / "00001L_week10.tiff");
  }
  comm_.barrier();
  synthesize_wear(comm_, wear());
  EXPECT_EQ(digest("00001L_week10.tiff"), scan);
  EXPECT_EQ(digest("manifest.csv"), manifest);
  EXPECT_EQ(digest("truth/truth.csv"), poses);
  EXPECT_EQ(fs::last_write_time(wear().output / "00001L_week12.tiff"), kept);
}

TEST_F(Synthesize, NeedsExemplarsForMarks) { EXPECT_THROW(synthesize_marks(comm_, marks()), DataError); }

}  // namespace
}  // namespace outsole::synth
