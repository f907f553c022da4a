#include "ingest/ingest_scans.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <opencv2/imgcodecs.hpp>

#include "../shared_folder.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "ingest/image_record.h"
#include "ingest/scans.h"

namespace outsole::ingest {
namespace {

namespace fs = std::filesystem;

class IngestScans : public testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] { fs::create_directory(folder_ / "images"); });
    options_.inputs = {folder_ / "images"};
    options_.manifest = folder_ / "manifest.csv";
    options_.output = folder_ / "scans.h5";
  }

  static cv::Mat pattern(int type, int seed) {
    cv::Mat image(40, 30, type);
    cv::RNG(static_cast<std::uint64_t>(seed) + 1)
        .fill(image, cv::RNG::UNIFORM, 0, CV_MAT_DEPTH(type) == CV_16U ? 65536 : 256);
    return image;
  }
  void write_scan(const std::string& name, int type, int seed, const std::vector<int>& how = {}) const {
    ASSERT_TRUE(cv::imwrite((folder_ / "images" / name).string(), pattern(type, seed), how));
  }

  /// The message that every rank gets when ingesting a manifest ends with a DataError.
  std::string refusal(const std::string& manifest) {
    prepare([&] { write("manifest.csv", manifest); });
    try {
      ingest_images(comm_, options_, scan_kind());
    } catch (const DataError& error) {
      EXPECT_TRUE(error.known_to_all_ranks());
      return error.what();
    }
    ADD_FAILURE() << "no refusal of " << manifest;
    return {};
  }

  IngestOptions options_;
};

TEST_F(IngestScans, KeepPixelsSubjectAndResolution) {
  prepare([&] {
    // A TIFF of one LZW strip a row with its resolution, as scanners write them; the manifest does not know it.
    write_scan("a.tiff", CV_8UC1, 0,
               {cv::IMWRITE_TIFF_COMPRESSION, 5, cv::IMWRITE_TIFF_RESUNIT, 2, cv::IMWRITE_TIFF_XDPI, 300,
                cv::IMWRITE_TIFF_YDPI, 300});
    write_scan("b.png", CV_16UC1, 1);
    write("manifest.csv",
          "file,shoe,pair,foot,age,brand,dpi\nimages/a.tiff,s1,p1,left,12.5,x,300\nimages/b.png,s2,p1,R,0,y,100\n");
  });
  const IngestSummary summary = ingest_images(comm_, options_, scan_kind("age"));
  if (comm_.is_root()) {
    EXPECT_EQ(summary.images, 2);
    const ingest::ScanStore store(options_.output);
    const ingest::ScanRecord a = store.record(0), b = store.record(1);
    EXPECT_EQ(cv::norm(stored_image(a), pattern(CV_8UC1, 0), cv::NORM_INF), 0);
    EXPECT_EQ(cv::norm(stored_image(b), pattern(CV_16UC1, 1), cv::NORM_INF), 0);
    EXPECT_EQ(a.subject.shoe, "s1");
    EXPECT_EQ(a.subject.foot, "L");
    EXPECT_EQ(a.subject.week, 12.5);
    EXPECT_EQ(a.dpi, 300);
    EXPECT_EQ(b.subject.foot, "R");
    EXPECT_EQ(b.dpi, 100);
    EXPECT_EQ(a.metadata, nlohmann::json({{"brand", "x"}}));
    EXPECT_EQ(a.source_sha256, sha256_of_file(folder_ / "images" / "a.tiff"));
    EXPECT_TRUE(store.store().validate().empty());
  }
}

TEST_F(IngestScans, TakeTheResolutionOfTheFileWhereTheManifestHasNone) {
  prepare([&] {
    write_scan("a.tiff", CV_8UC1, 0,
               {cv::IMWRITE_TIFF_RESUNIT, 2, cv::IMWRITE_TIFF_XDPI, 300, cv::IMWRITE_TIFF_YDPI, 300});
    write_scan("b.png", CV_8UC1, 1);
    write("manifest.csv", "id,shoe,pair,foot,week\na,s,p,L,0\nb,s,p,L,2\n");
  });
  ingest_images(comm_, options_, scan_kind());
  if (comm_.is_root()) {
    const ingest::ScanStore store(options_.output);
    EXPECT_EQ(store.scans()[0].dpi, 300);
    EXPECT_EQ(store.scans()[1].dpi, 0);
  }
}

