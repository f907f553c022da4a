#include "report/calibration_figures.h"

#include <gmock/gmock.h>

namespace outsole::report {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::Not;

ordered_json calibration() {
  return {{"marks", 40},
          {"treads", 35},
          {"exemplars", 1175},
          {"bounds", {{"least_log10_lr", -1.25}, {"most_log10_lr", 2.5}}},
          {"tippett",
           {{"log10_lr", {-1.5, 0, 2.75}}, {"matches_percent", {100, 80, 0}}, {"non_matches_percent", {100, 5, 0}}}},
          {"ece",
           {{"prior_log10_odds", {-2.5, 0, 2.5}},
            {"given_bits", {0.01, 0.5, 0.02}},
            {"best_bits", {0.01, 0.4, 0.01}},
            {"neutral_bits", {0.03, 1, 0.03}}}},
          {"pav", {{-1, -0.5, -0.8}, {0.2, 1.5, 1.1}}}};
}

TEST(CalibrationFigures, HoldTheirCurvesAndNames) {
  for (const std::string& svg :
       {tippett_figure(calibration()), ece_figure(calibration()), calibration_figure(calibration())}) {
    EXPECT_THAT(svg, HasSubstr("40 marks of 35 treads among 1175 exemplars"));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
  EXPECT_THAT(tippett_figure(calibration()), HasSubstr("true exemplars"));
  EXPECT_THAT(ece_figure(calibration()), HasSubstr("prior log10 odds"));
  EXPECT_THAT(calibration_figure(calibration()), HasSubstr("upper bound"));
}

TEST(CalibrationFigures, AreDrawnWithoutAPairThatHasBothClasses) {
  ordered_json empty = calibration();
  empty["pav"] = ordered_json::array();
  EXPECT_THAT(calibration_figure(empty), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace outsole::report
