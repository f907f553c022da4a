#include "report/wear_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "core/files.h"
#include "report/report_folder.h"
#include "temporary_folder.h"

namespace outsole::report {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class WearPage : public testing::TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    options_.evaluation = folder_ / "wear.json";
    options_.pictures = folder_ / "strips";
    options_.output = folder_ / "report";
    fs::create_directory(options_.pictures);
    write_file_atomically(options_.pictures / "<b>s1.png", "a picture");
    write_file_atomically(options_.evaluation, R"({
      "task": "prediction", "split": "time", "trained_on_these_scans": true, "model_sha256": "ab", "scans_sha256": "cd",
      "pairs": 4,
      "ssim": {"model": {"mean": 0.8, "std": 0.1, "n": 4}, "persistence": {"mean": 0.9, "std": null, "n": 4}},
      "psnr_db": {"model": {"mean": 20, "std": 1, "n": 4}, "persistence": {"mean": null, "std": null, "n": 4}},
      "by_weeks": {"0": {"pairs": 0}}})");
  }

  WearReportOptions options_;
};

TEST_F(WearPage, ShowsTheModelBesideTheBaselinesAndTheStrips) {
  const ReportSummary summary = write_wear_report(options_, 1);
  EXPECT_EQ(summary.marks, 1);
  const std::string page = read_text_file(options_.output / "index.html");
  EXPECT_THAT(page, HasSubstr("0.8000 ± 0.1000"));
  EXPECT_THAT(page, HasSubstr("In SSIM the model is not better than: persistence."));
  EXPECT_THAT(page, HasSubstr("strips/00001.png"));
  EXPECT_THAT(page, Not(HasSubstr("<b>s1")));
  EXPECT_EQ(read_text_file(options_.output / "strips/00001.png"), "a picture");
  EXPECT_THAT(verify_report({options_.output, {}, {}, {}, {}}).complaints, IsEmpty());
  EXPECT_TRUE(write_wear_report(options_, 1).was_finished);
  write_file_atomically(options_.pictures / "<b>s1.png", "another");
  EXPECT_THAT(verify_report({options_.output, {}, {}, {}, {}}).complaints,
              ::testing::ElementsAre(HasSubstr("<b>s1.png: is missing, or not the one")));
}

TEST_F(WearPage, RefusesWhatIsNoEvaluationOfWear) {
  for (const char* text : {"[]", R"({"cmc": []})", R"({"by_weeks": 3})"}) {
    write_file_atomically(options_.evaluation, text);
    EXPECT_THROW(write_wear_report(options_, 1), DataError) << text;
    EXPECT_FALSE(fs::exists(options_.output));
  }
}

}  // namespace
}  // namespace outsole::report
