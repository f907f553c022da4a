#include "report/plot.h"

#include <algorithm>
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

std::string legend(const Area& area, std::span<const std::string> names, Corner corner) {
  std::size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, name.size());
  const double width = 56 + 7.2 * static_cast<double>(longest), height = 12 + 19 * static_cast<double>(names.size());
  const double left = area.right() - width - 10;
  const double top = corner == Corner::kUpperRight ? area.top + 10 : area.bottom() - height - 10;
  std::string body = "<rect x=\"" + svg::number(left) + "\" y=\"" + svg::number(top) + "\" width=\"" +
                     svg::number(width) + "\" height=\"" + svg::number(height) +
                     "\" fill=\"#ffffff\" fill-opacity=\"0.9\" stroke=\"#cccccc\"/>\n";
  for (std::size_t i = 0; i < names.size(); ++i) {
    body += legend_entry(left + 10, top + 16 + 19 * static_cast<double>(i), i, names[i]);
  }
  return body;
}

}  // namespace outsole::report::plot
