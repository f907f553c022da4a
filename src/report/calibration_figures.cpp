#include "report/calibration_figures.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "report/plot.h"
#include "report/svg.h"

namespace outsole::report {

namespace {

using nlohmann::ordered_json;

constexpr double kCalibrationWidth = 720, kCalibrationHeight = 460;
constexpr plot::Area kCalibrationArea{66, 48, kCalibrationWidth - 66 - 24, kCalibrationHeight - 48 - 56};
constexpr const char* kLogLrName = "log10 likelihood ratio";

std::string calibration_title(const ordered_json& calibration) {
  return std::to_string(calibration.at("marks").get<std::int64_t>()) + " marks of " +
         std::to_string(calibration.at("treads").get<std::int64_t>()) + " treads among " +
         std::to_string(calibration.at("exemplars").get<std::int64_t>()) + " exemplars, cross-validated";
}

std::vector<plot::Point> paired(const ordered_json& across, const ordered_json& upwards) {
  std::vector<plot::Point> points;
  for (std::size_t i = 0; i < across.size(); ++i) points.push_back({across.at(i), upwards.at(i)});
  return points;
}

std::string calibration_document(const ordered_json& calibration, const plot::Chart& chart,
                                 const std::vector<std::vector<plot::Point>>& curves,
                                 const std::vector<std::string>& names, plot::Corner corner) {
  std::string body = plot::title(kCalibrationArea, calibration_title(calibration)) + plot::frame(chart);
  for (std::size_t i = 0; i < curves.size(); ++i) body += plot::curve(chart, curves[i], i);
  return svg::document(kCalibrationWidth, kCalibrationHeight, body + plot::legend(kCalibrationArea, names, corner));
}

/// A horizontal or upright line across the whole chart.
std::vector<plot::Point> upright(const plot::Chart& chart, double x) {
  return {{x, chart.upwards.least}, {x, chart.upwards.most}};
}

}  // namespace

std::string tippett_figure(const ordered_json& calibration) {
  const ordered_json& curves = calibration.at("tippett");
  const auto thresholds = curves.at("log10_lr").get<std::vector<double>>();
  const plot::Chart chart{kCalibrationArea, plot::round_axis(kLogLrName, thresholds.front(), thresholds.back(), 8, 0.1),
                          plot::percent_axis("pairs with at least this ratio (%)")};
  return calibration_document(calibration, chart,
                              {paired(curves.at("log10_lr"), curves.at("matches_percent")),
                               paired(curves.at("log10_lr"), curves.at("non_matches_percent")), upright(chart, 0)},
                              {"true exemplars", "exemplars of other treads", "ratio 1"}, plot::Corner::kUpperRight);
}

std::string ece_figure(const ordered_json& calibration) {
  const ordered_json& curves = calibration.at("ece");
  const ordered_json& odds = curves.at("prior_log10_odds");
  double most = 0;
  for (const char* key : {"given_bits", "neutral_bits"}) {
    for (const double bits : curves.at(key)) most = std::max(most, bits);
  }
  const plot::Chart chart{
      kCalibrationArea,
      plot::round_axis("prior log10 odds", odds.front().get<double>(), odds.back().get<double>(), 8, 0.1),
      plot::round_axis("empirical cross-entropy (bits)", 0, most, 6, 1e-3)};
  return calibration_document(calibration, chart,
                              {paired(odds, curves.at("given_bits")), paired(odds, curves.at("best_bits")),
                               paired(odds, curves.at("neutral_bits"))},
                              {"as given", "after the best monotonous map", "ratio of always 1"},
                              plot::Corner::kUpperRight);
}

std::string calibration_figure(const ordered_json& calibration) {
  const double least = calibration.at("bounds").at("least_log10_lr"),
               most = calibration.at("bounds").at("most_log10_lr");
  std::vector<plot::Point> steps;
  double low = std::min(least, -1.0), high = std::max(most, 1.0);
  for (const ordered_json& block : calibration.at("pav")) {
    const double from = block.at(0), to = block.at(1), ratio = block.at(2);
    steps.push_back({from, ratio});
    steps.push_back({to, ratio});
    low = std::min({low, from, ratio});
    high = std::max({high, to, ratio});
  }
  const plot::Axis across = plot::round_axis("log10 likelihood ratio of the calibration, not cut", low, high, 8, 0.1);
  plot::Axis upwards = across;
  upwards.name = "log10 ratio that the pairs bear out (PAV)";
  const plot::Chart chart{kCalibrationArea, across, upwards};
  return calibration_document(
      calibration, chart,
      {steps, {{across.least, across.least}, {across.most, across.most}}, upright(chart, least), upright(chart, most)},
      {"pairs", "equal", "lower bound", "upper bound"}, plot::Corner::kUpperLeft);
}

}  // namespace outsole::report