TEST_F(IngestScans, RefuseManifestsThatDoNotSayWhichOutsoleAndWhen) {
  prepare([&] { write_scan("a.png", CV_8UC1, 0); });
  EXPECT_NE(refusal("id,shoe,pair,foot\na,s,p,L\n").find("'week'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,L,soon\n").find("'soon'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,L,-1\n").find("'-1'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,L,nan\n").find("'nan'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,both,1\n").find("'both'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,,p,L,1\n").find("shoe is empty"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week,dpi\na,s,p,L,1,0\n").find("dpi"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,L,43831\n").find("made it of a date"), std::string::npos);
  EXPECT_NE(refusal("id;shoe;pair;foot;week\na;s;p;L;2,5\n").find("with a point"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,weeks\na,s,p,L,1\n").find("'weeks' may mean 'week'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week,scan_dpi\na,s,p,L,1,300\n").find("may mean 'dpi'"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\nb,s,p,L,1\n").find("'b' is not among the inputs"), std::string::npos);
  options_.lenient = true;
  EXPECT_NE(refusal("id,shoe,pair,foot,week\nb,s,p,L,1\n").find("a.png"), std::string::npos);
  options_.lenient = false;
  const std::string long_shoe(200, 's');
  EXPECT_NE(refusal(std::string("id,shoe,pair,foot,week\na,").append(long_shoe).append(",p,L,1\n")).find("shoe"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(options_.output));
  EXPECT_FALSE(fs::exists(folder_ / "scans.shards"));
}

TEST_F(IngestScans, RefuseAShoeOfTwoFeetPairsOrTimes) {
  prepare([&] {
    for (const char* name : {"a.png", "b.png"}) write_scan(name, CV_8UC1, name[0]);
  });
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,L,0\nb,s,p,R,4\n").find("both feet"), std::string::npos);
  EXPECT_NE(refusal("id,shoe,pair,foot,week\na,s,p,L,0\nb,s,q,L,4\n").find("two pairs"), std::string::npos);
  EXPECT_NE(
      refusal("id,shoe,pair,foot,week,date\na,s,p,L,0,2021-02-01\nb,s,p,L,4,2021-01-01\n").find("weeks go forward"),
      std::string::npos);
}

TEST_F(IngestScans, CountWeeksFromDatesOrTakeOneVisitWhereNoWeekIsAskedFor) {
  prepare([&] {
    for (const char* name : {"a.png", "b.png", "c.png"}) write_scan(name, CV_8UC1, name[0]);
    write("manifest.csv", "id,shoe,pair,foot,scan_date\na,s,p,L,2021-01-15\nb,s,p,L,1 Jan 2021\nc,t,q,L,2022-05-05\n");
  });
  const auto weeks = [&](const fs::path& output) {
    options_.output = output;
    const IngestSummary summary = ingest_images(comm_, options_, scan_kind("week", /*may_lack_weeks=*/true));
    std::vector<double> found;
    for (const ScanInfo& scan : ScanStore(options_.output).scans()) found.push_back(scan.subject.week);
    if (comm_.is_root()) EXPECT_EQ(summary.assumptions.empty(), false);
    return found;
  };
  EXPECT_EQ(weeks(folder_ / "dated.h5"), (std::vector<double>{2, 0, 0}));
  prepare([&] { write("manifest.csv", "id,shoe,pair,foot\na,s,p,L\nb,s,p,L\nc,t,q,L\n"); });
  EXPECT_EQ(weeks(folder_ / "visit.h5"), (std::vector<double>{0, 0, 0}));
  prepare([&] { write("manifest.csv", "id,shoe,pair,foot,date\na,s,p,L,1/2/2021\nb,s,p,L,3/4/2021\nc,s,p,L,\n"); });
  try {
    weeks(folder_ / "open.h5");
    ADD_FAILURE() << "an empty date";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("date is empty"), std::string::npos) << error.what();
  }
}

TEST_F(IngestScans, TakeWhatSpreadsheetsMakeOfAManifest) {
  prepare([&] {
    write_scan("00107.png", CV_8UC1, 0);
    write("manifest.csv",
          "\xEF\xBB\xBF"
          "ID;Shoe; Pair;FOOT;Week ;\r\n107;s;p; left ;4;\r\n;;;;;\r\n");
  });
  const IngestSummary summary = ingest_images(comm_, options_, scan_kind());
  if (!comm_.is_root()) return;
  EXPECT_EQ(ingest::ScanStore(options_.output).scans().at(0).subject.week, 4);
  EXPECT_EQ(ingest::ScanStore(options_.output).scans().at(0).subject.foot, "L");
  EXPECT_EQ(summary.assumptions.size(), 1u);
}

