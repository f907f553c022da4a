#pragma once
// How well ranked lists find what they should: pure functions of ranks. Percent everywhere a share is reported.

#include <cstdint>
#include <span>
#include <vector>

namespace outsole::measure {

/// Where the true exemplars of one mark came in its list. An exemplar beyond the end of a truncated list has no rank:
/// it counts as not found.
struct MarkRanks {
  std::vector<std::int64_t> ranks;  // of the true exemplars found, ascending, 1 is the best
  std::int64_t relevant = 0;        // how many true exemplars the mark has among those searched, found or not
  std::int64_t excluded = 0;        // how many exemplars count as not in the database for this mark
  bool is_tied = false;             // a true exemplar has the score of one that is not
};

/// The rank (1 is the best) of exemplar `position` in a row of scores, higher is better. Among equal scores the lower
/// position comes first; NaN comes after every number.
std::int64_t rank_of(std::span<const float> scores, std::int64_t position);

/// The ranks of the exemplars at `positions`, ascending, in the worst order that the scores allow: of equal scores all
/// others come first. An exemplar whose score is NaN has no rank. Beyond a list that holds only the first of more
/// (`is_cut`) there may be others with its last score: so whoever has that has no rank, either.
struct WorstRanks {
  std::vector<std::int64_t> ranks;
  bool is_tied = false;  // one of them has, or may have, the score of an exemplar that is none of them
};
WorstRanks worst_ranks_of(std::span<const float> scores, std::span<const std::int64_t> positions, bool is_cut = false);

/// Share of the marks that have a true exemplar within the first `k`, in percent. Throws Bug without marks.
double found_percent(std::span<const MarkRanks> marks, std::int64_t k);

/// The cumulative match characteristic: found_percent for k = 1..max_rank.
std::vector<double> cumulative_match_percent(std::span<const MarkRanks> marks, std::int64_t max_rank);

/// The k of "within the first p percent": ceil(p / 100 * exemplars), computed in integers.
constexpr std::int64_t rank_of_top_percent(std::int64_t percent, std::int64_t exemplars) {
  return (percent * exemplars + 99) / 100;
}

/// True when every true exemplar of every mark was found, so that average precision is known.
bool all_found(std::span<const MarkRanks> marks);

/// Mean over the true exemplars of the precision at their ranks (Manning, Raghavan, Schuetze 2008, eq. 8.8), in [0, 1].
/// Exemplars not found count with precision 0.
double average_precision(const MarkRanks& mark);

/// Mean of average_precision over the marks, and the standard error of that mean (0 for a single mark).
struct MeanAveragePrecision {
  double mean = 0;
  double standard_error = 0;
};
MeanAveragePrecision mean_average_precision(std::span<const MarkRanks> marks);

/// Precision and recall in percent when the first k of every list are taken, k = 1..max_rank, pooled over marks:
/// precision = hits / (marks k), recall = hits / true exemplars.
struct PrecisionRecall {
  std::vector<double> precision_percent;
  std::vector<double> recall_percent;
};
PrecisionRecall precision_recall(std::span<const MarkRanks> marks, std::int64_t max_rank);

/// Standard error of a share estimated from `count` independent marks, sqrt(p (1 - p) / n), in percent.
double standard_error_percent(double percent, std::int64_t count);

/// Where a share estimated from `hits` of `count` independent marks may lie, in percent: the 95% interval of Wilson
/// 1927, which has a width for 0 of 3 and 3 of 3, too. Throws Bug unless 0 <= hits <= count and count >= 1.
struct PercentInterval {
  double low = 0, high = 0;
};
PercentInterval wilson_interval_percent(std::int64_t hits, std::int64_t count);

/// What a random order reaches: the mean chance over marks that one of `relevant` is within the first k of `exemplars`,
/// of which a mark's `excluded` are left out.
double chance_found_percent(std::span<const MarkRanks> marks, std::int64_t exemplars, std::int64_t k);

/// Mean average precision expected of a random order of `exemplars` without those `excluded` (Bestgen 2015, Exact
/// expected average precision of the random baseline), in [0, 1].
double chance_mean_average_precision(std::span<const MarkRanks> marks, std::int64_t exemplars);

}  // namespace outsole::measure
