// Folders and tables as people have them: every job says at its end what it did not read, and what it assumed.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "database.h"
#include "image/image.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Inputs : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    fs::create_directories(folder_ / "in/more");
    fs::copy_file(base_ / "marks/mark00001.png", folder_ / "in/m.png");
    fs::copy_file(base_ / "marks/mark00002.png", folder_ / "in/more/n.png");
    for (const char* name : {"in/d.bmp", "in/._m.png", "in/Thumbs.db", "in/e.HEIC"}) write_bytes(folder_ / name, "x");
  }

  std::vector<std::string> search(const std::string& marks, const std::string& output) const {
    return {"search",      "--index", base_ / "index.h5", "--marks",  marks,  "--angles-deg", "0",
            "--stride-px", "4",       "--all-scores",     "--output", output, "--csv",        output + ".csv"};
  }
  nlohmann::json account(const std::string& output) const {
    return nlohmann::json::parse(read_bytes(folder_ / (output + ".provenance.json"))).at("details").at("account");
  }

  const fs::path base_ = Database::folder();
};

TEST_F(Inputs, EndJobsWithTheirAccount) {
  const auto tells =
      AllOf(HasSubstr("inputs: 1 image files, 5 not read"), HasSubstr("2 of other extensions: d.bmp, e.HEIC"),
            HasSubstr("2 left by macOS or Windows: ._m.png, Thumbs.db"), HasSubstr("1 in folders below"),
            HasSubstr(": more\n"));
  EXPECT_THAT(run(search("in", "r.h5")).output, tells);
  EXPECT_EQ(account("r").at("read"), 1);
  EXPECT_EQ(account("r").at("not_read").size(), 5u);
  EXPECT_THAT(run({"ingest", "--kind", "exemplars", "--input", "in", "--output", "e.h5"}).output, tells);
  EXPECT_EQ(account("e").at("not_read").size(), 5u);
  EXPECT_THAT(run({"predict", "--model", base_ / "run/model.h5", "--input", "in", "--weeks", "8", "--threads", "1",
                   "--output", "p"})
                  .output,
              tells);
  EXPECT_EQ(account("p/predictions").at("not_read").size(), 5u);
  EXPECT_EQ(run({"search", "--strict", "--index", base_ / "index.h5", "--marks", "in", "--output", "s.h5"}).exit_code,
            0);
}

TEST_F(Inputs, OfLearningAreAccountedForToo) {
  fs::copy(base_ / "marks", folder_ / "marks");
  write_bytes(folder_ / "marks/d.bmp", "x");
  const JobResult learned =
      run({"learn", "--index", base_ / "index.h5", "--marks", "marks", "--labels", "marks/labels.csv", "--method",
           "weights", "--angles-deg", "0", "--stride-px", "4", "--output", "metric.h5"});
  EXPECT_EQ(learned.exit_code, 0) << learned.errors;
  EXPECT_THAT(learned.output, AllOf(HasSubstr("inputs: 3 image files, "), HasSubstr("of other extensions: d.bmp, "),
                                    HasSubstr("resolution: known neither of exemplars nor of marks")));
  EXPECT_EQ(account("metric").at("read"), 3);
}

TEST_F(Inputs, OfAnotherResolutionThanTheExemplarsAreScaledAndTold) {
  const cv::Mat mark = cv::imread((base_ / "marks/mark00001.png").string(), cv::IMREAD_GRAYSCALE);
  cv::Mat twice;
  cv::resize(mark, twice, {}, 2, 2, cv::INTER_NEAREST);
  fs::create_directory(folder_ / "scans");
  image::write_tiff(folder_ / "scans/a.tiff", twice, 200);
  image::write_tiff(folder_ / "scans/b.tiff", twice, 72);
  const auto told = [&](const std::string& index, const std::string& output, const std::vector<std::string>& more) {
    std::vector<std::string> command = search("scans", output);
    command[2] = index;
    command.insert(command.end(), more.begin(), more.end());
    const JobResult result = run(command);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return result.output;
  };
  EXPECT_THAT(told(base_ / "index.h5", "unknown.h5", {}),
              HasSubstr("resolution: of the exemplars not known, so no mark was scaled, though 1 say theirs (1 of 200 "
                        "dpi); `outsole index --exemplar-dpi` tells it\n"));
  expect_done({"index", "--exemplars", base_ / "exemplars.h5", "--exemplar-dpi", "100", "--output", "i.h5"});
  EXPECT_THAT(told("i.h5", "known.h5", {}),
              AllOf(HasSubstr("resolution: 1 marks scaled to the exemplars' 100 dpi: 1 of 200 dpi by 0.5\n"),
                    HasSubstr("resolution: 1 marks do not say theirs and are taken to have the exemplars' 100 dpi")));
  EXPECT_THAT(told("i.h5", "told.h5", {"--mark-dpi", "200"}),
              AllOf(HasSubstr("resolution: 2 marks scaled to the exemplars' 100 dpi: 2 of 200 dpi by 0.5\n"),
                    Not(HasSubstr("do not say theirs"))));
  std::vector<std::string> other = search("scans", "told.h5");
  other[2] = "i.h5";
  other.insert(other.end(), {"--mark-dpi", "150"});
  const JobResult refused = run(other);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.errors, HasSubstr("mark_dpi"));
  // The table's scale is what pictures are drawn by.
  EXPECT_THAT(read_bytes(folder_ / "told.h5.csv"), HasSubstr(",0.5,0\n"));
  const JobResult pictures =
      run({"evaluate", "retrieval", "--results", "told.h5", "--candidates", "pictures", "--exemplars",
           base_ / "exemplars.h5", "--marks", "scans", "--relevance", "parts", "--index", "i.h5"});
  EXPECT_EQ(pictures.exit_code, 0) << pictures.errors;
}

