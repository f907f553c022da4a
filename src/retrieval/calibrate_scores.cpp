#include "retrieval/calibrate_scores.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <span>

#include "core/errors.h"
#include "core/split_mix.h"
#include "measure/calibration.h"
#include "measure/retrieval.h"
#include "retrieval/evaluate_retrieval.h"
#include "retrieval/folds.h"
#include "retrieval/score_meaning.h"

namespace outsole::retrieval {

using measure::KnownPairs;
using measure::LogLrLine;
using nlohmann::ordered_json;

namespace {

/// Of a mark's non-matches so many of the highest scores are taken as they are, and of the others at most as many,
/// evenly spaced, each for several: a database of a million changes neither memory nor time.
constexpr std::size_t kNonMatchesKept = 1000;
constexpr std::int64_t kResampled = 200;
constexpr std::uint64_t kResamplingSeed = 1;
constexpr std::int64_t kLeastNonMatches = 20;

struct NonMatch {
  double score, weight;
  std::int32_t fold;
};

/// A mark's pairs; scores are standardized by its level. Weights of either class add up to 1.
struct MarkPairs {
  std::vector<double> matches;
  std::vector<NonMatch> non_matches;
  std::int64_t compared = 0;  // non-matches before some were left out
  std::int32_t fold = 0;
  std::int64_t tread = 0;
};

struct PairSet {
  std::vector<MarkPairs> marks;
  std::int64_t exemplars = 0, treads = 0, folds = 0;
};

/// The labelled marks of the results.
struct LabelledMarks {
  std::vector<std::int64_t> rows;
  std::vector<std::vector<std::int64_t>> exemplars;
};

LabelledMarks labelled(const Truth& truth) {
  LabelledMarks marks;
  for (std::size_t row = 0; row < truth.exemplars.size(); ++row) {
    if (truth.exemplars[row].empty()) continue;
    marks.rows.push_back(static_cast<std::int64_t>(row));
    marks.exemplars.push_back(truth.exemplars[row]);
  }
  return marks;
}

std::vector<NonMatch> thinned(std::vector<NonMatch> pairs) {
  std::ranges::stable_sort(pairs, std::ranges::greater{}, &NonMatch::score);
  const std::size_t others = pairs.size() - std::min(pairs.size(), kNonMatchesKept);
  if (others > kNonMatchesKept) {
    for (std::size_t i = 0; i < kNonMatchesKept; ++i) {
      NonMatch one = pairs[kNonMatchesKept + (2 * i + 1) * others / (2 * kNonMatchesKept)];
      one.weight = static_cast<double>(others) / static_cast<double>(kNonMatchesKept);
      pairs[kNonMatchesKept + i] = one;
    }
    pairs.resize(2 * kNonMatchesKept);
  }
  double sum = 0;
  for (const NonMatch& pair : pairs) sum += pair.weight;
  for (NonMatch& pair : pairs) pair.weight /= sum;
  return pairs;
}

/// The pairs of one mark: `scores` of all exemplars, NaN of those that are not in the database for it. Groups are
/// joined by marks.
MarkPairs pairs_of(std::span<const float> scores, const std::vector<std::int64_t>& true_exemplars,
                   const std::vector<std::int64_t>& groups, const std::vector<std::int32_t>& fold_of_exemplar,
                   const std::string& mark) {
  const ScoreLevel level = level_of(scores);
  if (!(level.spread > 0)) throw DataError("mark '" + mark + "': half of its scores are equal, none stands out");
  const auto standardized = [&](std::int64_t exemplar) {
    return (scores[static_cast<std::size_t>(exemplar)] - level.median) / level.spread;
  };
  MarkPairs pairs;
  for (const std::int64_t exemplar : true_exemplars) pairs.matches.push_back(standardized(exemplar));
  pairs.tread = groups[static_cast<std::size_t>(true_exemplars.front())];
  pairs.fold = fold_of_exemplar[static_cast<std::size_t>(true_exemplars.front())];
  for (std::int64_t exemplar = 0; exemplar < std::ssize(scores); ++exemplar) {
    const auto e = static_cast<std::size_t>(exemplar);
    if (std::isnan(scores[e]) || groups[e] == pairs.tread) continue;
    pairs.non_matches.push_back({standardized(exemplar), 1, fold_of_exemplar[e]});
  }
  pairs.compared = std::ssize(pairs.non_matches);
  if (pairs.compared < kLeastNonMatches) {
    throw DataError(
        fmt::format("mark '{}': a calibration needs its scores of at least {} exemplars of other treads, "
                    "{} there are",
                    mark, kLeastNonMatches, pairs.compared));
  }
  pairs.non_matches = thinned(std::move(pairs.non_matches));
  return pairs;
}

/// Nobody knows a score that a first pass has left out, and the level of a mark is that of all.
void require_all_scores(std::span<const float> scores, const std::string& results, const std::string& mark) {
  const std::int64_t missing = std::ranges::count_if(scores, [](float score) { return std::isnan(score); });
  if (missing == 0) return;
  throw DataError(
      fmt::format("{}: mark '{}' has no score of {} exemplars; a calibration needs the scores of all: "
                  "search without a first pass",
                  results, mark, missing));
}

void require_enough(const std::string& results, std::int64_t marks, std::int64_t treads) {
  if (marks >= kLeastCalibrationMarks && treads >= kLeastCalibrationTreads) return;
  throw DataError(fmt::format(
      "{}: {} labelled marks of {} treads are too few to calibrate scores by; at least {} marks of {} treads "
      "are needed: with fewer, a single mark moves the share of misleading matches by more than 5 percent, "
      "and a fold of the cross-validation is judged by one tread",
      results, marks, treads, kLeastCalibrationMarks, kLeastCalibrationTreads));
}

PairSet read_pairs(const store::Store& results, const Truth& truth, const CalibrateOptions& options) {
  const std::string name = results.path().string();
  if (!results.has("score")) {
    throw DataError(name +
                    ": keeps only the first candidates; a calibration needs the scores of all exemplars: search "
                    "with --all-scores");
  }
  const std::vector<std::string> mark_ids = read_ids(results, "mark_id"), ids = read_ids(results, "exemplar_id");
  const LabelledMarks marks = labelled(truth);
  const std::vector<std::int64_t> groups = joined_by_marks(read_exemplar_groups(options.groups, ids), marks.exemplars);
  std::set<std::int64_t> treads;
  for (const auto& exemplars : marks.exemplars) treads.insert(groups[static_cast<std::size_t>(exemplars.front())]);

  PairSet set;
  set.exemplars = std::ssize(ids);
  set.treads = std::ssize(treads);
  require_enough(name, std::ssize(marks.rows), set.treads);
  set.folds = options.folds > 0 ? options.folds : std::min<std::int64_t>(10, (set.treads + 1) / 2);
  const Folds folds = make_folds(set.folds, marks.exemplars, groups);
  for (std::size_t i = 0; i < marks.rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(marks.rows[i]);
    auto scores = std::get<std::vector<float>>(results.read("score", marks.rows[i], 1).values);
    require_all_scores(scores, name, mark_ids[row]);
    for (const std::int64_t exemplar : truth.excluded[row]) {
      scores[static_cast<std::size_t>(exemplar)] = std::numeric_limits<float>::quiet_NaN();
    }
    set.marks.push_back(pairs_of(scores, marks.exemplars[i], groups, folds.of_exemplar, mark_ids[row]));
  }
  return set;
}

void add_matches(const MarkPairs& mark, double weight, measure::WeightedValues& matches) {
  for (const double score : mark.matches) {
    matches.values.push_back(score);
    matches.weights.push_back(weight / static_cast<double>(mark.matches.size()));
  }
}

/// Pairs whose mark and exemplar are of neither fold; -1: of no fold, so all.
KnownPairs pairs_without(const PairSet& set, std::int64_t fold, std::int64_t other_fold) {
  KnownPairs pairs;
  const auto is_kept = [&](std::int32_t of) { return of != fold && of != other_fold; };
  for (const MarkPairs& mark : set.marks) {
    if (!is_kept(mark.fold)) continue;
    add_matches(mark, 1, pairs.matches);
    for (const NonMatch& pair : mark.non_matches) {
      if (!is_kept(pair.fold)) continue;
      pairs.non_matches.values.push_back(pair.score);
      pairs.non_matches.weights.push_back(pair.weight);
    }
  }
  return pairs;
}

/// Each labelled mark weighs as often as its tread was drawn.
KnownPairs resampled_pairs(const PairSet& set, const std::map<std::int64_t, double>& times_of_tread) {
  KnownPairs pairs;
  for (const MarkPairs& mark : set.marks) {
    const auto times = times_of_tread.find(mark.tread);
    if (times == times_of_tread.end()) continue;
    add_matches(mark, times->second, pairs.matches);
    for (const NonMatch& pair : mark.non_matches) {
      pairs.non_matches.values.push_back(pair.score);
      pairs.non_matches.weights.push_back(times->second * pair.weight);
    }
  }
  return pairs;
}

/// The bootstrap (Efron 1979) over treads, with all marks of each.
std::vector<LogLrLine> resampled_lines(const PairSet& set) {
  std::vector<std::int64_t> treads;
  for (const MarkPairs& mark : set.marks) treads.push_back(mark.tread);
  std::ranges::sort(treads);
  treads.erase(std::ranges::unique(treads).begin(), treads.end());
  std::uint64_t state = kResamplingSeed;
  std::vector<LogLrLine> lines;
  for (std::int64_t i = 0; i < kResampled; ++i) {
    std::map<std::int64_t, double> times;
    for (std::size_t draw = 0; draw < treads.size(); ++draw) times[treads[split_mix(state) % treads.size()]] += 1;
    lines.push_back(measure::fit_logistic(resampled_pairs(set, times), static_cast<double>(set.marks.size())));
  }
  return lines;
}

/// Each mark's pairs as log10 LR by lines that know neither the pair's mark nor its exemplar.
std::vector<KnownPairs> cross_validated(const PairSet& set) {
  std::map<std::pair<std::int64_t, std::int64_t>, LogLrLine> lines;
  for (std::int64_t fold = 0; fold < set.folds; ++fold) {
    for (std::int64_t other = fold; other < set.folds; ++other) {
      const KnownPairs pairs = pairs_without(set, fold, other);
      if (pairs.matches.values.empty()) throw UsageError("`folds`: two of them hold all marks; give more folds");
      lines[{fold, other}] = measure::fit_logistic(pairs, static_cast<double>(pairs.matches.values.size()));
    }
  }
  const auto line_of = [&](std::int64_t a, std::int64_t b) { return lines.at({std::min(a, b), std::max(a, b)}); };
  std::vector<KnownPairs> judged;
  for (const MarkPairs& mark : set.marks) {
    KnownPairs pairs;
    add_matches(mark, 1, pairs.matches);
    for (double& value : pairs.matches.values) value = line_of(mark.fold, mark.fold).at(value);
    for (const NonMatch& pair : mark.non_matches) {
      pairs.non_matches.values.push_back(line_of(mark.fold, pair.fold).at(pair.score));
      pairs.non_matches.weights.push_back(pair.weight);
    }
    judged.push_back(std::move(pairs));
  }
  return judged;
}

void append(const measure::WeightedValues& from, measure::WeightedValues& to) {
  to.values.insert(to.values.end(), from.values.begin(), from.values.end());
  to.weights.insert(to.weights.end(), from.weights.begin(), from.weights.end());
}

KnownPairs together(const std::vector<KnownPairs>& of_marks) {
  KnownPairs all;
  for (const KnownPairs& pairs : of_marks) {
    append(pairs.matches, all.matches);
    append(pairs.non_matches, all.non_matches);
  }
  return all;
}

KnownPairs cut(KnownPairs pairs, const measure::LrBounds& bounds) {
  for (double& value : pairs.matches.values) value = std::clamp(value, bounds.least, bounds.most);
  for (double& value : pairs.non_matches.values) value = std::clamp(value, bounds.least, bounds.most);
  return pairs;
}

/// One more misleading pair a class: of the matches one, of the non-matches one of each mark, because those of one mark
/// depend on each other.
measure::LrBounds bounds_of(const PairSet& set, const KnownPairs& judged) {
  double share = 0;
  for (const MarkPairs& mark : set.marks) share += 1 / static_cast<double>(mark.compared);
  const double marks = static_cast<double>(set.marks.size());
  return measure::empirical_bounds(judged, 1 / marks, share / marks);
}

/// Standard error of a mean over marks.
template <typename Measure>
double error_over_marks(const std::vector<KnownPairs>& of_marks, Measure measure) {
  double sum = 0, squares = 0;
  const double n = static_cast<double>(of_marks.size());
  for (const KnownPairs& pairs : of_marks) sum += measure(pairs);
  for (const KnownPairs& pairs : of_marks) squares += std::pow(measure(pairs) - sum / n, 2);
  return std::sqrt(squares / (n - 1) / n);
}

std::vector<double> steps(double least, double most, std::int64_t count) {
  std::vector<double> values;
  for (std::int64_t i = 0; i <= count; ++i) {
    values.push_back(least + (most - least) * static_cast<double>(i) / static_cast<double>(count));
  }
  return values;
}

ordered_json tippett_json(const KnownPairs& given) {
  const double least = std::min(std::ranges::min(given.matches.values), std::ranges::min(given.non_matches.values));
  const double most = std::max(std::ranges::max(given.matches.values), std::ranges::max(given.non_matches.values));
  constexpr double kBeyond = 0.25;
  const auto curves = measure::tippett(given, steps(least - kBeyond, most + kBeyond, 200));
  return {{"log10_lr", curves.thresholds},
          {"matches_percent", curves.matches_percent},
          {"non_matches_percent", curves.non_matches_percent}};
}

ordered_json ece_json(const KnownPairs& given) {
  const auto curves = measure::empirical_cross_entropy(given, steps(-2.5, 2.5, 100));
  return {{"prior_log10_odds", curves.log10_odds},
          {"given_bits", curves.given},
          {"best_bits", curves.best},
          {"neutral_bits", curves.neutral}};
}

/// Blocks that hold pairs of one class only have no ratio and are left out.
ordered_json pav_json(const KnownPairs& judged) {
  ordered_json blocks = ordered_json::array();
  for (const measure::PavBlock& block : measure::pool_adjacent_violators(judged)) {
    if (std::isfinite(block.log10_lr)) blocks.push_back({block.low, block.high, block.log10_lr});
  }
  return blocks;
}

ordered_json misleading_json(const PairSet& set, const std::vector<KnownPairs>& given_of_marks,
                             const KnownPairs& given) {
  const measure::Misleading shares = measure::misleading(given);
  const auto below = std::ranges::count_if(given.matches.values, [](double lr) { return lr < 0; });
  const auto interval = measure::wilson_interval_percent(below, std::ssize(given.matches.values));
  std::int64_t non_matches = 0;
  for (const MarkPairs& mark : set.marks) non_matches += mark.compared;
  return {{"matches_below_1",
           {{"percent", shares.matches_below_1_percent},
            {"count", below},
            {"of", given.matches.values.size()},
            {"interval_95", {interval.low, interval.high}}}},
          {"non_matches_above_1",
           {{"percent", shares.non_matches_above_1_percent},
            {"of", non_matches},
            {"standard_error", error_over_marks(given_of_marks, [](const KnownPairs& pairs) {
               return measure::misleading(pairs).non_matches_above_1_percent;
             })}}}};
}

ordered_json line_json(const LogLrLine& line, const std::vector<LogLrLine>& resampled) {
  ordered_json lines = ordered_json::array();
  for (const LogLrLine& one : resampled) lines.push_back({one.intercept, one.slope});
  return {{"intercept", line.intercept}, {"slope", line.slope}, {"resampled", std::move(lines)}};
}

}  // namespace

ordered_json calibrate_scores(const store::Store& results, const Truth& truth, const CalibrateOptions& options) {
  const PairSet set = read_pairs(results, truth, options);
  const auto n = static_cast<double>(set.marks.size());
  const LogLrLine line = measure::fit_logistic(pairs_without(set, -1, -1), n);
  if (!(line.slope > 0)) {
    throw DataError(results.path().string() +
                    ": its scores of true exemplars are not higher than those of others; "
                    "no ratio can be made of them");
  }
  const std::vector<KnownPairs> judged_of_marks = cross_validated(set);
  const KnownPairs judged = together(judged_of_marks);
  const measure::LrBounds bounds = bounds_of(set, judged);
  std::vector<KnownPairs> given_of_marks;
  for (const KnownPairs& pairs : judged_of_marks) given_of_marks.push_back(cut(pairs, bounds));
  const KnownPairs given = together(given_of_marks);

  ordered_json json;
  json["propositions"] = {{"first", kFirstProposition}, {"alternative", kAlternativeProposition}};
  json["remark"] = kPatternIsNoShoe;
  json["score"] = "(score - median) / (1.4826 median absolute deviation) of the mark's scores of all exemplars";
  json["marks"] = set.marks.size();
  json["treads"] = set.treads;
  json["exemplars"] = set.exemplars;
  json["folds"] = set.folds;
  json["log10_lr"] = line_json(line, resampled_lines(set));
  json["bounds"] = {{"least_log10_lr", bounds.least},
                    {"most_log10_lr", bounds.most},
                    {"source",
                     "empirical lower and upper bounds (Vergeer et al. 2016) of the cross-validated ratios, with one "
                     "misleading match and one misleading non-match of every mark added"}};
  json["cllr"] = measure::cllr(given);
  json["cllr_standard_error"] = error_over_marks(given_of_marks, measure::cllr);
  json["cllr_min"] = measure::cllr_min(judged);
  json["misleading"] = misleading_json(set, given_of_marks, given);
  json["search"] = results.header().parameters;
  json["tippett"] = tippett_json(given);
  json["ece"] = ece_json(given);
  json["pav"] = pav_json(judged);
  return json;
}

}  // namespace outsole::retrieval
