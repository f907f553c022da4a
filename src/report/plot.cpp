#include "report/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

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

double Axis::share_of(double value) const {
  if (!(most > least)) return 0;
  return is_logarithmic ? std::log(value / least) / std::log(most / least) : (value - least) / (most - least);
}

Axis percent_axis(std::string name) {
  Axis axis{std::move(name), 0, 100, false, {}, true};
  for (int percent = 0; percent <= 100; percent += 20) axis.ticks.push_back({1.0 * percent, std::to_string(percent)});
  return axis;
}

Axis round_axis(std::string name, double low, double high, int steps, double least_step) {
  const double step = round_step(std::max((high - low) / steps, least_step));
  const double least = step * std::floor(low / step), most = step * std::ceil(high / step);
  Axis axis{std::move(name), least, most > least ? most : least + step, false, {}, true};
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  const long count = std::lround((axis.most - axis.least) / step);
  for (long i = 0; i <= count; ++i) {
    const double value = step * (std::round(least / step) + static_cast<double>(i));
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
    axis.ticks.push_back({value, text.data()});
  }
  return axis;
}

std::string frame(const Chart& chart) {
  const Area& area = chart.area;
  std::string body;
  for (const Tick& tick : chart.upwards.ticks) {
    const double y = chart.y(tick.value);
    if (chart.upwards.has_grid) body += svg::line(area.left, y, area.right(), y, kGrid);
    body += svg::text(area.left - 8, y + 4, "end", tick.text);
  }
  for (const Tick& tick : chart.across.ticks) {
    const double x = chart.x(tick.value);
    if (chart.across.has_grid) body += svg::line(x, area.top, x, area.bottom(), kGrid);
    body += svg::text(x, area.bottom() + 18, "middle", tick.text, chart.across.has_grid ? "" : "font-size=\"11\"");
  }
  body += svg::line(area.left, area.top, area.left, area.bottom(), kAxis) +
          svg::line(area.left, area.bottom(), area.right(), area.bottom(), kAxis);
  body += svg::text(area.left + area.width / 2, area.bottom() + 42, "middle", chart.across.name);
  return body + svg::upward_text(area.left - chart.gap_of_name, area.top + area.height / 2, chart.upwards.name);
}

std::string curve(const Chart& chart, std::span<const Point> points, std::size_t index) {
  std::string text, last;
  for (const Point& point : points) {
    const std::string corner = svg::number(chart.x(point.x)) + "," + svg::number(chart.y(point.y)) + " ";
    if (corner != last) text += corner;
    last = corner;
  }
  return svg::polyline(text, svg::stroke(index));
}

std::string ring(const Chart& chart, const Point& point, std::size_t index) {
  return "<circle cx=\"" + svg::number(chart.x(point.x)) + "\" cy=\"" + svg::number(chart.y(point.y)) +
         "\" r=\"3.5\" fill=\"#ffffff\" stroke-width=\"2\" " + svg::stroke(index) + "/>\n";
}

std::string title(const Area& area, std::string_view text) {
  return svg::text(area.left, 28, "start", text, "font-size=\"16\" font-weight=\"bold\"");
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
  const double left = corner == Corner::kUpperLeft ? area.left + 10 : area.right() - width - 10;
  const double top = corner == Corner::kLowerRight ? area.bottom() - height - 10 : area.top + 10;
  std::string body = "<rect x=\"" + svg::number(left) + "\" y=\"" + svg::number(top) + "\" width=\"" +
                     svg::number(width) + "\" height=\"" + svg::number(height) +
                     "\" fill=\"#ffffff\" fill-opacity=\"0.9\" stroke=\"#cccccc\"/>\n";
  for (std::size_t i = 0; i < names.size(); ++i) {
    body += legend_entry(left + 10, top + 16 + 19 * static_cast<double>(i), i, names[i]);
  }
  return body;
}

}  // namespace outsole::report::plot
