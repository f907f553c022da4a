#include "report/comparison_figure.h"

#include <vector>

#include "report/cmc_figure.h"
#include "report/plot.h"
#include "report/svg.h"

namespace outsole::report {

namespace {

constexpr double kSquareWidth = 560, kSquareHeight = 560;
constexpr plot::Area kSquareArea{66, 48, kSquareWidth - 66 - 24, kSquareHeight - 48 - 56};

std::string title_of(const nlohmann::ordered_json& comparison) {
  return std::to_string(comparison["marks"].get<std::int64_t>()) + " marks among " +
         std::to_string(comparison["exemplars"].get<std::int64_t>()) + " exemplars";
}

/// A point for each length of the list.
std::vector<plot::Point> points_of(const nlohmann::ordered_json& curve) {
  const auto precision = curve["precision_percent"].get<std::vector<double>>();
  const auto recall = curve["recall_percent"].get<std::vector<double>>();
  std::vector<plot::Point> points;
  for (std::size_t i = 0; i < precision.size(); ++i) points.push_back({recall[i], precision[i]});
  return points;
}

std::string precision_recall_curves(const std::string& title, const std::vector<std::string>& names,
                                    const std::vector<nlohmann::ordered_json>& curves) {
  const plot::Chart chart{kSquareArea, plot::percent_axis("recall (%)"), plot::percent_axis("precision (%)")};
  std::string body = plot::title(kSquareArea, title) + plot::frame(chart);
  for (std::size_t i = 0; i < curves.size(); ++i) body += plot::curve(chart, points_of(curves[i]), i);
  return svg::document(kSquareWidth, kSquareHeight, body + plot::legend(kSquareArea, names, plot::Corner::kUpperRight));
}

}  // namespace

std::string comparison_figure(const nlohmann::ordered_json& comparison, bool log_rank) {
  std::vector<CmcCurve> curves;
  for (const auto& method : comparison["methods"]) curves.push_back({method["name"], method["cmc"]});
  return cmc_figure(curves, {title_of(comparison), log_rank});
}

std::string precision_recall_figure(const nlohmann::ordered_json& json) {
  std::vector<std::string> names;
  std::vector<nlohmann::ordered_json> curves;
  const auto add = [&](const std::string& name, const nlohmann::ordered_json& part) {
    names.push_back(name);
    curves.push_back(part["precision_recall"]);
  };
  if (json.contains("methods")) {
    for (const auto& method : json["methods"]) add(method["name"], method);
    return precision_recall_curves(title_of(json), names, curves);
  }
  const auto with_marks = [](const std::string& name, const nlohmann::ordered_json& part) {
    return name + " (" + std::to_string(part["marks"].get<std::int64_t>()) + ")";
  };
  add(with_marks("all marks", json), json);
  if (json.contains("groups")) {
    for (const auto& [column, values] : json["groups"].items()) {
      for (const auto& [value, part] : values.items()) add(with_marks(column + " " + value, part), part);
    }
  }
  return precision_recall_curves(title_of(json), names, curves);
}

}  // namespace outsole::report
