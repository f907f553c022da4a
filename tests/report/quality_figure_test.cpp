#include "report/quality_figure.h"

#include <gmock/gmock.h>

namespace outsole::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

nlohmann::ordered_json statistics(double mean) { return {{"mean", mean}, {"std", 0.1}, {"n", 4}}; }

nlohmann::ordered_json part(int pairs, double ssim) {
  return {{"pairs", pairs},
          {"ssim", {{"model", statistics(ssim)}, {"persistence", statistics(ssim - 0.05)}}},
          {"psnr_db",
           {{"model", statistics(20 * ssim)}, {"persistence", {{"mean", nullptr}, {"std", nullptr}, {"n", 4}}}}}};
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(QualityFigure, ShowsEachMeansBinAndLeavesGapsWhereThereIsNone) {
  const nlohmann::ordered_json evaluation = {
      {"by_weeks", {{"0", part(0, 0)}, {"2-6", part(9, 0.8)}, {"8-14", part(7, 0.7)}}}};
  const std::string svg = quality_figure(evaluation, "prediction & <more>");
  EXPECT_EQ(count(svg, "<circle"), 6U);  // the PSNR of persistence is not known
  EXPECT_THAT(svg, HasSubstr("2-6 (9)"));
  EXPECT_THAT(svg, Not(HasSubstr("0 (0)")));
  EXPECT_THAT(svg, HasSubstr("prediction &amp; &lt;more&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(QualityFigure, HoldsAnEvaluationWithoutAnyMean) {
  const nlohmann::ordered_json evaluation = {{"by_weeks", {{"0", part(0, 0)}}}};
  EXPECT_THAT(quality_figure(evaluation, ""), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace outsole::report
