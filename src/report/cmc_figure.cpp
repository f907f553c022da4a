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
constexpr double kLeft = 66, kRight = 24, kTop = 48, kBottom = 56;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr plot::Area kArea{kLeft, kTop, kPlotWidth, kPlotHeight};

/// The axis of ranks: 1 at the left, max_rank at the right.
struct RankAxis {
  std::int64_t max_rank;
  bool logarithmic;

  double x(double rank) const {
    if (max_rank == 1) return kLeft;
    const double last = static_cast<double>(max_rank);
    const double share = logarithmic ? std::log(rank) / std::log(last) : (rank - 1) / (last - 1);
    return kLeft + kPlotWidth * share;
  }

  std::vector<std::int64_t> ticks() const {
    std::vector<std::int64_t> ticks{1};
    if (logarithmic) {
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
};

double y_of(double percent) { return kTop + kPlotHeight * (1 - percent / 100); }

std::string axes(const RankAxis& axis) {
  std::string body;
  for (int percent = 0; percent <= 100; percent += 20) {
    body += plot::row(kArea, y_of(percent), std::to_string(percent));
  }
  for (const std::int64_t tick : axis.ticks()) {
    body += plot::column(kArea, axis.x(static_cast<double>(tick)), std::to_string(tick));
  }
  body += plot::axes(kArea);
  body += svg::text(kLeft + kPlotWidth / 2, kHeight - 14, "middle", "rank k of the candidate list");
  body += svg::upward_text(18, kTop + kPlotHeight / 2, "marks whose exemplar is within the first k (%)");
  return body;
}

/// A step curve: the share holds from rank k until the next rank. Ranks that change nothing are left out.
std::string polyline(const CmcCurve& curve, const RankAxis& axis, const std::string& stroke) {
  std::string points;
  const auto add = [&](double rank, double percent) {
    points += svg::number(axis.x(rank)) + "," + svg::number(y_of(percent)) + " ";
  };
  for (std::size_t i = 0; i < curve.percent.size(); ++i) {
    const double rank = static_cast<double>(i + 1);
    const bool is_step = i > 0 && curve.percent[i] != curve.percent[i - 1];
    if (is_step) add(rank, curve.percent[i - 1]);
    if (is_step || i == 0 || i + 1 == curve.percent.size()) add(rank, curve.percent[i]);
  }
  return svg::polyline(points, stroke);
}

}  // namespace

std::string cmc_figure(std::span<const CmcCurve> curves, const CmcFigureOptions& options) {
  ensure(!curves.empty(), "a figure needs a curve");
  std::size_t max_rank = 0;
  for (const CmcCurve& curve : curves) {
    ensure(!curve.percent.empty(), "a curve needs points");
    max_rank = std::max(max_rank, curve.percent.size());
  }
  const RankAxis axis{static_cast<std::int64_t>(max_rank), options.log_rank};
  std::string body = svg::text(kLeft, 28, "start", options.title, "font-size=\"16\" font-weight=\"bold\"");
  body += axes(axis);
  std::vector<std::string> names;
  for (const CmcCurve& curve : curves) {
    body += polyline(curve, axis, svg::stroke(names.size()));
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
