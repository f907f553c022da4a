#include "pipeline/synthesize.h"

#include <fstream>

#include <gtest/gtest.h>

#include "core/csv.h"
#include "core/errors.h"
#include "core/sha256.h"

namespace outsole::pipeline {
namespace {

namespace fs = std::filesystem;

/// A folder that all ranks share, removed at the end.
class Synthesize : public testing::Test {
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

TEST_F(Synthesize, NeedsExemplarsForMarks) { EXPECT_THROW(synthesize_marks(comm_, marks()), DataError); }

}  // namespace
}  // namespace outsole::pipeline
