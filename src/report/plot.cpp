#include "report/plot.h"

#include <cmath>

#include "report/svg.h"

namespace outsole::report::plot {

namespace {

constexpr const char* kGrid = "#e2e2e2";
constexpr const char* kAxis = "#333333";

}  // namespace

double round_step(double least) {
  const double decade = std::pow(10, std::floor(std::log10(least))), share = least / decade;
  return decade * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

std::string row(const Area& area, double y, std::string_view value) {
  return svg::line(area.left, y, area.right(), y, kGrid) + svg::text(area.left - 8, y + 4, "end", value);
}

std::string column(const Area& area, double x, std::string_view value) {
  return svg::line(x, area.top, x, area.bottom(), kGrid) + svg::text(x, area.bottom() + 18, "middle", value);
}

std::string axes(const Area& area) {
  return svg::line(area.left, area.top, area.left, area.bottom(), kAxis) +
         svg::line(area.left, area.bottom(), area.right(), area.bottom(), kAxis);
}

std::string legend_entry(double left, double y, std::size_t index, std::string_view name) {
  return "<line stroke-width=\"2\" " + svg::stroke(index) + " x1=\"" + svg::number(left) + "\" y1=\"" + svg::number(y) +
         "\" x2=\"" + svg::number(left + 28) + "\" y2=\"" + svg::number(y) + "\"/>\n" +
         svg::text(left + 36, y + 4, "start", name);
}

}  // namespace outsole::report::plot
