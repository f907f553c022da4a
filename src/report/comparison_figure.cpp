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

double square_x_of(double percent) { return kSquareArea.left + kSquareArea.width * percent / 100; }
double square_y_of(double percent) { return kSquareArea.bottom() - kSquareArea.height * percent / 100; }

std::string axes() {
  std::string body;
  for (int percent = 0; percent <= 100; percent += 20) {
    body += plot::row(kSquareArea, square_y_of(percent), std::to_string(percent));
    body += plot::column(kSquareArea, square_x_of(percent), std::to_string(percent));
  }
  body += plot::axes(kSquareArea);
  body += svg::text(kSquareArea.left + kSquareArea.width / 2, kSquareHeight - 14, "middle", "recall (%)");
  return body + svg::upward_text(18, kSquareArea.top + kSquareArea.height / 2, "precision (%)");
}

/// A point for each length of the list, but for those that look the same.
std::string polyline(const nlohmann::ordered_json& curve, const std::string& stroke) {
  const auto precision = curve["precision_percent"].get<std::vector<double>>();
  const auto recall = curve["recall_percent"].get<std::vector<double>>();
  std::string points, last;
  for (std::size_t i = 0; i < precision.size(); ++i) {
    const std::string point = svg::number(square_x_of(recall[i])) + "," + svg::number(square_y_of(precision[i])) + " ";
    if (point != last) points += point;
    last = point;
  }
  return svg::polyline(points, stroke);
}

}  // namespace

std::string comparison_figure(const nlohmann::ordered_json& comparison, bool log_rank) {
  std::vector<CmcCurve> curves;
  for (const auto& method : comparison["methods"]) curves.push_back({method["name"], method["cmc"]});
  return cmc_figure(curves, {title_of(comparison), log_rank});
}

std::string precision_recall_figure(const nlohmann::ordered_json& comparison) {
  std::string body =
      svg::text(kSquareArea.left, 28, "start", title_of(comparison), "font-size=\"16\" font-weight=\"bold\"");
  body += axes();
  std::vector<std::string> names;
  for (const auto& method : comparison["methods"]) {
    body += polyline(method["precision_recall"], svg::stroke(names.size()));
    names.push_back(method["name"]);
  }
  return svg::document(kSquareWidth, kSquareHeight, body + plot::legend(kSquareArea, names, plot::Corner::kUpperRight));
}

}  // namespace outsole::report
