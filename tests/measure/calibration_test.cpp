#include "measure/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/errors.h"
#include "core/split_mix.h"

namespace outsole::measure {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

WeightedValues equal(std::vector<double> values) {
  const std::size_t count = values.size();
  return {std::move(values), std::vector<double>(count, 1)};
}

/// About normally distributed: the sum of 12 uniform numbers less 6.
double normal(std::uint64_t& state) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<double>(split_mix(state) >> 11) * 0x1p-53;
  return sum;
}

KnownPairs normal_pairs(std::size_t matches, std::size_t non_matches, double distance) {
  std::uint64_t state = 5;
  std::vector<double> m, n;
  for (std::size_t i = 0; i < matches; ++i) m.push_back(normal(state) + distance);
  for (std::size_t i = 0; i < non_matches; ++i) n.push_back(normal(state));
  return {equal(m), equal(n)};
}

TEST(FitLogistic, FindsTheLineOfTwoNormalClassesWhateverTheirMix) {
  // Of N(3, 1) against N(0, 1): ln LR = 3 x - 4.5.
  for (const std::size_t non_matches : {2000UL, 20000UL}) {
    const LogLrLine line = fit_logistic(normal_pairs(4000, non_matches, 3), 1e9);
    EXPECT_NEAR(line.slope * std::log(10), 3, 0.25);
    EXPECT_NEAR(line.intercept * std::log(10), -4.5, 0.4);
  }
}

/// The cost that the fit is to minimize, written out.
double naive_cost(const KnownPairs& pairs, double n, const LogLrLine& line) {
  const double target = (n + 1) / (n + 2);
  const auto cost = [&](const WeightedValues& of, double own) {
    double sum = 0, weights = 0;
    for (std::size_t i = 0; i < of.values.size(); ++i) {
      const double p = 1 / (1 + std::pow(10, -line.at(of.values[i])));
      sum -= of.weights[i] * (own * std::log(p) + (1 - own) * std::log(1 - p));
      weights += of.weights[i];
    }
    return sum / weights;
  };
  return cost(pairs.matches, target) + cost(pairs.non_matches, 1 - target);
}

TEST(FitLogistic, NoOtherLineCostsLess) {
  const KnownPairs pairs{{{0.5, 2, 3, 1.5}, {1, 2, 1, 0.5}}, {{-1, 0, 1, 0.25, -2, 1.75}, {1, 1, 3, 1, 1, 0.25}}};
  const LogLrLine best = fit_logistic(pairs, 4);
  for (const double a : {-0.01, 0.0, 0.01}) {
    for (const double b : {-0.01, 0.0, 0.01}) {
      if (a == 0 && b == 0) continue;
      EXPECT_LT(naive_cost(pairs, 4, best), naive_cost(pairs, 4, {best.intercept + a, best.slope + b}));
    }
  }
}

TEST(FitLogistic, StaysFiniteForClassesThatDoNotOverlapAndMilderForFewerMarks) {
  const KnownPairs pairs{equal({5, 6, 7}), equal({0, 1, 2})};
  const LogLrLine few = fit_logistic(pairs, 3), many = fit_logistic(pairs, 300);
  EXPECT_TRUE(std::isfinite(few.slope) && std::isfinite(few.intercept));
  EXPECT_LT(few.at(6), many.at(6));
  EXPECT_GT(few.at(1), many.at(1));
  // One score a class: the target itself, 4 : 1.
  EXPECT_NEAR(fit_logistic({equal({1}), equal({-1})}, 3).at(1), std::log10(4), 1e-6);
}

TEST(FitLogistic, SaysNothingOfScoresThatAreAllEqual) {
  const LogLrLine line = fit_logistic({equal({1, 1}), equal({1, 1, 1})}, 5);
  EXPECT_NEAR(line.at(1), 0, 1e-6);
}

