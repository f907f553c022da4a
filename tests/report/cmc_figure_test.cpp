#include "report/cmc_figure.h"

#include <gmock/gmock.h>

#include "core/errors.h"

namespace outsole::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(CmcFigure, EscapesHostileNames) {
  const std::vector<CmcCurve> curves{{"<script>alert(\"1\")</script> & 'x'\x01\n", {50, 100}}};
  const std::string svg = cmc_figure(curves, {"</svg><b>", false});
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_THAT(svg, Not(HasSubstr("<b>")));
  EXPECT_THAT(svg, Not(HasSubstr("\x01")));
  EXPECT_THAT(svg, HasSubstr("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;??"));
}

TEST(CmcFigure, KeepsUnicodeAndReplacesBytesThatAreNone) {
  const std::vector<CmcCurve> curves{{"Sohle \xC3\xA4", {50}}, {"\xFF\xC3", {40}}, {"\xED\xA0\x80", {30}}};
  const std::string svg = cmc_figure(curves, {"", false});
  EXPECT_THAT(svg, HasSubstr(">Sohle \xC3\xA4<"));
  EXPECT_THAT(svg, HasSubstr(">?"
                             "?<"));
  EXPECT_THAT(svg, HasSubstr(">?"
                             "?"
                             "?<"));  // a lone surrogate
}

TEST(CmcFigure, DrawsOneLinePerCurve) {
  std::vector<CmcCurve> curves;
  for (int i = 0; i < 9; ++i) curves.push_back({"curve " + std::to_string(i), {10, 20, 30}});
  const std::string svg = cmc_figure(curves, {"", true});
  std::size_t lines = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++lines;
  EXPECT_EQ(lines, curves.size());
}

TEST(CmcFigure, HoldsASingleRankAndManyRanks) {
  for (const std::size_t ranks : {1u, 2u, 8u, 1175u}) {
    for (const bool log_rank : {false, true}) {
      const std::vector<CmcCurve> curves{{"all", std::vector<double>(ranks, 70)}};
      const std::string svg = cmc_figure(curves, {"", log_rank});
      EXPECT_THAT(svg, Not(HasSubstr("nan")));
      EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
  }
}

TEST(CmcFigure, NeedsCurvesWithPoints) {
  EXPECT_THROW(cmc_figure(std::span<const CmcCurve>(), {}), Bug);
  const std::vector<CmcCurve> empty{{"none", {}}};
  EXPECT_THROW(cmc_figure(empty, {}), Bug);
}

}  // namespace
}  // namespace outsole::report
