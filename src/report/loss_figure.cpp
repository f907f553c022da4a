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

constexpr double kLossWidth = 720, kLossHeight = 460;
constexpr plot::Area kLossArea{80, 48, kLossWidth - 80 - 24, kLossHeight - 48 - 56};

/// A logarithm knows no zero: a loss that was rounded to it is left out.
bool can_be_shown(double loss) { return loss > 0; }

/// Epochs across, 0 at the left, so that about six ticks fit.
plot::Axis epoch_axis(std::span<const LossPoint> points) {
  plot::Axis axis{"epoch", 0, 1, false, {}, true};
  for (const LossPoint& point : points) axis.most = std::max(axis.most, point.epoch);
  const double step = plot::round_step(std::max(axis.most / 6, 1.0));
  for (double epoch = 0; epoch <= axis.most; epoch += step) {
    axis.ticks.push_back({epoch, std::to_string(static_cast<std::int64_t>(epoch))});
  }
  return axis;
}

/// The exponents of the whole decades around the losses.
std::pair<int, int> decades_around(std::span<const LossPoint> points) {
  std::vector<double> losses;
  for (const LossPoint& point : points) {
    if (can_be_shown(point.loss)) losses.push_back(point.loss);
    if (point.held_out_loss && can_be_shown(*point.held_out_loss)) losses.push_back(*point.held_out_loss);
  }
  if (losses.empty()) return {-1, 0};
  const auto [least, most] = std::ranges::minmax(losses);
  const int low = static_cast<int>(std::floor(std::log10(least)));
  return {low, std::max(low + 1, static_cast<int>(std::ceil(std::log10(most))))};
}

/// Losses upwards, in whole decades, with lines at 1, 2 and 5 of each.
plot::Axis loss_axis(std::span<const LossPoint> points) {
  const auto [least, most] = decades_around(points);
  plot::Axis axis{"mean squared difference, grey in [0, 1]", std::pow(10, least), std::pow(10, most), true, {}, true};
  for (int decade = least; decade <= most; ++decade) {
    for (const int step : {1, 2, 5}) {
      if (decade == most && step > 1) break;
      const double loss = step * std::pow(10, decade);
      char label[32];
      std::snprintf(label, sizeof label, "%g", loss);
      axis.ticks.push_back({loss, label});
    }
  }
  return axis;
}

/// More points than pixels only make the file large: of each run of `stride` the last one is drawn.
template <typename Loss>
std::string curve(std::span<const LossPoint> points, const plot::Chart& chart, std::size_t index, Loss loss_of) {
  std::vector<plot::Point> known, drawn;
  for (const LossPoint& point : points) {
    const std::optional<double> loss = loss_of(point);
    if (loss && can_be_shown(*loss)) known.push_back({point.epoch, *loss});
  }
  const std::size_t stride = 1 + known.size() / static_cast<std::size_t>(2 * chart.area.width);
  for (std::size_t i = 0; i < known.size(); ++i) {
    if ((known.size() - 1 - i) % stride == 0) drawn.push_back(known[i]);
  }
  return plot::curve(chart, drawn, index);
}

/// A line where images of another size begin, with the size.
std::string sizes(std::span<const LossPoint> points, const plot::Chart& chart) {
  std::string body, size;
  double epoch = 0;  // of the point before
  for (const LossPoint& point : points) {
    if (point.size != size) {
      const double x = chart.x(epoch);
      body += svg::line(x, chart.area.top, x, chart.area.bottom(), "#888888");
      body += svg::text(x + 4, chart.area.top + 14, "start", point.size);
      size = point.size;
    }
    epoch = point.epoch;
  }
  return body;
}

std::string legend_entry(std::size_t index, const char* name) {
  return plot::legend_entry(kLossArea.right() - 190, kLossArea.top + 20 + 20 * static_cast<double>(index), index, name);
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
  const plot::Chart chart{kLossArea, epoch_axis(points), loss_axis(points), 62};
  std::string body = plot::title(kLossArea, title) + plot::frame(chart) + sizes(points, chart);
  body += curve(points, chart, 0, [](const LossPoint& point) { return std::optional(point.loss); });
  body += curve(points, chart, 1, [](const LossPoint& point) { return point.held_out_loss; });
  return svg::document(kLossWidth, kLossHeight,
                       body + legend_entry(0, "training pairs") + legend_entry(1, "held-out pairs"));
}

}  // namespace outsole::report
