#include "report/cmc_figure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "core/errors.h"

namespace outsole::report {

namespace {

constexpr double kWidth = 720, kHeight = 460;
constexpr double kLeft = 66, kRight = 24, kTop = 48, kBottom = 56;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;

// Okabe and Ito's colours, which people with colour blindness tell apart.
constexpr std::array<const char*, 7> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#e69f00", "#56b4e9", "#000000"};
constexpr std::array<const char*, 3> kDashes{"none", "7 4", "2 3"};

/// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` begins with; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  const bool is_overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool is_no_character = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  if (is_overlong || is_no_character) return 0;
  if (first >= 0xE0 && first <= 0xEF) return continues(1) && continues(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4) return continues(1) && continues(2) && continues(3) ? 4 : 0;
  return 0;
}

/// Text as XML content or attribute: markup escaped; control characters and broken UTF-8, which XML forbids, become
/// '?'.
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

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
         "\" stroke=\"" + colour + "\"/>\n";
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const char* extra = "") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\" " + extra + ">" +
         escaped(text) + "</text>\n";
}

/// The axis of ranks: 1 at the left, max_rank at the right.
struct RankAxis {
  std::int64_t max_rank;
  bool logarithmic;

  double x(double rank) const {
    if (max_rank == 1) return kLeft;
    const double last = static_cast<double>(max_rank);
    const double share = logarithmic ? std::log(rank) / std::log(last) : (rank - 1) / (last - 1);
    return kLeft + kPlotWidth * share;
  }

  std::vector<std::int64_t> ticks() const {
    std::vector<std::int64_t> ticks{1};
    if (logarithmic) {
      for (std::int64_t decade = 1; decade <= max_rank; decade *= 10) {
        for (const std::int64_t step : {2, 5, 10}) {
          if (decade * step <= max_rank) ticks.push_back(decade * step);
        }
      }
      return ticks;
    }
    const double raw_step = static_cast<double>(max_rank) / 8;
    const double decade = std::pow(10, std::floor(std::log10(std::max(raw_step, 1.0))));
    const double nice = raw_step / decade <= 2 ? 2 : raw_step / decade <= 5 ? 5 : 10;
    const auto step = raw_step <= 1 ? std::int64_t{1} : static_cast<std::int64_t>(nice * decade);
    for (std::int64_t tick = std::max<std::int64_t>(step, 2); tick <= max_rank; tick += step) ticks.push_back(tick);
    return ticks;
  }
};

double y_of(double percent) { return kTop + kPlotHeight * (1 - percent / 100); }

std::string axes(const RankAxis& axis) {
  std::string svg;
  for (int percent = 0; percent <= 100; percent += 20) {
    svg += line(kLeft, y_of(percent), kLeft + kPlotWidth, y_of(percent), "#e2e2e2");
    svg += text_at(kLeft - 8, y_of(percent) + 4, "end", std::to_string(percent));
  }
  for (const std::int64_t tick : axis.ticks()) {
    const double x = axis.x(static_cast<double>(tick));
    svg += line(x, kTop, x, kTop + kPlotHeight, "#e2e2e2");
    svg += text_at(x, kTop + kPlotHeight + 18, "middle", std::to_string(tick));
  }
  svg += line(kLeft, kTop, kLeft, kTop + kPlotHeight, "#333333");
  svg += line(kLeft, kTop + kPlotHeight, kLeft + kPlotWidth, kTop + kPlotHeight, "#333333");
  svg += text_at(kLeft + kPlotWidth / 2, kHeight - 14, "middle", "rank k of the candidate list");
  const std::string y = number(kTop + kPlotHeight / 2);
  svg += "<text transform=\"translate(18 " + y + ") rotate(-90)\" text-anchor=\"middle\">" +
         "marks whose exemplar is within the first k (%)</text>\n";
  return svg;
}

/// A step curve: the share holds from rank k until the next rank. Ranks that change nothing are left out.
std::string polyline(const CmcCurve& curve, const RankAxis& axis, const std::string& stroke) {
  std::string points;
  const auto add = [&](double rank, double percent) {
    points += number(axis.x(rank)) + "," + number(y_of(percent)) + " ";
  };
  for (std::size_t i = 0; i < curve.percent.size(); ++i) {
    const double rank = static_cast<double>(i + 1);
    const bool is_step = i > 0 && curve.percent[i] != curve.percent[i - 1];
    if (is_step) add(rank, curve.percent[i - 1]);
    if (is_step || i == 0 || i + 1 == curve.percent.size()) add(rank, curve.percent[i]);
  }
  return "<polyline fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" " + stroke + " points=\"" + points +
         "\"/>\n";
}

std::string stroke_of(std::size_t index) {
  return std::string("stroke=\"") + kColours[index % kColours.size()] + "\" stroke-dasharray=\"" +
         kDashes[index / kColours.size() % kDashes.size()] + "\"";
}

/// The legend, at the lower right, where a cumulative curve does not pass.
std::string legend(std::span<const CmcCurve> curves) {
  std::size_t longest = 0;
  for (const CmcCurve& curve : curves) longest = std::max(longest, curve.name.size());
  const double width = 56 + 7.2 * static_cast<double>(longest), height = 12 + 19 * static_cast<double>(curves.size());
  const double left = kLeft + kPlotWidth - width - 10, top = kTop + kPlotHeight - height - 10;
  std::string svg = "<rect x=\"" + number(left) + "\" y=\"" + number(top) + "\" width=\"" + number(width) +
                    "\" height=\"" + number(height) + "\" fill=\"#ffffff\" fill-opacity=\"0.9\" stroke=\"#cccccc\"/>\n";
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const double y = top + 16 + 19 * static_cast<double>(i);
    svg += "<line stroke-width=\"2\" " + stroke_of(i) + " x1=\"" + number(left + 10) + "\" y1=\"" + number(y) +
           "\" x2=\"" + number(left + 38) + "\" y2=\"" + number(y) + "\"/>\n";
    svg += text_at(left + 46, y + 4, "start", curves[i].name);
  }
  return svg;
}

}  // namespace

std::string cmc_figure(std::span<const CmcCurve> curves, const CmcFigureOptions& options) {
  ensure(!curves.empty(), "a figure needs a curve");
  std::size_t max_rank = 0;
  for (const CmcCurve& curve : curves) {
    ensure(!curve.percent.empty(), "a curve needs points");
    max_rank = std::max(max_rank, curve.percent.size());
  }
  const RankAxis axis{static_cast<std::int64_t>(max_rank), options.log_rank};
  const std::string size = number(kWidth) + " " + number(kHeight);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size + "\" width=\"" + number(kWidth) +
                    "\" height=\"" + number(kHeight) +
                    "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" " +
                    "fill=\"#222222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  svg += text_at(kLeft, 28, "start", options.title, "font-size=\"16\" font-weight=\"bold\"");
  svg += axes(axis);
  for (std::size_t i = 0; i < curves.size(); ++i) svg += polyline(curves[i], axis, stroke_of(i));
  svg += legend(curves);
  return svg + "</svg>\n";
}

}  // namespace outsole::report
