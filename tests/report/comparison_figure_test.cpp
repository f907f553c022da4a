#include "report/comparison_figure.h"

#include <gmock/gmock.h>

#include "retrieval/compare_results.h"

namespace outsole::report {
namespace {

using testing::HasSubstr;
using testing::Not;

nlohmann::ordered_json comparison() {
  const std::vector<retrieval::Method> methods = {{"<ours>", {{{1}, 1}, {{2}, 1}}, 20},
                                                  {"theirs", {{{3}, 1}, {{20}, 1}}, 20}};
  return retrieval::compare_methods(methods, 20);
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(ComparisonFigure, DrawsACurveOfEveryMethod) {
  const std::string svg = comparison_figure(comparison(), true);
  EXPECT_EQ(occurrences(svg, "<polyline"), 2u);
  EXPECT_THAT(svg, HasSubstr("2 marks among 20 exemplars"));
  EXPECT_THAT(svg, HasSubstr("&lt;ours&gt;"));
}

TEST(PrecisionRecallFigure, DrawsACurveOfEveryMethodInsideItsAxes) {
  const std::string svg = precision_recall_figure(comparison());
  EXPECT_EQ(occurrences(svg, "<polyline"), 2u);
  EXPECT_THAT(svg, HasSubstr("precision (%)"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("=\"-")));
}

}  // namespace
}  // namespace outsole::report