TEST_F(IngestScans, TakeCsafeAsItIs) {
  const char* data = std::getenv("OUTSOLE_DATA");
  const fs::path csafe = fs::path(data != nullptr ? data : "") / "csafe_wear";
  if (data == nullptr || !fs::exists(csafe)) GTEST_SKIP() << "OUTSOLE_DATA names no folder with csafe_wear";
  options_.inputs = {csafe / "scans_100dpi"};
  options_.manifest = csafe / "manifest.csv";
  options_.where = {{"dpi", "100"}};
  const IngestSummary summary = ingest_images(comm_, options_, scan_kind("weeks_since_first"));
  if (comm_.is_root()) {
    EXPECT_EQ(summary.images, 63);
    EXPECT_TRUE(summary.skipped.empty());
    EXPECT_TRUE(summary.manifest_mismatches.empty());
  }
}

TEST_F(IngestScans, TellContradictedResolutionsOnceWithTheirNumbers) {
  std::string manifest = "file,shoe,pair,foot,week,dpi\n";
  for (int i = 0; i < 9; ++i) manifest += "images/" + std::to_string(i) + ".tiff,s,p,L," + std::to_string(i) + ",150\n";
  prepare([&] {
    for (int i = 0; i < 9; ++i) {
      write_scan(std::to_string(i) + ".tiff", CV_8UC1, i,
                 {cv::IMWRITE_TIFF_RESUNIT, 2, cv::IMWRITE_TIFF_XDPI, 300, cv::IMWRITE_TIFF_YDPI, 300});
    }
    write("manifest.csv", manifest);
  });
  const IngestSummary summary = ingest_images(comm_, options_, scan_kind());
  if (!comm_.is_root()) return;
  ASSERT_EQ(summary.remarks.size(), 1u);
  EXPECT_EQ(summary.remarks[0].images, 9);
  ASSERT_EQ(summary.remarks[0].first.size(), 3u);
  EXPECT_EQ(summary.remarks[0].first[0], (folder_ / "images/0.tiff").string() + " (300.0 dpi, manifest 150.0)");
}

TEST_F(IngestScans, TellWhatIsNotBelievedOfTheFiles) {
  prepare([&] {
    for (const int dpi : {1, 72}) {
      write_scan(std::to_string(dpi) + ".tiff", CV_8UC1, dpi,
                 {cv::IMWRITE_TIFF_RESUNIT, 2, cv::IMWRITE_TIFF_XDPI, dpi, cv::IMWRITE_TIFF_YDPI, dpi});
    }
    write("manifest.csv", "id,shoe,pair,foot,week\n1,s,p,L,0\n72,s,p,L,2\n");
  });
  const IngestSummary summary = ingest_images(comm_, options_, scan_kind());
  if (!comm_.is_root()) return;
  ASSERT_EQ(summary.remarks.size(), 1u);
  EXPECT_NE(summary.remarks[0].what.find("not believed"), std::string::npos);
  EXPECT_EQ(summary.remarks[0].images, 2);
  const ingest::ScanStore store(options_.output);
  for (const ScanInfo& scan : store.scans()) EXPECT_EQ(scan.dpi, 0);
}

TEST_F(IngestScans, LeaveOutScansWhosePixelsAreNotSquare) {
  prepare([&] {
    write_scan("fax.tiff", CV_8UC1, 0,
               {cv::IMWRITE_TIFF_RESUNIT, 2, cv::IMWRITE_TIFF_XDPI, 204, cv::IMWRITE_TIFF_YDPI, 98});
    write_scan("scan.tiff", CV_8UC1, 1);
    write("manifest.csv", "id,shoe,pair,foot,week\nfax,s,p,L,0\nscan,s,p,L,2\n");
  });
  const IngestSummary summary = ingest_images(comm_, options_, scan_kind());
  if (!comm_.is_root()) return;
  EXPECT_EQ(summary.images, 1);
  ASSERT_EQ(summary.skipped.size(), 1u);
  EXPECT_NE(summary.skipped[0].reason.find("204 x 98 dpi"), std::string::npos);
}

}  // namespace
}  // namespace outsole::ingest