TEST_F(Inputs, AreReadBelowFoldersWhenAskedFor) {
  std::vector<std::string> command = search("in", "r.h5");
  command.emplace_back("--recursive");
  EXPECT_THAT(run(command).output, AllOf(HasSubstr("2 marks against"), HasSubstr("inputs: 2 image files, 4 not read")));
  const JobResult pictures = run({"evaluate", "retrieval", "--results", "r.h5", "--candidates", "pictures",
                                  "--exemplars", base_ / "exemplars.h5", "--marks", "in"});
  EXPECT_EQ(pictures.exit_code, 0) << pictures.errors;
  EXPECT_TRUE(fs::exists(folder_ / "pictures/n.png"));
}

TEST_F(Inputs, MaskAMarkWhateverTheMasksExtensionAndCase) {
  fs::create_directory(folder_ / "one");
  fs::copy_file(folder_ / "in/m.png", folder_ / "one/m.png");
  EXPECT_EQ(run(search("one", "unmasked.h5")).exit_code, 0);
  cv::Mat half = cv::imread((folder_ / "one/m.png").string(), cv::IMREAD_GRAYSCALE);
  half.setTo(0);
  half.rowRange(0, half.rows / 2).setTo(255);
  std::vector<unsigned char> bytes;
  for (const char* name : {"m.mask.png", "m.mask.PNG", "M.mask.png", "m.MASK.Png"}) {
    const fs::path mask = folder_ / "one" / name;
    ASSERT_TRUE(cv::imencode(".png", half, bytes));
    write_bytes(mask, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const JobResult result = run(search("one", "masked.h5"));
    EXPECT_THAT(result.output, HasSubstr(std::string("1 masks of marks: ") + name)) << result.errors;
    EXPECT_NE(read_bytes(folder_ / "masked.h5.csv"), read_bytes(folder_ / "unmasked.h5.csv")) << name;
    fs::remove(mask);
    fs::remove(folder_ / "masked.h5");
    fs::remove_all(folder_ / "masked.shards");
  }
  fs::copy_file(folder_ / "in/m.png", folder_ / "one/other.mask.png");
  const JobResult orphan = run(search("one", "orphan.h5"));
  EXPECT_EQ(orphan.exit_code, 3);
  EXPECT_THAT(orphan.errors, HasSubstr("other.mask.png: a mask without its mark"));
}

TEST_F(Inputs, SayWhatWasAssumedOfAManifestAndWhatIsThereTwice) {
  fs::create_directory(folder_ / "ex");
  fs::copy_file(base_ / "images/00001.png", folder_ / "ex/00107.png");
  fs::copy_file(base_ / "images/00001.png", folder_ / "ex/copy.png");
  write_bytes(folder_ / "m.csv", "\xEF\xBB\xBFID; Mirror;\r\n107;1;\r\n;;\r\n");
  const std::vector<std::string> ingest = {"ingest", "--kind", "exemplars", "--input", "ex", "--manifest", "m.csv"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), ingest.begin(), ingest.end());
    return run(more);
  };
  EXPECT_THAT(with({"--output", "e.h5"}).output,
              AllOf(HasSubstr("1 to be mirrored"), HasSubstr("assumed: "), HasSubstr("'107' is 00107"),
                    HasSubstr("identical files or equal pixels:\n  00107 = copy\n")));
  write_bytes(folder_ / "m.csv", "id,mirrored\n00107,1\n");
  const JobResult near_miss = with({"--output", "f.h5"});
  EXPECT_EQ(near_miss.exit_code, 3);
  EXPECT_THAT(near_miss.errors, AllOf(HasSubstr("'mirrored' may mean 'mirror'"), HasSubstr("keep it by --lenient")));
  EXPECT_THAT(with({"--output", "f.h5", "--lenient"}).output, Not(HasSubstr("to be mirrored")));
  write_bytes(folder_ / "m.csv", "id,mirror\n00108,1\n");
  EXPECT_EQ(with({"--output", "g.h5"}).exit_code, 3);
  EXPECT_EQ(with({"--output", "g.h5", "--lenient"}).exit_code, 0);
  EXPECT_EQ(with({"--output", "h.h5", "--lenient", "--strict"}).exit_code, 2);
}

}  // namespace
}  // namespace outsole::testing
