#pragma once
// The pieces that every figure is put together from: self-contained SVG text.

#include <cstddef>
#include <string>
#include <string_view>

namespace outsole::report::svg {

/// Two decimals.
std::string number(double value);

std::string line(double x1, double y1, double x2, double y2, const char* colour);

/// Text whose `anchor` (start, middle, end) lies at (x, y). It may hold any bytes: markup is escaped, and what XML
/// forbids (control characters, broken UTF-8) becomes '?'. `attributes` are put into the element as they are.
std::string text(double x, double y, const char* anchor, std::string_view text, const std::string& attributes = "");

/// Text that reads upwards, its middle at (x, y): the name of a vertical axis.
std::string upward_text(double x, double y, std::string_view text);

/// Attributes that draw curve `index`: Okabe and Ito's colours, which people with colour blindness tell apart, then
/// dashes.
std::string stroke(std::size_t index);

/// A curve; `points` are "x,y" separated by spaces.
std::string polyline(const std::string& points, const std::string& stroke);

/// The whole file: `body` on white paper.
std::string document(double width, double height, const std::string& body);

}  // namespace outsole::report::svg
