#pragma once
// How a score stands among those of all exemplars: what can be said without knowing the truth.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "retrieval/score_meaning.h"

namespace outsole::report {

/// The scores of one mark against all exemplars, in short.
struct ScoreContext {
  retrieval::ScoreLevel level;  // of the exemplars that have a score: median, spread, how many
  double least = 0, most = 0;
  std::vector<std::int64_t> counts;  // of scores in bins of equal width from `least` to `most`
};

/// Scores that are no numbers (exemplars that were left out) do not count. Nothing without any.
std::optional<ScoreContext> context_of(std::span<const float> scores, std::int64_t bins);

/// The place of `score`, of equal scores the last one: how many are not below it.
std::int64_t place_among(std::span<const float> scores, double score);

/// How many spreads a score lies above the median; nothing where all scores are alike.
std::optional<double> spreads_above(const retrieval::ScoreLevel& level, double score);

}  // namespace outsole::report
