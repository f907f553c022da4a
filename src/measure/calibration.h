#pragma once
// From scores to likelihood ratios, and how well the ratios do: pure functions of scores of pairs whose truth is known.
// A match is a pair of a mark and its true exemplar. Ratios are given as log10 LR everywhere.

#include <span>
#include <vector>

namespace outsole::measure {

/// Scores (or log10 LR) of one class of pairs. Weights count relative to each other within the class: pairs of one mark
/// share its weight, so that a mark counts as one, however many exemplars it is compared with.
struct WeightedValues {
  std::vector<double> values, weights;
};

/// Both classes. Every function below gives each class the same total weight: what comes out does not depend on how
/// many pairs of which class there are. All throw Bug for an empty class, weights that are not above 0, or NaN.
struct KnownPairs {
  WeightedValues matches, non_matches;
};

/// log10 LR = intercept + slope * score.
struct LogLrLine {
  double intercept = 0, slope = 0;

  double at(double score) const { return intercept + slope * score; }
};

/// Logistic regression at prior odds 1 (Brummer and du Preez 2006; Morrison 2013), regularized as Platt (1999) does:
/// the truth of a pair is taken for (n + 1) / (n + 2) instead of 1, where `n` is how many independent marks there are.
/// So the line is finite for classes that do not overlap, and a small set leads to ratios nearer to 1.
LogLrLine fit_logistic(const KnownPairs& scores, double n);

/// A piece of the best monotonous map from scores to ratios.
struct PavBlock {
  double low = 0, high = 0;  // the scores it holds
  double log10_lr = 0;       // -infinity where no match, infinity where no non-match has such a score
};

/// Pool adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002), by ascending score. Equal scores are one block.
std::vector<PavBlock> pool_adjacent_violators(const KnownPairs& scores);

/// Cost of the log likelihood ratio (Brummer and du Preez 2006): 0 is perfect, 1 what a ratio of always 1 costs.
double cllr(const KnownPairs& log10_lrs);

/// The same after the best monotonous map: what the order of the scores alone would cost.
double cllr_min(const KnownPairs& scores);

/// Empirical cross-entropy in bits over prior log10 odds (Ramos and Gonzalez-Rodriguez 2013).
struct EceCurves {
  std::vector<double> log10_odds;
  std::vector<double> given;    // of the ratios
  std::vector<double> best;     // after the best monotonous map
  std::vector<double> neutral;  // of a ratio of always 1
};
EceCurves empirical_cross_entropy(const KnownPairs& log10_lrs, std::span<const double> log10_odds);

/// Share of each class whose log10 LR is at least each of `thresholds`, in percent (Evett and Buckleton 1996, turned as
/// is usual).
struct TippettCurves {
  std::vector<double> thresholds, matches_percent, non_matches_percent;
};
TippettCurves tippett(const KnownPairs& log10_lrs, std::span<const double> thresholds);

/// How often a ratio points to the wrong side, in percent; a ratio of 1 points to none.
struct Misleading {
  double matches_below_1_percent = 0, non_matches_above_1_percent = 0;
};
Misleading misleading(const KnownPairs& log10_lrs);

/// Between which log10 LR a set supports what it was given: least <= 0 <= most.
struct LrBounds {
  double least = 0, most = 0;
};

/// The empirical lower and upper bounds of Vergeer, van Es, de Jongh, Alberink and Stoel 2016 (Science & Justice 56,
/// 482): the ratios between which decisions by them cost no more than decisions without, when one more pair in each
/// class misleads without limit. The added pairs weigh these shares of their class: 1 over its number of pairs, or more
/// where pairs depend on each other.
LrBounds empirical_bounds(const KnownPairs& log10_lrs, double added_match_share, double added_non_match_share);

}  // namespace outsole::measure
