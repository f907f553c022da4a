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

/// Around all means; of a figure without any, 0 to 1.
plot::Axis mean_axis(const MeasurePanel& panel) {
  std::vector<double> means;
  for (const Curve& curve : panel.curves) {
    for (const auto& mean : curve.means) {
      if (mean) means.push_back(*mean);
    }
  }
  if (means.empty()) means = {0, 1};
  const auto [low, high] = std::ranges::minmax(means);
  return plot::round_axis(panel.measure, low, high, 5, 1e-3);
}

/// Bins beside each other, each half a step from the ends.
plot::Axis bin_axis(const MeasurePanel& panel) {
  plot::Axis axis{
      "weeks between the scans (pairs)", -0.5, static_cast<double>(panel.bins.size()) - 0.5, false, {}, false};
  for (std::size_t bin = 0; bin < panel.bins.size(); ++bin) {
    axis.ticks.push_back({static_cast<double>(bin), panel.bins[bin]});
  }
  return axis;
}

/// One curve: lines between neighbouring bins whose means are known, and a ring for each.
std::string drawn(const Curve& curve, const plot::Chart& chart, std::size_t index) {
  std::string body;
  std::vector<plot::Point> points;
  const auto end_line = [&] {
    if (!points.empty()) body += plot::curve(chart, points, index);
    points.clear();
  };
  for (std::size_t bin = 0; bin < curve.means.size(); ++bin) {
    if (!curve.means[bin]) {
      end_line();
      continue;
    }
    points.push_back({static_cast<double>(bin), *curve.means[bin]});
    body += plot::ring(chart, points.back(), index);
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
  std::string body = plot::title({kQualityLeft, kQualityTop, kQualityPanelWidth, kQualityPanelHeight}, title);
  double left = kQualityLeft;
  for (const auto& [key, measure] :
       {std::pair{"ssim", "mean structural similarity"}, std::pair{"psnr_db", "mean PSNR (dB)"}}) {
    const MeasurePanel panel = panel_of(evaluation.at("by_weeks"), key, measure);
    const plot::Chart chart{
        {left, kQualityTop, kQualityPanelWidth, kQualityPanelHeight}, bin_axis(panel), mean_axis(panel)};
    body += plot::frame(chart);
    for (std::size_t i = 0; i < panel.curves.size(); ++i) body += drawn(panel.curves[i], chart, i);
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
