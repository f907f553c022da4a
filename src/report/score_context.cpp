#include "report/score_context.h"

#include <algorithm>
#include <cmath>

namespace outsole::report {

namespace {

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

std::optional<ScoreContext> context_of(std::span<const float> scores, std::int64_t bins) {
  std::vector<double> values;
  for (const float score : scores) {
    if (std::isfinite(score)) values.push_back(score);
  }
  if (values.empty()) return std::nullopt;
  ScoreContext context;
  context.compared = std::ssize(values);
  context.median = median_of(values);
  const auto [least, most] = std::ranges::minmax(values);
  context.least = least;
  context.most = most;
  context.counts.assign(static_cast<std::size_t>(bins), 0);
  const double width = (most - least) / static_cast<double>(bins);
  for (const double value : values) {
    const auto bin = width > 0 ? static_cast<std::int64_t>((value - least) / width) : 0;
    ++context.counts[static_cast<std::size_t>(std::min(bin, bins - 1))];
  }
  for (double& value : values) value = std::abs(value - context.median);
  constexpr double kOfBellShaped = 1.4826;
  context.spread = kOfBellShaped * median_of(std::move(values));
  return context;
}

std::int64_t place_among(std::span<const float> scores, double score) {
  return std::ranges::count_if(scores, [&](float other) { return static_cast<double>(other) >= score; });
}

std::optional<double> spreads_above(const ScoreContext& context, double score) {
  if (!(context.spread > 0) || !std::isfinite(score)) return std::nullopt;
  return (score - context.median) / context.spread;
}

}  // namespace outsole::report
