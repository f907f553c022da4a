#pragma once
// What figures with axes share: axes and their grid, curves, dots, legends, and steps of 1, 2 and 5.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace outsole::report::plot {

/// Where the curves lie, in pixels of the figure.
struct Area {
  double left = 0, top = 0, width = 0, height = 0;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

/// The least of 1, 2 and 5 times a power of ten that is not below `least`, which is above 0.
double round_step(double least);

/// What stands beside an axis at a value.
struct Tick {
  double value = 0;
  std::string text;
};

struct Axis {
  std::string name;
  double least = 0, most = 1;
  bool is_logarithmic = false;
  std::vector<Tick> ticks;
  bool has_grid = true;  // a line at each tick

  /// Where on the axis a value lies: 0 at its least, 1 at its most; 0 where these are the same.
  double share_of(double value) const;
};

/// An axis of percents, 0 to 100.
Axis percent_axis(std::string name);

/// A linear axis between round numbers around [low, high], of at most `steps` steps or one more, each of at least
/// `least_step`; its ticks have as few decimals as tell them apart.
Axis round_axis(std::string name, double low, double high, int steps, double least_step);

struct Point {
  double x = 0, y = 0;
};

/// Axes around an area: from values to pixels.
struct Chart {
  Area area;
  Axis across, upwards;
  double gap_of_name = 48;  // between the area and the middle of the vertical axis' name, in pixels

  double x(double value) const { return area.left + area.width * across.share_of(value); }
  double y(double value) const { return area.bottom() - area.height * upwards.share_of(value); }
};

/// Grid, ticks, axes and their names.
std::string frame(const Chart& chart);

/// Curve `index` through points in the chart's units; a point that looks like the one before is left out.
std::string curve(const Chart& chart, std::span<const Point> points, std::size_t index);

/// A ring at a point, in the colour of curve `index`.
std::string ring(const Chart& chart, const Point& point, std::size_t index);

/// The figure's title, above the area.
std::string title(const Area& area, std::string_view text);

/// A piece of curve `index` that begins at (left, y), and its name.
std::string legend_entry(double left, double y, std::size_t index, std::string_view name);

enum class Corner { kLowerRight, kUpperRight, kUpperLeft };

/// Curves' names, in their order, in a corner of the area where no curve passes.
std::string legend(const Area& area, std::span<const std::string> names, Corner corner);

}  // namespace outsole::report::plot