TEST(PoolAdjacentViolators, EqualsTheHandComputedCase) {
  // Ascending: n | n m(violates with) n | m. Classes weigh 1 each: a match 1/2, a non-match 1/3.
  const auto blocks = pool_adjacent_violators({equal({2, 4}), equal({0, 1, 3})});
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_EQ(blocks[0].low, 0);
  EXPECT_EQ(blocks[0].high, 1);
  EXPECT_EQ(blocks[0].log10_lr, -kInfinity);
  EXPECT_EQ(blocks[1].low, 2);
  EXPECT_EQ(blocks[1].high, 3);
  EXPECT_NEAR(blocks[1].log10_lr, std::log10(1.5), 1e-12);
  EXPECT_EQ(blocks[2].log10_lr, kInfinity);
}

TEST(PoolAdjacentViolators, TakesEqualScoresForOne) {
  const auto blocks = pool_adjacent_violators({equal({1, 1}), equal({1})});
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_NEAR(blocks[0].log10_lr, 0, 1e-12);
}

/// Min-max formula of isotonic regression (Robertson, Wright, Dykstra 1988), of equally many pairs of both classes.
double naive_isotonic_share(const std::vector<int>& is_match, std::size_t at) {
  double best = 0;
  for (std::size_t first = 0; first <= at; ++first) {
    double least = 1;
    for (std::size_t last = at; last < is_match.size(); ++last) {
      double matches = 0;
      for (std::size_t i = first; i <= last; ++i) matches += is_match[i];
      least = std::min(least, matches / static_cast<double>(last - first + 1));
    }
    best = std::max(best, least);
  }
  return best;
}

TEST(PoolAdjacentViolators, EqualsTheMinMaxFormula) {
  const std::vector<int> is_match{0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1};
  KnownPairs pairs;
  for (std::size_t i = 0; i < is_match.size(); ++i) {
    auto& of = is_match[i] != 0 ? pairs.matches : pairs.non_matches;
    of.values.push_back(static_cast<double>(i));
    of.weights.push_back(1);
  }
  ASSERT_EQ(pairs.matches.values.size(), pairs.non_matches.values.size());
  for (const PavBlock& block : pool_adjacent_violators(pairs)) {
    for (double score = block.low; score <= block.high; ++score) {
      const double share = naive_isotonic_share(is_match, static_cast<std::size_t>(score));
      EXPECT_NEAR(1 / (1 + std::pow(10, -block.log10_lr)), share, 1e-12) << score;
    }
  }
}

TEST(Cllr, EqualsTheEquationByHand) {
  const KnownPairs lrs{equal({1, 0}), equal({-1, 0, 1})};
  const double matches = (std::log2(1.1) + 1) / 2, non_matches = (std::log2(1.1) + 1 + std::log2(11.0)) / 3;
  EXPECT_NEAR(cllr(lrs), (matches + non_matches) / 2, 1e-12);
  EXPECT_NEAR(cllr({equal({0, 0}), equal({0})}), 1, 1e-12);
  EXPECT_NEAR(cllr({equal({400}), equal({-400})}), 0, 1e-12);
  EXPECT_NEAR(cllr({equal({-400}), equal({400})}), 400 * std::log2(10.0), 1e-6);  // no overflow
}

TEST(CllrMin, IsZeroOfOrderedScoresAndNeverAboveCllr) {
  EXPECT_EQ(cllr_min({equal({2, 3}), equal({0, 1})}), 0);
  EXPECT_NEAR(cllr_min({equal({0, 1}), equal({2, 3})}), 1, 1e-12);  // the wrong way round: one block
  const KnownPairs pairs = normal_pairs(50, 200, 1.5);
  EXPECT_LT(cllr_min(pairs), cllr(pairs));
}

TEST(Ece, IsCllrAtEqualPriorsAndNeutralIsThePriorsEntropy) {
  const KnownPairs lrs = normal_pairs(30, 90, 1);
  const std::vector<double> odds{-1, 0, 1};
  const EceCurves curves = empirical_cross_entropy(lrs, odds);
  EXPECT_NEAR(curves.given[1], cllr(lrs), 1e-12);
  EXPECT_NEAR(curves.best[1], cllr_min(lrs), 1e-12);
  EXPECT_NEAR(curves.neutral[1], 1, 1e-12);
  const double p = 1.0 / 11;
  EXPECT_NEAR(curves.neutral[0], -p * std::log2(p) - (1 - p) * std::log2(1 - p), 1e-12);
  for (std::size_t i = 0; i < odds.size(); ++i) EXPECT_LE(curves.best[i], curves.given[i] + 1e-12);
}

