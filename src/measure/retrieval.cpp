#include "measure/retrieval.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "core/errors.h"

namespace outsole::measure {

namespace {

bool is_found(const MarkRanks& mark, std::int64_t k) { return !mark.ranks.empty() && mark.ranks.front() <= k; }

/// counts[k - 1]: how many of `ranks` are exactly k, for k up to max_rank.
std::vector<std::int64_t> count_by_rank(std::span<const std::int64_t> ranks, std::int64_t max_rank) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(max_rank), 0);
  for (const std::int64_t rank : ranks) {
    if (rank <= max_rank) ++counts[static_cast<std::size_t>(rank - 1)];
  }
  return counts;
}

/// Probability that none of `relevant` is within the first k of a random order: C(N - R, k) / C(N, k).
double chance_of_missing_all(std::int64_t relevant, std::int64_t exemplars, std::int64_t k) {
  double missing = 1;
  for (std::int64_t i = 0; i < relevant; ++i) {
    missing *= static_cast<double>(std::max<std::int64_t>(0, exemplars - k - i)) / static_cast<double>(exemplars - i);
  }
  return missing;
}

/// 1 + 1/2 + ... + 1/n, from the small terms up.
double harmonic_number(std::int64_t n) {
  double sum = 0;
  for (std::int64_t k = n; k >= 1; --k) sum += 1 / static_cast<double>(k);
  return sum;
}

/// Of `relevant` exemplars in a random order of `exemplars`, whose harmonic number is given.
double expected_average_precision(std::int64_t relevant, std::int64_t exemplars, double harmonic) {
  if (exemplars == 1) return 1;
  const double n = static_cast<double>(exemplars), r = static_cast<double>(relevant);
  return (r - 1) / (n - 1) + (n - r) / (n * (n - 1)) * harmonic;
}

}  // namespace

std::int64_t rank_of(std::span<const float> scores, std::int64_t position) {
  ensure(position >= 0 && position < std::ssize(scores), "the exemplar has a score");
  const float own = scores[static_cast<std::size_t>(position)];
  std::int64_t rank = 1;
  for (std::int64_t other = 0; other < std::ssize(scores); ++other) {
    const float score = scores[static_cast<std::size_t>(other)];
    const bool same = score == own || (std::isnan(score) && std::isnan(own));
    const bool better = score > own || (std::isnan(own) && !std::isnan(score));
    if (better || (same && other < position)) ++rank;
  }
  return rank;
}

WorstRanks worst_ranks_of(std::span<const float> scores, std::span<const std::int64_t> positions, bool is_cut) {
  std::map<float, std::int64_t, std::greater<>> own;  // how many of them have a score
  for (const std::int64_t position : positions) {
    ensure(position >= 0 && position < std::ssize(scores), "the exemplar has a score");
    const float score = scores[static_cast<std::size_t>(position)];
    if (!std::isnan(score)) ++own[score];
  }
  WorstRanks worst;
  for (const auto& [score, count] : own) {
    const std::int64_t better = std::ranges::count_if(scores, [score = score](float other) { return other > score; });
    const std::int64_t same = std::ranges::count(scores, score);
    const bool may_go_on = is_cut && !(scores.back() < score);
    worst.is_tied = worst.is_tied || same > count || may_go_on;
    for (std::int64_t i = 1; i <= count && !may_go_on; ++i) worst.ranks.push_back(better + same - count + i);
  }
  return worst;
}

double found_percent(std::span<const MarkRanks> marks, std::int64_t k) {
  ensure(!marks.empty(), "a share needs marks");
  const auto found =
      std::count_if(marks.begin(), marks.end(), [k](const MarkRanks& mark) { return is_found(mark, k); });
  return 100.0 * static_cast<double>(found) / static_cast<double>(marks.size());
}

std::vector<double> cumulative_match_percent(std::span<const MarkRanks> marks, std::int64_t max_rank) {
  ensure(!marks.empty(), "a share needs marks");
  std::vector<std::int64_t> first_ranks;
  for (const MarkRanks& mark : marks) {
    if (!mark.ranks.empty()) first_ranks.push_back(mark.ranks.front());
  }
  std::vector<double> percent;
  std::int64_t found = 0;
  for (const std::int64_t count : count_by_rank(first_ranks, max_rank)) {
    found += count;
    percent.push_back(100.0 * static_cast<double>(found) / static_cast<double>(marks.size()));
  }
  return percent;
}

