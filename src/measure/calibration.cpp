#include "measure/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "core/errors.h"

namespace outsole::measure {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double sum_of(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

void check_class(const WeightedValues& pairs) {
  ensure(!pairs.values.empty() && pairs.values.size() == pairs.weights.size(), "each class has pairs with weights");
  for (const double weight : pairs.weights) ensure(weight > 0 && std::isfinite(weight), "weights are above 0");
  for (const double value : pairs.values) ensure(!std::isnan(value), "a score is a number");
}

void check(const KnownPairs& pairs) {
  check_class(pairs.matches);
  check_class(pairs.non_matches);
}

/// The weighted mean of `cost` over a class.
template <typename Cost>
double mean_of(const WeightedValues& pairs, Cost cost) {
  double sum = 0;
  for (std::size_t i = 0; i < pairs.values.size(); ++i) sum += pairs.weights[i] * cost(pairs.values[i]);
  return sum / sum_of(pairs.weights);
}

/// log2(1 + 10^x) for any x.
double log2_of_1_plus_10_to(double x) {
  const double e = x * std::numbers::ln10;
  return (std::max(e, 0.0) + std::log1p(std::exp(-std::abs(e)))) / std::numbers::ln2;
}

/// Newton's step of two parameters needs the gradient and the second derivatives of the cost.
struct LogisticSums {
  double cost = 0;
  double gradient_0 = 0, gradient_1 = 0;
  double curvature_00 = 0, curvature_01 = 0, curvature_11 = 0;
};

void add_class(const WeightedValues& pairs, double target, double intercept, double slope, LogisticSums& sums) {
  const double scale = 0.5 / sum_of(pairs.weights);
  for (std::size_t i = 0; i < pairs.values.size(); ++i) {
    const double x = pairs.values[i], weight = scale * pairs.weights[i], t = intercept + slope * x;
    const double e = std::exp(-std::abs(t)), p = t >= 0 ? 1 / (1 + e) : e / (1 + e);
    sums.cost += weight * (std::max(t, 0.0) + std::log1p(e) - target * t);
    const double residual = weight * (p - target), curvature = weight * p * (1 - p);
    sums.gradient_0 += residual;
    sums.gradient_1 += residual * x;
    sums.curvature_00 += curvature;
    sums.curvature_01 += curvature * x;
    sums.curvature_11 += curvature * x * x;
  }
}

struct Block {
  double low, high, match, non_match;

  double share() const { return match / (match + non_match); }
};

/// Distinct scores, ascending, with what weighs of each class there; each class weighs 1.
std::vector<Block> distinct_scores(const KnownPairs& scores) {
  std::vector<Block> blocks;
  const double matches = sum_of(scores.matches.weights), non_matches = sum_of(scores.non_matches.weights);
  for (std::size_t i = 0; i < scores.matches.values.size(); ++i) {
    const double score = scores.matches.values[i];
    blocks.push_back({score, score, scores.matches.weights[i] / matches, 0});
  }
  for (std::size_t i = 0; i < scores.non_matches.values.size(); ++i) {
    const double score = scores.non_matches.values[i];
    blocks.push_back({score, score, 0, scores.non_matches.weights[i] / non_matches});
  }
  std::ranges::stable_sort(blocks, {}, &Block::low);
  std::vector<Block> distinct;
  for (const Block& block : blocks) {
    if (!distinct.empty() && distinct.back().low == block.low) {
      distinct.back().match += block.match;
      distinct.back().non_match += block.non_match;
    } else {
      distinct.push_back(block);
    }
  }
  return distinct;
}

std::vector<Block> pooled(const KnownPairs& scores) {
  std::vector<Block> blocks;
  for (Block next : distinct_scores(scores)) {
    while (!blocks.empty() && blocks.back().share() >= next.share()) {
      next = {blocks.back().low, next.high, blocks.back().match + next.match, blocks.back().non_match + next.non_match};
      blocks.pop_back();
    }
    blocks.push_back(next);
  }
  return blocks;
}

double log10_lr_of(const Block& block) {
  if (block.match == 0) return -kInfinity;
  return block.non_match == 0 ? kInfinity : std::log10(block.match / block.non_match);
}

/// Cross-entropy in bits of blocks at a prior: what certain blocks hold of the one class costs nothing.
double cross_entropy(const std::vector<Block>& blocks, double match_prior, double log10_odds) {
  double bits = 0;
  for (const Block& block : blocks) {
    const double log10_posterior = log10_lr_of(block) + log10_odds;
    if (block.match > 0) bits += match_prior * block.match * log2_of_1_plus_10_to(-log10_posterior);
    if (block.non_match > 0) bits += (1 - match_prior) * block.non_match * log2_of_1_plus_10_to(log10_posterior);
  }
  return bits;
}

double cross_entropy(const KnownPairs& log10_lrs, double match_prior, double log10_odds) {
  return match_prior * mean_of(log10_lrs.matches, [&](double lr) { return log2_of_1_plus_10_to(-lr - log10_odds); }) +
         (1 - match_prior) *
             mean_of(log10_lrs.non_matches, [&](double lr) { return log2_of_1_plus_10_to(lr + log10_odds); });
}

double share_from(const WeightedValues& pairs, double threshold) {
  return mean_of(pairs, [&](double lr) { return lr >= threshold ? 1.0 : 0.0; });
}

/// The upper bound: a threshold t >= 1 costs (missed + t false) against 1 without ratios; from 1 on, thresholds are as
/// good as that up to the first that is not.
double upper_bound(const std::vector<Block>& ascending, double added_match_share, double added_non_match_share) {
  double match = 0, non_match = 0;  // at or above the threshold
  for (const Block& block : ascending) {
    if (block.low > 0) match += block.match, non_match += block.non_match;
  }
  double passed = 0;  // thresholds up to here are as good
  for (const Block& block : ascending) {
    if (block.low <= 0) continue;
    const double supported = match <= 0 ? -kInfinity
                                        : std::log10(match / (1 + added_match_share) * (1 + added_non_match_share) /
                                                     (std::max(non_match, 0.0) + added_non_match_share));
    if (supported < block.low) return std::max(passed, supported);
    passed = block.low;
    match -= block.match;
    non_match -= block.non_match;
  }
  return passed;
}

}  // namespace

LogLrLine fit_logistic(const KnownPairs& scores, double n) {
  check(scores);
  ensure(n > 0, "a fit needs marks");
  const double target = (n + 1) / (n + 2);
  const auto sums_at = [&](double intercept, double slope) {
    LogisticSums sums;
    add_class(scores.matches, target, intercept, slope, sums);
    add_class(scores.non_matches, 1 - target, intercept, slope, sums);
    return sums;
  };
  double intercept = 0, slope = 0;
  LogisticSums sums = sums_at(intercept, slope);
  constexpr int kMostSteps = 100;
  constexpr double kSmall = 1e-10;
  for (int step = 0; step < kMostSteps; ++step) {
    const double ridge = 1e-12 * (sums.curvature_00 + sums.curvature_11);  // equal scores have no slope
    const double a = sums.curvature_00 + ridge, b = sums.curvature_01, c = sums.curvature_11 + ridge;
    const double determinant = a * c - b * b;
    const double change_0 = (c * sums.gradient_0 - b * sums.gradient_1) / determinant;
    const double change_1 = (a * sums.gradient_1 - b * sums.gradient_0) / determinant;
    double share = 1;
    LogisticSums next = sums_at(intercept - change_0, slope - change_1);
    while (!(next.cost <= sums.cost) && share > kSmall) {
      share /= 2;
      next = sums_at(intercept - share * change_0, slope - share * change_1);
    }
    if (!(next.cost <= sums.cost)) break;
    intercept -= share * change_0;
    slope -= share * change_1;
    const bool is_there = sums.cost - next.cost < kSmall * kSmall + 1e-15 * sums.cost;
    sums = next;
    if (is_there) break;
  }
  return {intercept / std::numbers::ln10, slope / std::numbers::ln10};
}

std::vector<PavBlock> pool_adjacent_violators(const KnownPairs& scores) {
  check(scores);
  std::vector<PavBlock> result;
  for (const Block& block : pooled(scores)) result.push_back({block.low, block.high, log10_lr_of(block)});
  return result;
}

double cllr(const KnownPairs& log10_lrs) {
  check(log10_lrs);
  return cross_entropy(log10_lrs, 0.5, 0);
}

double cllr_min(const KnownPairs& scores) {
  check(scores);
  return cross_entropy(pooled(scores), 0.5, 0);
}

EceCurves empirical_cross_entropy(const KnownPairs& log10_lrs, std::span<const double> log10_odds) {
  check(log10_lrs);
  const std::vector<Block> blocks = pooled(log10_lrs);
  EceCurves curves;
  for (const double odds : log10_odds) {
    const double prior = 1 / (1 + std::pow(10, -odds));
    curves.log10_odds.push_back(odds);
    curves.given.push_back(cross_entropy(log10_lrs, prior, odds));
    curves.best.push_back(cross_entropy(blocks, prior, odds));
    curves.neutral.push_back(prior * log2_of_1_plus_10_to(-odds) + (1 - prior) * log2_of_1_plus_10_to(odds));
  }
  return curves;
}

TippettCurves tippett(const KnownPairs& log10_lrs, std::span<const double> thresholds) {
  check(log10_lrs);
  TippettCurves curves;
  for (const double threshold : thresholds) {
    curves.thresholds.push_back(threshold);
    curves.matches_percent.push_back(100 * share_from(log10_lrs.matches, threshold));
    curves.non_matches_percent.push_back(100 * share_from(log10_lrs.non_matches, threshold));
  }
  return curves;
}

Misleading misleading(const KnownPairs& log10_lrs) {
  check(log10_lrs);
  return {100 * mean_of(log10_lrs.matches, [](double lr) { return lr < 0 ? 1.0 : 0.0; }),
          100 * mean_of(log10_lrs.non_matches, [](double lr) { return lr > 0 ? 1.0 : 0.0; })};
}

LrBounds empirical_bounds(const KnownPairs& log10_lrs, double added_match_share, double added_non_match_share) {
  check(log10_lrs);
  ensure(added_match_share > 0 && added_non_match_share > 0, "a pair more has a weight");
  // Seen from the other proposition the ratio is its inverse, and matches and non-matches change their parts.
  const auto negated = [](WeightedValues pairs) {
    for (double& value : pairs.values) value = -value;
    return pairs;
  };
  const KnownPairs mirrored{negated(log10_lrs.non_matches), negated(log10_lrs.matches)};
  return {-upper_bound(distinct_scores(mirrored), added_non_match_share, added_match_share),
          upper_bound(distinct_scores(log10_lrs), added_match_share, added_non_match_share)};
}

}  // namespace outsole::measure