TEST(Tippett, CountsSharesByWeight) {
  const KnownPairs lrs{{{1, 2}, {3, 1}}, equal({-1, 0, 0.5, 1})};
  const std::vector<double> thresholds{-2, 0.25, 1, 1.5, 3};
  const TippettCurves curves = tippett(lrs, thresholds);
  EXPECT_EQ(curves.matches_percent, (std::vector<double>{100, 100, 100, 25, 0}));
  EXPECT_EQ(curves.non_matches_percent, (std::vector<double>{100, 50, 25, 0, 0}));
}

TEST(Misleading, CountsTheWrongSideOnly) {
  const Misleading shares = misleading({equal({-1, 0, 1, 2}), equal({-1, -1, 0, 0.5, 1})});
  EXPECT_DOUBLE_EQ(shares.matches_below_1_percent, 25);
  EXPECT_DOUBLE_EQ(shares.non_matches_above_1_percent, 40);
}

/// Thresholds of fine steps from 1 outwards until one costs more than no ratios at all.
double naive_upper_bound(const KnownPairs& lrs, double added_match, double added_non_match) {
  constexpr double kStep = 1e-4;
  double log10_t = 0;
  for (; log10_t < 20; log10_t += kStep) {
    const auto share = [&](const WeightedValues& of) {
      double above = 0, all = 0;
      for (std::size_t i = 0; i < of.values.size(); ++i) {
        all += of.weights[i];
        if (of.values[i] >= log10_t + kStep) above += of.weights[i];
      }
      return above / all;
    };
    const double missed = 1 - share(lrs.matches) / (1 + added_match);
    const double wrong = (share(lrs.non_matches) + added_non_match) / (1 + added_non_match);
    if (missed + std::pow(10, log10_t + kStep) * wrong > 1) break;
  }
  return log10_t;
}

TEST(EmpiricalBounds, EqualThresholdsTriedOneByOne) {
  for (const double distance : {1.0, 3.0}) {
    const KnownPairs lrs = normal_pairs(40, 400, distance);
    const LrBounds bounds = empirical_bounds(lrs, 1.0 / 40, 1.0 / 400);
    EXPECT_NEAR(bounds.most, naive_upper_bound(lrs, 1.0 / 40, 1.0 / 400), 2e-4);
    KnownPairs mirrored{lrs.non_matches, lrs.matches};
    for (auto* of : {&mirrored.matches, &mirrored.non_matches}) {
      for (double& value : of->values) value = -value;
    }
    EXPECT_NEAR(-bounds.least, naive_upper_bound(mirrored, 1.0 / 400, 1.0 / 40), 2e-4);
  }
}

TEST(EmpiricalBounds, OfAPerfectSetAreItsNumbersOfPairs) {
  // 9 matches, 99 non-matches, far apart: with one more each, at most 9/10 of the matches against 1/100.
  const KnownPairs lrs{equal(std::vector<double>(9, 50)), equal(std::vector<double>(99, -50))};
  const LrBounds bounds = empirical_bounds(lrs, 1.0 / 9, 1.0 / 99);
  EXPECT_NEAR(bounds.most, std::log10(0.9 * 100), 1e-12);
  EXPECT_NEAR(bounds.least, -std::log10(0.99 * 10), 1e-12);
}

TEST(EmpiricalBounds, LeaveNothingOfRatiosThatMislead) {
  const LrBounds bounds = empirical_bounds({equal({-2, -1}), equal({1, 2})}, 0.5, 0.5);
  EXPECT_EQ(bounds.most, 0);
  EXPECT_EQ(bounds.least, 0);
}

TEST(Calibration, RefusesWhatIsNoPair) {
  EXPECT_THROW(cllr({equal({}), equal({1})}), Bug);
  EXPECT_THROW(cllr({equal({std::nan("")}), equal({1})}), Bug);
  EXPECT_THROW(cllr_min({{{1}, {0}}, equal({1})}), Bug);
  EXPECT_THROW(fit_logistic({equal({1}), equal({0})}, 0), Bug);
}

}  // namespace
}  // namespace outsole::measure