bool all_found(std::span<const MarkRanks> marks) {
  return std::all_of(marks.begin(), marks.end(),
                     [](const MarkRanks& mark) { return std::ssize(mark.ranks) == mark.relevant; });
}

double average_precision(const MarkRanks& mark) {
  ensure(mark.relevant > 0, "average precision needs a true exemplar");
  double sum = 0;
  for (std::size_t i = 0; i < mark.ranks.size(); ++i) {
    sum += static_cast<double>(i + 1) / static_cast<double>(mark.ranks[i]);
  }
  return sum / static_cast<double>(mark.relevant);
}

MeanAveragePrecision mean_average_precision(std::span<const MarkRanks> marks) {
  ensure(!marks.empty(), "a mean needs marks");
  const double count = static_cast<double>(marks.size());
  double sum = 0;
  for (const MarkRanks& mark : marks) sum += average_precision(mark);
  const double mean = sum / count;
  if (marks.size() == 1) return {mean, 0};
  double squares = 0;
  for (const MarkRanks& mark : marks) squares += std::pow(average_precision(mark) - mean, 2);
  return {mean, std::sqrt(squares / (count - 1) / count)};
}

PrecisionRecall precision_recall(std::span<const MarkRanks> marks, std::int64_t max_rank) {
  std::vector<std::int64_t> ranks;
  std::int64_t relevant = 0;
  for (const MarkRanks& mark : marks) {
    ranks.insert(ranks.end(), mark.ranks.begin(), mark.ranks.end());
    relevant += mark.relevant;
  }
  ensure(relevant > 0, "recall needs true exemplars");
  PrecisionRecall curve;
  std::int64_t hits = 0, taken = 0;
  for (const std::int64_t count : count_by_rank(ranks, max_rank)) {
    hits += count;
    taken += std::ssize(marks);
    curve.precision_percent.push_back(100.0 * static_cast<double>(hits) / static_cast<double>(taken));
    curve.recall_percent.push_back(100.0 * static_cast<double>(hits) / static_cast<double>(relevant));
  }
  return curve;
}

double standard_error_percent(double percent, std::int64_t count) {
  ensure(count > 0, "a standard error needs marks");
  const double share = percent / 100;
  return 100 * std::sqrt(share * (1 - share) / static_cast<double>(count));
}

PercentInterval wilson_interval_percent(std::int64_t hits, std::int64_t count) {
  ensure(count >= 1 && hits >= 0 && hits <= count, "a share is of marks");
  constexpr double kZ = 1.959963984540054;
  const double n = static_cast<double>(count), p = static_cast<double>(hits) / n, z2 = kZ * kZ / n;
  const double middle = (p + z2 / 2) / (1 + z2);
  const double half = std::sqrt(z2 * p * (1 - p) + z2 * z2 / 4) / (1 + z2);
  // At the ends the equation says exactly 0 and 1; its rounded terms do not.
  return {hits == 0 ? 0 : 100 * (middle - half), hits == count ? 100 : 100 * (middle + half)};
}

double chance_found_percent(std::span<const MarkRanks> marks, std::int64_t exemplars, std::int64_t k) {
  ensure(!marks.empty(), "a mean needs marks");
  double sum = 0;
  for (const MarkRanks& mark : marks) sum += 1 - chance_of_missing_all(mark.relevant, exemplars - mark.excluded, k);
  return 100 * sum / static_cast<double>(marks.size());
}

double chance_mean_average_precision(std::span<const MarkRanks> marks, std::int64_t exemplars) {
  ensure(!marks.empty() && exemplars > 0, "a mean needs marks and exemplars");
  std::map<std::int64_t, double> harmonic_of;  // marks have few different numbers of exemplars
  double sum = 0;
  for (const MarkRanks& mark : marks) {
    const std::int64_t searched = exemplars - mark.excluded;
    const auto [harmonic, is_new] = harmonic_of.try_emplace(searched, 0);
    if (is_new) harmonic->second = harmonic_number(searched);
    sum += expected_average_precision(mark.relevant, searched, harmonic->second);
  }
  return sum / static_cast<double>(marks.size());
}

}  // namespace outsole::measure
