#include "report/svg.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/text.h"

namespace outsole::report::svg {

namespace {

constexpr std::array<const char*, 7> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#e69f00", "#56b4e9", "#000000"};
constexpr std::array<const char*, 3> kDashes{"none", "7 4", "2 3"};

/// Text as XML content or attribute.
std::string escaped(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text[0];
    if (length == 0 || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += '?';
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else if (c == '\'') {
      result += "&#39;";
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

}  // namespace

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
         "\" stroke=\"" + colour + "\"/>\n";
}

std::string text(double x, double y, const char* anchor, std::string_view text, const std::string& attributes) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\" " + attributes + ">" +
         escaped(text) + "</text>\n";
}

std::string upward_text(double x, double y, std::string_view text) {
  return "<text transform=\"translate(" + number(x) + " " + number(y) + ") rotate(-90)\" text-anchor=\"middle\">" +
         escaped(text) + "</text>\n";
}

std::string stroke(std::size_t index) {
  return std::string("stroke=\"") + kColours[index % kColours.size()] + "\" stroke-dasharray=\"" +
         kDashes[index / kColours.size() % kDashes.size()] + "\"";
}

std::string polyline(const std::string& points, const std::string& stroke) {
  return "<polyline fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" " + stroke + " points=\"" + points +
         "\"/>\n";
}

std::string document(double width, double height, const std::string& body) {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " + number(height) +
         "\" width=\"" + number(width) + "\" height=\"" + number(height) +
         "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" fill=\"#222222\">\n" +
         "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" + body + "</svg>\n";
}

}  // namespace outsole::report::svg
