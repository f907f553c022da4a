#include "measure/retrieval.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/errors.h"

namespace outsole::measure {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(RankOf, CountsBetterExemplars) {
  const std::vector<float> scores{0.1f, 0.9f, 0.5f, 0.7f};
  EXPECT_EQ(rank_of(scores, 1), 1);
  EXPECT_EQ(rank_of(scores, 3), 2);
  EXPECT_EQ(rank_of(scores, 2), 3);
  EXPECT_EQ(rank_of(scores, 0), 4);
}

TEST(RankOf, BreaksTiesByLowerPosition) {
  const std::vector<float> scores{0.5f, 0.9f, 0.5f, 0.5f};
  EXPECT_EQ(rank_of(scores, 0), 2);
  EXPECT_EQ(rank_of(scores, 2), 3);
  EXPECT_EQ(rank_of(scores, 3), 4);
}

TEST(RankOf, PutsMissingScoresLast) {
  const std::vector<float> scores{kNan, -1.0f, kNan, -std::numeric_limits<float>::infinity()};
  EXPECT_EQ(rank_of(scores, 1), 1);
  EXPECT_EQ(rank_of(scores, 3), 2);
  EXPECT_EQ(rank_of(scores, 0), 3);
  EXPECT_EQ(rank_of(scores, 2), 4);
}

TEST(RankOf, RefusesAnExemplarWithoutScore) {
  const std::vector<float> scores{0.1f};
  EXPECT_THROW(rank_of(scores, 1), Bug);
}

/// By definition: sorts the list with what is true after all else of the same score.
std::vector<std::int64_t> brute_worst_ranks(const std::vector<float>& scores, const std::vector<std::int64_t>& wanted) {
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto is_wanted = [&](std::int64_t i) { return std::ranges::find(wanted, i) != wanted.end(); };
  const auto score = [&](std::int64_t i) { return scores[static_cast<std::size_t>(i)]; };
  std::erase_if(order, [&](std::int64_t i) { return std::isnan(score(i)); });
  std::ranges::sort(order, [&](std::int64_t a, std::int64_t b) {
    return score(a) != score(b) ? score(a) > score(b) : is_wanted(a) < is_wanted(b);
  });
  std::vector<std::int64_t> ranks;
  for (std::size_t place = 0; place < order.size(); ++place) {
    if (is_wanted(order[place])) ranks.push_back(static_cast<std::int64_t>(place) + 1);
  }
  return ranks;
}

TEST(WorstRanks, AreThoseOfTheWorstOrderOnEveryListOfFewScores) {
  const std::vector<float> values{0, 0.5f, -std::numeric_limits<float>::infinity(), kNan};
  constexpr int kLength = 5;
  for (int list = 0; list < 1 << (2 * kLength); ++list) {
    std::vector<float> scores;
    for (int i = 0; i < kLength; ++i) scores.push_back(values[static_cast<std::size_t>(list >> (2 * i) & 3)]);
    for (int subset = 1; subset < 1 << kLength; ++subset) {
      std::vector<std::int64_t> wanted;
      for (int i = 0; i < kLength; ++i) {
        if ((subset >> i & 1) != 0) wanted.push_back(i);
      }
      const WorstRanks worst = worst_ranks_of(scores, wanted);
      ASSERT_EQ(worst.ranks, brute_worst_ranks(scores, wanted)) << list << " " << subset;
      bool is_tied = false;
      for (const std::int64_t mine : wanted) {
        for (std::int64_t other = 0; other < kLength; ++other) {
          const bool is_other = std::ranges::find(wanted, other) == wanted.end();
          is_tied |= is_other && scores[static_cast<std::size_t>(mine)] == scores[static_cast<std::size_t>(other)];
        }
      }
      ASSERT_EQ(worst.is_tied, is_tied) << list << " " << subset;
    }
  }
}

TEST(WorstRanks, OfOneScoreForAllAreTheLast) {
  const std::vector<float> scores(6, 0.0f);
  EXPECT_THAT(worst_ranks_of(scores, std::vector<std::int64_t>{0}).ranks, ElementsAre(6));
  EXPECT_THAT(worst_ranks_of(scores, std::vector<std::int64_t>{0, 3}).ranks, ElementsAre(5, 6));
  EXPECT_FALSE(worst_ranks_of(scores, std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}).is_tied);
}

