#include "report/quality_figure.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "report/plot.h"
#include "report/svg.h"

namespace outsole::report {

namespace {

using nlohmann::ordered_json;

constexpr double kQualityWidth = 960, kQualityHeight = 460;
constexpr double kQualityPanelWidth = 390, kQualityPanelHeight = 300, kQualityTop = 64, kQualityLeft = 66,
                 kBetween = 84;

/// One measure of a method over the bins; nothing where a mean is not known.
struct Curve {
  std::string name;
  std::vector<std::optional<double>> means;
};

struct MeasurePanel {
  std::string measure;            // what the vertical axis shows
  std::vector<std::string> bins;  // weeks, and how many pairs
  std::vector<Curve> curves;
};

std::string spaced(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

MeasurePanel panel_of(const ordered_json& by_weeks, const std::string& key, const std::string& measure) {
  MeasurePanel panel{measure, {}, {}};
  for (const auto& [weeks, part] : by_weeks.items()) {
    const auto pairs = part.at("pairs").get<std::int64_t>();
    if (pairs == 0) continue;
    panel.bins.push_back(weeks + " (" + std::to_string(pairs) + ")");
    std::size_t method = 0;
    for (const auto& [name, statistics] : part.at(key).items()) {
      if (panel.curves.size() <= method) panel.curves.push_back({spaced(name), {}});
      const ordered_json& mean = statistics.at("mean");
      panel.curves[method++].means.push_back(mean.is_null() ? std::nullopt : std::optional(mean.get<double>()));
    }
  }
  return panel;
}

/// The vertical axis: a range of round numbers around all means.
struct Axis {
  double least = 0, most = 1, step = 0.2;

  double y(double value) const { return kQualityTop + kQualityPanelHeight * (1 - (value - least) / (most - least)); }
};

Axis axis_around(const std::vector<Curve>& curves) {
  std::vector<double> means;
  for (const Curve& curve : curves) {
    for (const auto& mean : curve.means) {
      if (mean) means.push_back(*mean);
    }
  }
  if (means.empty()) return {};
  const auto [low, high] = std::ranges::minmax(means);
  const double step = plot::round_step(std::max((high - low) / 5, 1e-3));
  const double least = step * std::floor(low / step), most = step * std::ceil(high / step);
  return {least, most > least ? most : least + step, step};
}

double x_of(const MeasurePanel& panel, double left, std::size_t bin) {
  return left + kQualityPanelWidth * (static_cast<double>(bin) + 0.5) / static_cast<double>(panel.bins.size());
}

std::string frame(const MeasurePanel& panel, const Axis& axis, double left) {
  const plot::Area area{left, kQualityTop, kQualityPanelWidth, kQualityPanelHeight};
  std::string body;
  const auto ticks = std::lround((axis.most - axis.least) / axis.step);
  for (long tick = 0; tick <= ticks; ++tick) {
    const double value = axis.least + static_cast<double>(tick) * axis.step;
    body += plot::row(area, axis.y(value), svg::number(value));
  }
  const double bottom = area.bottom();
  for (std::size_t bin = 0; bin < panel.bins.size(); ++bin) {
    body += svg::text(x_of(panel, left, bin), bottom + 18, "middle", panel.bins[bin], "font-size=\"11\"");
  }
  body += plot::axes(area);
  body += svg::text(left + kQualityPanelWidth / 2, bottom + 38, "middle", "weeks between the scans (pairs)");
  return body + svg::upward_text(left - 48, kQualityTop + kQualityPanelHeight / 2, panel.measure);
}

/// One curve: lines between neighbouring bins whose means are known, and a dot for each.
std::string drawn(const MeasurePanel& panel, const Axis& axis, double left, std::size_t index) {
  std::string body, points;
  const std::string stroke = svg::stroke(index);
  const auto end_line = [&] {
    if (!points.empty()) body += svg::polyline(points, stroke);
    points.clear();
  };
  const auto& means = panel.curves[index].means;
  for (std::size_t bin = 0; bin < means.size(); ++bin) {
    if (!means[bin]) {
      end_line();
      continue;
    }
    const std::string x = svg::number(x_of(panel, left, bin)), y = svg::number(axis.y(*means[bin]));
    points += x + "," + y + " ";
    body +=
        "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"3.5\" fill=\"#ffffff\" stroke-width=\"2\" " + stroke + "/>\n";
  }
  end_line();
  return body;
}

std::string legend(const std::vector<Curve>& curves) {
  std::string body;
  double left = kQualityLeft;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    body += plot::legend_entry(left, kQualityHeight - 22, i, curves[i].name);
    left += 64 + 6.6 * static_cast<double>(curves[i].name.size());
  }
  return body;
}

}  // namespace

std::string quality_figure(const ordered_json& evaluation, const std::string& title) {
  std::string body = svg::text(kQualityLeft, 28, "start", title, "font-size=\"16\" font-weight=\"bold\"");
  double left = kQualityLeft;
  for (const auto& [key, measure] :
       {std::pair{"ssim", "mean structural similarity"}, std::pair{"psnr_db", "mean PSNR (dB)"}}) {
    const MeasurePanel panel = panel_of(evaluation.at("by_weeks"), key, measure);
    const Axis axis = axis_around(panel.curves);
    body += frame(panel, axis, left);
    for (std::size_t curve = 0; curve < panel.curves.size(); ++curve) body += drawn(panel, axis, left, curve);
    if (left == kQualityLeft) body += legend(panel.curves);
    left += kQualityPanelWidth + kBetween;
  }
  return svg::document(kQualityWidth, kQualityHeight, body);
}

std::string quality_title(const ordered_json& evaluation) {
  return evaluation.at("task").get<std::string>() + ", " + std::to_string(evaluation.at("pairs").get<std::int64_t>()) +
         " held-out pairs, split by " + evaluation.at("split").get<std::string>();
}

}  // namespace outsole::report
