#include "report/score_context.h"

#include <algorithm>
#include <cmath>

namespace outsole::report {

std::optional<ScoreContext> context_of(std::span<const float> scores, std::int64_t bins) {
  std::vector<float> values;
  for (const float score : scores) {
    if (std::isfinite(score)) values.push_back(score);
  }
  if (values.empty()) return std::nullopt;
  ScoreContext context;
  context.level = retrieval::level_of(values);
  const auto [least, most] = std::ranges::minmax(values);
  context.least = least;
  context.most = most;
  context.counts.assign(static_cast<std::size_t>(bins), 0);
  const double width = (context.most - context.least) / static_cast<double>(bins);
  for (const double value : values) {
    const auto bin = width > 0 ? static_cast<std::int64_t>((value - context.least) / width) : 0;
    ++context.counts[static_cast<std::size_t>(std::min(bin, bins - 1))];
  }
  return context;
}

std::int64_t place_among(std::span<const float> scores, double score) {
  return std::ranges::count_if(scores, [&](float other) { return static_cast<double>(other) >= score; });
}

std::optional<double> spreads_above(const retrieval::ScoreLevel& level, double score) {
  if (!(level.spread > 0) || !std::isfinite(score)) return std::nullopt;
  return (score - level.median) / level.spread;
}

}  // namespace outsole::report