TEST(WorstRanks, AtTheEndOfAListThatIsCutAreUnknown) {
  const std::vector<float> list{0.9f, 0.7f, 0.5f, 0.5f};
  EXPECT_THAT(worst_ranks_of(list, std::vector<std::int64_t>{1, 2}, true).ranks, ElementsAre(2));
  EXPECT_TRUE(worst_ranks_of(list, std::vector<std::int64_t>{2}, true).is_tied);
  EXPECT_THAT(worst_ranks_of(list, std::vector<std::int64_t>{2}).ranks, ElementsAre(4));
  EXPECT_THAT(worst_ranks_of(list, std::vector<std::int64_t>{2, 3}, true).ranks, ElementsAre());
}

TEST(Cmc, IsTheShareOfMarksFoundWithinK) {
  const std::vector<MarkRanks> marks{{{1}, 1}, {{3}, 1}, {{3, 4}, 2}, {{}, 1}};
  EXPECT_THAT(cumulative_match_percent(marks, 4), ElementsAre(25, 25, 75, 75));
  EXPECT_EQ(found_percent(marks, 2), 25);
  EXPECT_EQ(found_percent(marks, 3), 75);
}

TEST(Cmc, CountsAMarkByItsBestTrueExemplarOnly) {
  const std::vector<MarkRanks> marks{{{2, 3, 4}, 3}};
  EXPECT_THAT(cumulative_match_percent(marks, 4), ElementsAre(0, 100, 100, 100));
}

TEST(TopPercent, TakesTheCeilingOfTheShare) {
  EXPECT_EQ(rank_of_top_percent(1, 1175), 12);    // 11.75
  EXPECT_EQ(rank_of_top_percent(5, 1175), 59);    // 58.75
  EXPECT_EQ(rank_of_top_percent(10, 1175), 118);  // 117.5
  EXPECT_EQ(rank_of_top_percent(1, 100), 1);
  EXPECT_EQ(rank_of_top_percent(7, 100), 7);  // 0.07 * 100 exceeds 7 in floating point
  EXPECT_EQ(rank_of_top_percent(1, 101), 2);
  EXPECT_EQ(rank_of_top_percent(1, 3), 1);
  EXPECT_EQ(rank_of_top_percent(100, 3), 3);
}

/// Average precision by its definition: precision at every place of the list that holds a true exemplar.
double brute_average_precision(const std::vector<bool>& is_true) {
  double sum = 0;
  const auto relevant = std::count(is_true.begin(), is_true.end(), true);
  for (std::size_t k = 1; k <= is_true.size(); ++k) {
    if (!is_true[k - 1]) continue;
    sum += static_cast<double>(std::count(is_true.begin(), is_true.begin() + static_cast<std::ptrdiff_t>(k), true)) /
           static_cast<double>(k);
  }
  return sum / static_cast<double>(relevant);
}

MarkRanks ranks_of(const std::vector<bool>& is_true) {
  MarkRanks mark;
  for (std::size_t i = 0; i < is_true.size(); ++i) {
    if (is_true[i]) mark.ranks.push_back(static_cast<std::int64_t>(i + 1));
  }
  mark.relevant = std::ssize(mark.ranks);
  return mark;
}

