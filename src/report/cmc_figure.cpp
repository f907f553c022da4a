#include "report/cmc_figure.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/errors.h"
#include "report/svg.h"

namespace outsole::report {

namespace {

constexpr double kWidth = 720, kHeight = 460;
constexpr double kLeft = 66, kRight = 24, kTop = 48, kBottom = 56;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;

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
    const double raw_step = static_cast<double>(max_rank) / 8;
    const double decade = std::pow(10, std::floor(std::log10(std::max(raw_step, 1.0))));
    const double nice = raw_step / decade <= 2 ? 2 : raw_step / decade <= 5 ? 5 : 10;
    const auto step = raw_step <= 1 ? std::int64_t{1} : static_cast<std::int64_t>(nice * decade);
    for (std::int64_t tick = std::max<std::int64_t>(step, 2); tick <= max_rank; tick += step) ticks.push_back(tick);
    return ticks;
  }
};

double y_of(double percent) { return kTop + kPlotHeight * (1 - percent / 100); }

std::string axes(const RankAxis& axis) {
  std::string body;
  for (int percent = 0; percent <= 100; percent += 20) {
    body += svg::line(kLeft, y_of(percent), kLeft + kPlotWidth, y_of(percent), "#e2e2e2");
    body += svg::text(kLeft - 8, y_of(percent) + 4, "end", std::to_string(percent));
  }
  for (const std::int64_t tick : axis.ticks()) {
    const double x = axis.x(static_cast<double>(tick));
    body += svg::line(x, kTop, x, kTop + kPlotHeight, "#e2e2e2");
    body += svg::text(x, kTop + kPlotHeight + 18, "middle", std::to_string(tick));
  }
  body += svg::line(kLeft, kTop, kLeft, kTop + kPlotHeight, "#333333");
  body += svg::line(kLeft, kTop + kPlotHeight, kLeft + kPlotWidth, kTop + kPlotHeight, "#333333");
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

/// The legend, at the lower right, where a cumulative curve does not pass.
std::string legend(std::span<const CmcCurve> curves) {
  std::size_t longest = 0;
  for (const CmcCurve& curve : curves) longest = std::max(longest, curve.name.size());
  const double width = 56 + 7.2 * static_cast<double>(longest), height = 12 + 19 * static_cast<double>(curves.size());
  const double left = kLeft + kPlotWidth - width - 10, top = kTop + kPlotHeight - height - 10;
  std::string body = "<rect x=\"" + svg::number(left) + "\" y=\"" + svg::number(top) + "\" width=\"" +
                     svg::number(width) + "\" height=\"" + svg::number(height) +
                     "\" fill=\"#ffffff\" fill-opacity=\"0.9\" stroke=\"#cccccc\"/>\n";
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const double y = top + 16 + 19 * static_cast<double>(i);
    body += "<line stroke-width=\"2\" " + svg::stroke(i) + " x1=\"" + svg::number(left + 10) + "\" y1=\"" +
            svg::number(y) + "\" x2=\"" + svg::number(left + 38) + "\" y2=\"" + svg::number(y) + "\"/>\n";
    body += svg::text(left + 46, y + 4, "start", curves[i].name);
  }
  return body;
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
  for (std::size_t i = 0; i < curves.size(); ++i) body += polyline(curves[i], axis, svg::stroke(i));
  return svg::document(kWidth, kHeight, body + legend(curves));
}

}  // namespace outsole::report
