#include "report/loss_figure.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "core/csv.h"
#include "core/errors.h"
#include "report/plot.h"
#include "report/svg.h"

namespace outsole::report {

namespace {

constexpr double kWidth = 720, kHeight = 460;
constexpr double kLeft = 80, kRight = 24, kTop = 48, kBottom = 56;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr plot::Area kArea{kLeft, kTop, kPlotWidth, kPlotHeight};

/// Epochs across, 0 at the left.
struct EpochAxis {
  double last = 1;

  double x(double epoch) const { return kLeft + kPlotWidth * epoch / last; }

  /// So that about six ticks fit.
  double step() const { return plot::round_step(std::max(last / 6, 1.0)); }
};

/// Losses upwards, in whole decades.
struct LossAxis {
  int least_decade = -1, most_decade = 0;

  double y(double loss) const {
    const double share = (std::log10(loss) - least_decade) / (most_decade - least_decade);
    return kTop + kPlotHeight * (1 - share);
  }
};

/// A logarithm knows no zero: a loss that was rounded to it is left out.
bool can_be_shown(double loss) { return loss > 0; }

LossAxis axis_around(std::span<const LossPoint> points) {
  std::vector<double> losses;
  for (const LossPoint& point : points) {
    if (can_be_shown(point.loss)) losses.push_back(point.loss);
    if (point.held_out_loss && can_be_shown(*point.held_out_loss)) losses.push_back(*point.held_out_loss);
  }
  if (losses.empty()) return {};
  const auto [least, most] = std::ranges::minmax(losses);
  const int low = static_cast<int>(std::floor(std::log10(least)));
  return {low, std::max(low + 1, static_cast<int>(std::ceil(std::log10(most))))};
}

/// Lines at 1, 2 and 5 of each decade.
std::string loss_grid(const LossAxis& axis) {
  std::string body;
  for (int decade = axis.least_decade; decade <= axis.most_decade; ++decade) {
    for (const int step : {1, 2, 5}) {
      if (decade == axis.most_decade && step > 1) break;
      const double loss = step * std::pow(10, decade);
      char label[32];
      std::snprintf(label, sizeof label, "%g", loss);
      body += plot::row(kArea, axis.y(loss), label);
    }
  }
  return body;
}

std::string axes(const EpochAxis& across, const LossAxis& upwards) {
  std::string body = loss_grid(upwards);
  for (double epoch = 0; epoch <= across.last; epoch += across.step()) {
    body += plot::column(kArea, across.x(epoch), std::to_string(static_cast<std::int64_t>(epoch)));
  }
  body += plot::axes(kArea);
  body += svg::text(kLeft + kPlotWidth / 2, kHeight - 14, "middle", "epoch");
  return body + svg::upward_text(18, kTop + kPlotHeight / 2, "mean squared difference, grey in [0, 1]");
}

/// More points than pixels only make the file large: of each run of `stride` the last one is drawn.
template <typename Loss>
std::string curve(std::span<const LossPoint> points, const EpochAxis& across, const LossAxis& upwards,
                  std::size_t index, Loss loss_of) {
  std::vector<std::string> corners;
  for (const LossPoint& point : points) {
    const std::optional<double> loss = loss_of(point);
    if (!loss || !can_be_shown(*loss)) continue;
    corners.push_back(svg::number(across.x(point.epoch)) + "," + svg::number(upwards.y(*loss)) + " ");
  }
  const std::size_t stride = 1 + corners.size() / static_cast<std::size_t>(2 * kPlotWidth);
  std::string text;
  for (std::size_t i = 0; i < corners.size(); ++i) {
    if ((corners.size() - 1 - i) % stride == 0) text += corners[i];
  }
  return svg::polyline(text, svg::stroke(index));
}

/// A line where images of another size begin, with the size.
std::string sizes(std::span<const LossPoint> points, const EpochAxis& across) {
  std::string body, size;
  double epoch = 0;  // of the point before
  for (const LossPoint& point : points) {
    if (point.size != size) {
      const double x = across.x(epoch);
      body += svg::line(x, kTop, x, kTop + kPlotHeight, "#888888");
      body += svg::text(x + 4, kTop + 14, "start", point.size);
      size = point.size;
    }
    epoch = point.epoch;
  }
  return body;
}

std::string legend_entry(std::size_t index, const char* name) {
  return plot::legend_entry(kArea.right() - 190, kTop + 20 + 20 * static_cast<double>(index), index, name);
}

double number_in(const CsvTable& table, std::size_t row, std::size_t column) {
  const std::string& text = table.rows[row][column];
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(value) && value >= 0) return value;
  throw DataError(table.path.string() + ", row " + std::to_string(row + 1) + ", column '" + table.columns[column] +
                  "': '" + text + "' is no loss or epoch");
}

}  // namespace

std::vector<LossPoint> read_losses(const std::filesystem::path& history) {
  const CsvTable table = read_csv(history);
  const std::size_t epoch = table.column("epoch"), loss = table.column("loss"),
                    held_out_loss = table.column("held_out_loss");
  const std::optional<std::size_t> size = table.find_column("size");
  std::vector<LossPoint> points;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    LossPoint point{number_in(table, row, epoch), number_in(table, row, loss), std::nullopt, {}};
    if (!table.rows[row][held_out_loss].empty()) point.held_out_loss = number_in(table, row, held_out_loss);
    if (size) point.size = table.rows[row][*size];
    points.push_back(point);
  }
  return points;
}

std::string loss_figure(std::span<const LossPoint> points, const std::string& title) {
  ensure(!points.empty(), "a figure needs points");
  EpochAxis across;
  for (const LossPoint& point : points) across.last = std::max(across.last, point.epoch);
  const LossAxis upwards = axis_around(points);
  std::string body = svg::text(kLeft, 28, "start", title, "font-size=\"16\" font-weight=\"bold\"");
  body += axes(across, upwards);
  body += sizes(points, across);
  body += curve(points, across, upwards, 0, [](const LossPoint& point) { return std::optional(point.loss); });
  body += curve(points, across, upwards, 1, [](const LossPoint& point) { return point.held_out_loss; });
  return svg::document(kWidth, kHeight, body + legend_entry(0, "training pairs") + legend_entry(1, "held-out pairs"));
}

}  // namespace outsole::report
