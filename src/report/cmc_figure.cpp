#include "report/cmc_figure.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/errors.h"
#include "report/plot.h"
#include "report/svg.h"

namespace outsole::report {

namespace {

constexpr double kWidth = 720, kHeight = 460;
constexpr plot::Area kArea{66, 48, kWidth - 66 - 24, kHeight - 48 - 56};

std::vector<std::int64_t> rank_ticks(std::int64_t max_rank, bool log_rank) {
  std::vector<std::int64_t> ticks{1};
  if (log_rank) {
    for (std::int64_t decade = 1; decade <= max_rank; decade *= 10) {
      for (const std::int64_t step : {2, 5, 10}) {
        if (decade * step <= max_rank) ticks.push_back(decade * step);
      }
    }
    return ticks;
  }
  const auto step = std::llround(plot::round_step(std::max(static_cast<double>(max_rank) / 8, 1.0)));
  for (std::int64_t tick = std::max<std::int64_t>(step, 2); tick <= max_rank; tick += step) ticks.push_back(tick);
  return ticks;
}

/// Ranks across: 1 at the left, max_rank at the right.
plot::Axis rank_axis(std::int64_t max_rank, bool log_rank) {
  plot::Axis axis{"rank k of the candidate list", 1, static_cast<double>(max_rank), log_rank, {}, true};
  for (const std::int64_t tick : rank_ticks(max_rank, log_rank)) {
    axis.ticks.push_back({static_cast<double>(tick), std::to_string(tick)});
  }
  return axis;
}

/// A step curve: the share holds from rank k until the next rank. Ranks that change nothing are left out.
std::vector<plot::Point> steps_of(const CmcCurve& curve) {
  std::vector<plot::Point> points;
  for (std::size_t i = 0; i < curve.percent.size(); ++i) {
    const double rank = static_cast<double>(i + 1);
    const bool is_step = i > 0 && curve.percent[i] != curve.percent[i - 1];
    if (is_step) points.push_back({rank, curve.percent[i - 1]});
    if (is_step || i == 0 || i + 1 == curve.percent.size()) points.push_back({rank, curve.percent[i]});
  }
  return points;
}

}  // namespace

std::string cmc_figure(std::span<const CmcCurve> curves, const CmcFigureOptions& options) {
  ensure(!curves.empty(), "a figure needs a curve");
  std::size_t max_rank = 0;
  for (const CmcCurve& curve : curves) {
    ensure(!curve.percent.empty(), "a curve needs points");
    max_rank = std::max(max_rank, curve.percent.size());
  }
  const plot::Chart chart{kArea, rank_axis(static_cast<std::int64_t>(max_rank), options.log_rank),
                          plot::percent_axis("marks whose exemplar is within the first k (%)")};
  std::string body = plot::title(kArea, options.title) + plot::frame(chart);
  std::vector<std::string> names;
  for (const CmcCurve& curve : curves) {
    body += plot::curve(chart, steps_of(curve), names.size());
    names.push_back(curve.name);
  }
  return svg::document(kWidth, kHeight, body + plot::legend(kArea, names, plot::Corner::kLowerRight));
}

std::string cmc_figure(const nlohmann::ordered_json& evaluation, bool log_rank) {
  std::vector<CmcCurve> curves;
  const auto add = [&](const std::string& name, const nlohmann::ordered_json& part) {
    curves.push_back({name + " (" + std::to_string(part["marks"].get<std::int64_t>()) + ")", part["cmc"]});
  };
  add("all marks", evaluation);
  if (evaluation.contains("groups")) {
    for (const auto& [column, values] : evaluation["groups"].items()) {
      for (const auto& [value, part] : values.items()) add(column + " " + value, part);
    }
  }
  const std::string title = std::to_string(evaluation["marks"].get<std::int64_t>()) + " marks among " +
                            std::to_string(evaluation["exemplars"].get<std::int64_t>()) + " exemplars";
  return cmc_figure(curves, {title, log_rank});
}

}  // namespace outsole::report