/// Every list of `exemplars` of which `relevant` are true.
std::vector<std::vector<bool>> all_orders(int exemplars, int relevant) {
  std::vector<bool> order(static_cast<std::size_t>(exemplars), false);
  std::fill(order.end() - relevant, order.end(), true);
  std::vector<std::vector<bool>> orders;
  do {
    orders.push_back(order);
  } while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

TEST(AveragePrecision, EqualsItsDefinitionOnEveryList) {
  for (int relevant = 1; relevant <= 7; ++relevant) {
    for (const auto& order : all_orders(7, relevant)) {
      EXPECT_NEAR(average_precision(ranks_of(order)), brute_average_precision(order), 1e-14);
    }
  }
}

TEST(AveragePrecision, CountsExemplarsNotFoundAsZero) {
  EXPECT_DOUBLE_EQ(average_precision({{1}, 2}), 0.5);
  EXPECT_DOUBLE_EQ(average_precision({{}, 1}), 0.0);
  const std::vector<MarkRanks> marks{{{1}, 2}};
  EXPECT_FALSE(all_found(marks));
}

TEST(MeanAveragePrecision, HasTheStandardErrorOfAMean) {
  const std::vector<MarkRanks> marks{{{1}, 1}, {{2}, 1}, {{4}, 1}};
  const auto result = mean_average_precision(marks);
  const double mean = (1 + 0.5 + 0.25) / 3;
  const double variance = (std::pow(1 - mean, 2) + std::pow(0.5 - mean, 2) + std::pow(0.25 - mean, 2)) / 2;
  EXPECT_NEAR(result.mean, mean, 1e-15);
  EXPECT_NEAR(result.standard_error, std::sqrt(variance / 3), 1e-15);
}

TEST(Chance, EqualsTheMeanOverEveryOrder) {
  constexpr int kExemplars = 7;
  for (int relevant = 1; relevant <= kExemplars; ++relevant) {
    const auto orders = all_orders(kExemplars, relevant);
    std::vector<MarkRanks> marks;
    for (const auto& order : orders) marks.push_back(ranks_of(order));
    EXPECT_NEAR(chance_mean_average_precision(marks, kExemplars), mean_average_precision(marks).mean, 1e-12);
    for (int k = 1; k <= kExemplars; ++k) {
      EXPECT_NEAR(chance_found_percent(marks, kExemplars, k), found_percent(marks, k), 1e-10);
    }
  }
}

TEST(Chance, LeavesOutWhatIsExcludedForAMark) {
  const std::vector<MarkRanks> excluding{{{1}, 2, 3}, {{1}, 1, 0}}, one{{{1}, 2}}, other{{{1}, 1}};
  EXPECT_NEAR(chance_found_percent(excluding, 10, 4),
              (chance_found_percent(one, 7, 4) + chance_found_percent(other, 10, 4)) / 2, 1e-12);
  EXPECT_NEAR(chance_mean_average_precision(excluding, 10),
              (chance_mean_average_precision(one, 7) + chance_mean_average_precision(other, 10)) / 2, 1e-12);
}

TEST(Chance, IsCertaintyWithASingleExemplar) {
  const std::vector<MarkRanks> marks{{{1}, 1}};
  EXPECT_EQ(chance_mean_average_precision(marks, 1), 1);
  EXPECT_EQ(chance_found_percent(marks, 1, 1), 100);
}

TEST(PrecisionRecall, PoolsHitsOverMarks) {
  const std::vector<MarkRanks> marks{{{1, 3}, 2}, {{2}, 1}};
  const auto curve = precision_recall(marks, 3);
  EXPECT_THAT(curve.precision_percent, ElementsAre(50, 50, 50));
  EXPECT_THAT(curve.recall_percent, ElementsAre(DoubleNear(100.0 / 3, 1e-12), DoubleNear(200.0 / 3, 1e-12), 100));
}

TEST(StandardError, IsThatOfAProportion) {
  EXPECT_NEAR(standard_error_percent(72.67, 300), 2.573, 1e-3);
  EXPECT_EQ(standard_error_percent(100, 10), 0);
}

TEST(WilsonInterval, HasAWidthAtTheEndsAndSolvesItsEquation) {
  const PercentInterval all = wilson_interval_percent(3, 3), none = wilson_interval_percent(0, 3);
  EXPECT_NEAR(all.low, 43.85, 0.01);
  EXPECT_EQ(all.high, 100);
  EXPECT_NEAR(none.high, 56.15, 0.01);
  EXPECT_EQ(none.low, 0);
  const PercentInterval some = wilson_interval_percent(29, 40);
  for (const double percent : {some.low, some.high}) {
    EXPECT_NEAR(std::abs(percent - 72.5), 1.959964 * standard_error_percent(percent, 40), 1e-4);
  }
  EXPECT_THROW(wilson_interval_percent(4, 3), Bug);
}

}  // namespace
}  // namespace outsole::measure
