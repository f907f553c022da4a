#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "image/pose.h"
#include "report/list_page.h"
#include "report/mark_page.h"
#include "report/page_text.h"
#include "report/score_context.h"

namespace outsole::report {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr float kLeftOut = std::numeric_limits<float>::quiet_NaN();

TEST(ScoreContext, TellsHowFarAScoreStandsAboveTheOthers) {
  const std::vector<float> scores = {0.25F, 0.5F, kLeftOut, 0.75F, 1.0F, 0.0F};
  const auto context = context_of(scores, 4);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->level.known, 5);
  EXPECT_EQ(context->level.median, 0.5);
  EXPECT_DOUBLE_EQ(context->level.spread, 1.4826 * 0.25);
  EXPECT_EQ(context->counts, (std::vector<std::int64_t>{1, 1, 1, 2}));
  EXPECT_DOUBLE_EQ(*spreads_above(context->level, 1.0), 0.5 / (1.4826 * 0.25));
}

TEST(ScoreContext, CountsATieAtTheWorstPlace) {
  const std::vector<float> scores = {0.5F, 0.5F, 0.75F, kLeftOut};
  EXPECT_EQ(place_among(scores, 0.75), 1);
  EXPECT_EQ(place_among(scores, 0.5), 3);
}

TEST(ScoreContext, KnowsNothingOfScoresThatAreAllAlikeOrMissing) {
  EXPECT_FALSE(context_of(std::vector<float>{kLeftOut}, 4));
  const auto alike = context_of(std::vector<float>{0.5F, 0.5F, 0.5F}, 4);
  ASSERT_TRUE(alike);
  EXPECT_EQ(std::accumulate(alike->counts.begin(), alike->counts.end(), std::int64_t{0}), 3);
  EXPECT_FALSE(spreads_above(alike->level, 0.5));
}

TEST(SvgMatrix, LaysEdgesWhereThePoseLaysPixelCentres) {
  // A mark of 3 x 5 pixels whose centre lies on the centre of pixel (y 10, x 20), turned a quarter counter-clockwise.
  EXPECT_EQ(svg_matrix(image::mark_to_exemplar(3, 5, {0, 10, 20, 1, false})), "matrix(1 0 0 1 18 9)");
  EXPECT_EQ(svg_matrix(image::mark_to_exemplar(3, 5, {0, 10, 20, 1, true})), "matrix(-1 0 0 1 23 9)");
  EXPECT_EQ(svg_matrix(image::mark_to_exemplar(3, 5, {0, 10, 20, 2, false})), "matrix(2 0 0 2 15.5 7.5)");
}

TEST(Outline, GoesAroundTheCells) {
  EXPECT_EQ(outline_of(at::tensor({0, 0, 0, 0}).view({2, 2})), "");
  EXPECT_EQ(outline_of(at::tensor({1, 1, 0, 0}).view({2, 2})), "M0 0h2M0 1h2M0 0v1M2 0v1");
  EXPECT_EQ(outline_of(at::tensor({1, 0, 0, 1}).view({2, 2})), "M0 0h1M0 1h2M1 2h1M0 0v1M1 0v2M2 1v1");
}

/// A page of a mark that has a name and nothing else.
nlohmann::json bare_facts(const std::string& id) {
  return {{"id", id},
          {"report", "0"},
          {"number", 1},
          {"total", 1},
          {"name", "00001"},
          {"previous", nullptr},
          {"next", nullptr},
          {"has_groups", false},
          {"versions", ""},
          {"results_sha256", ""},
          {"facts", nlohmann::json::array()},
          {"picture", nullptr},
          {"searched", nullptr},
          {"stage", nullptr},
          {"histogram", nullptr},
          {"lacks", nlohmann::json::array()},
          {"has_lacks", false},
          {"candidates", nlohmann::json::array()}};
}

TEST(PageText, ShowsEveryNameAsItIs) {
  const std::string page =
      page_of(Page::kMark, bare_facts("<script>alert(1)</script>\"'&{{id}}\xE2\x80\xAE\x1B[31m\xFF"));
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&apos;&amp;{{id}}"));
  EXPECT_THAT(page, Not(HasSubstr("\x1B")));
  EXPECT_THAT(page, Not(HasSubstr("\xE2\x80\xAE")));
  EXPECT_THAT(page, Not(HasSubstr("\xFF")));
}

TEST(PageText, AsksForNothingFromElsewhere) {
  const std::string page = page_of(Page::kMark, bare_facts("a")) + page_style() + page_script();
  for (const char* outside : {"http:", "https:", "//www", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, Not(HasSubstr("unsafe-inline")));
  EXPECT_THAT(page, Not(HasSubstr(" style=")));
}

TEST(ProtocolInWords, SaysWhatWasComparedAndHow) {
  const nlohmann::json parameters = {{"angles_deg", {-20.0, 0.0, 20.0}},
                                     {"stride_px", 2},
                                     {"similarity", "mu_c,sigma_c"},
                                     {"arithmetic", "avx2, 32-bit floats"}};
  std::string text;
  for (const std::string& words : protocol_in_words(parameters, std::nullopt)) text += words + "\n";
  EXPECT_THAT(text, HasSubstr("3 rotations from -20° to 20°"));
  EXPECT_THAT(text, HasSubstr("MCNCC"));
  EXPECT_THAT(text, HasSubstr("avx2, 32-bit floats"));
  EXPECT_THAT(protocol_in_words({{"as_they_lie", true}}, std::nullopt).front(), HasSubstr("at one pose"));
  const auto searches = nlohmann::json::parse(
      R"({"fused_by": "level", "fused": [{"share": 0.5, "stride_px": 2}, {"share": 0.5, "stride_px": 4}]})");
  const auto fused = protocol_in_words(searches, std::nullopt);
  EXPECT_THAT(fused[0], HasSubstr("translation on a grid."));
  EXPECT_THAT(fused[1], AllOf(HasSubstr("2 searches were made one"), HasSubstr("\"stride_px\":4")));
  EXPECT_THAT(fused[2], HasSubstr("each search's similarity"));
}

}  // namespace
}  // namespace outsole::report
