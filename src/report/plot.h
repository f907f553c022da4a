#pragma once
// What figures with axes share: where the curves lie, the grid behind them, and steps of 1, 2 and 5.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace outsole::report::plot {

/// Where the curves lie, in pixels of the figure.
struct Area {
  double left = 0, top = 0, width = 0, height = 0;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

/// The least of 1, 2 and 5 times a power of ten that is not below `least`, which is above 0.
double round_step(double least);

/// A line of the grid across the area at height `y`, its value at the left.
std::string row(const Area& area, double y, std::string_view value);

/// A line of the grid from top to bottom at `x`, its value below.
std::string column(const Area& area, double x, std::string_view value);

/// The two axes: the area's left and lower edge.
std::string axes(const Area& area);

/// A piece of curve `index` that begins at (left, y), and its name.
std::string legend_entry(double left, double y, std::size_t index, std::string_view name);

enum class Corner { kLowerRight, kUpperRight };

/// Curves' names, in their order, in a corner of the area where no curve passes.
std::string legend(const Area& area, std::span<const std::string> names, Corner corner);

}  // namespace outsole::report::plot
