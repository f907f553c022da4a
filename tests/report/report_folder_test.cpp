#include "report/report_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "temporary_folder.h"

namespace outsole::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReportFolderTest : public testing::TemporaryFolder {
 protected:
  /// A finished report of one file.
  std::string make(const json& made_of) const {
    ReportFolder folder(output_, made_of);
    write_file_atomically(folder.part() / "index.html", "page");
    return folder.finish({{"index.html", sha256_of_file(folder.part() / "index.html")}});
  }

  void SetUp() override {
    TemporaryFolder::SetUp();
    output_ = folder_ / "report";
  }

  fs::path output_;
};

TEST_F(ReportFolderTest, AppearsWithItsManifestOnly) {
  ReportFolder folder(output_, {{"results", 1}});
  EXPECT_FALSE(fs::exists(output_));
  write_file_atomically(folder.part() / "index.html", "page");
  const std::string sha256 = folder.finish({{"index.html", "0"}});
  EXPECT_EQ(sha256, sha256_of_file(output_ / "manifest.json"));
  EXPECT_FALSE(fs::exists(folder.part()));
  EXPECT_TRUE(fs::exists(output_ / "index.html"));
  EXPECT_FALSE(fs::exists(output_ / "made_of.json"));
}

TEST_F(ReportFolderTest, KeepsWhatAnInterruptedRunMadeOfTheSame) {
  fs::path part;
  {
    const ReportFolder folder(output_, {{"results", 1}});
    part = folder.part();
    write_file_atomically(part / "marks/00001.html", "page");
  }
  EXPECT_TRUE(fs::exists(part / "marks/00001.html"));
  { const ReportFolder again(output_, {{"results", 1}}); }
  EXPECT_TRUE(fs::exists(part / "marks/00001.html"));
  { const ReportFolder other(output_, {{"results", 2}}); }
  EXPECT_FALSE(fs::exists(part / "marks/00001.html"));
}

TEST_F(ReportFolderTest, IsReplacedByAReportOfOtherResultsAndNothingElseIsLost) {
  make({{"results", 1}});
  EXPECT_TRUE(ReportFolder(output_, {{"results", 1}}).is_finished());
  make({{"results", 2}});
  EXPECT_TRUE(ReportFolder(output_, {{"results", 2}}).is_finished());
  write_file_atomically(output_ / "notes.txt", "mine");
  EXPECT_THROW(ReportFolder(output_, {{"results", 3}}), UsageError);
  EXPECT_TRUE(fs::exists(output_ / "notes.txt"));
}

TEST_F(ReportFolderTest, RefusesAFolderThatIsNoReport) {
  fs::create_directory(output_);
  write_file_atomically(output_ / "a.txt", "mine");
  EXPECT_THROW(ReportFolder(output_, {}), UsageError);
  EXPECT_THROW(verify_report({output_, {}, {}, {}, {}}), DataError);
}

TEST_F(ReportFolderTest, VerifyNamesWhatWasAlteredAddedOrRemoved) {
  const fs::path mark = folder_ / "mark.png";
  write_file_atomically(mark, "mark");
  const json made_of = {{"results", {{"path", "gone.h5"}, {"sha256", "0"}}},
                        {"results_digests", {{"gone.h5", "0"}}},
                        {"marks", {{{"id", "mark"}, {"path", mark.string()}, {"sha256", sha256_of_file(mark)}}}}};
  make(made_of);
  const VerifyOptions options{output_, {}, {}, {}, {}};
  EXPECT_THAT(verify_report(options).complaints, ElementsAre(HasSubstr("gone.h5: is missing")));
  write_file_atomically(output_ / "index.html", "Page");
  write_file_atomically(output_ / "more.txt", "");
  write_file_atomically(mark, "Mark");
  EXPECT_THAT(verify_report(options).complaints,
              ElementsAre(HasSubstr("index.html: was altered"), HasSubstr("more.txt: is not of this report"),
                          HasSubstr("gone.h5"), HasSubstr("mark.png: is not the mark that was searched")));
  fs::remove(output_ / "index.html");
  EXPECT_THAT(verify_report(options).complaints, ::testing::Contains(HasSubstr("index.html: is missing")));
}

}  // namespace
}  // namespace outsole::report
