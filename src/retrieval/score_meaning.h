#pragma once
// How much a score means: a calibration that was measured on marks whose exemplars are known, and what it says of a
// candidate of casework.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace outsole::retrieval {

/// What a ratio compares, and what it says nothing of.
constexpr const char* kFirstProposition = "The mark was made by this exemplar's sole pattern.";
constexpr const char* kAlternativeProposition =
    "The mark was made by the sole pattern of another exemplar of the database.";
constexpr const char* kPatternIsNoShoe =
    "A pattern is not a shoe: many shoes carry the same one, and what sets one shoe apart is not compared.";

/// How a mark scores the database: median, and 1.4826 times the median distance from it, which is the standard
/// deviation of normally distributed scores. Both stay what they are when some exemplars of the true tread are in the
/// database.
struct ScoreLevel {
  double median = 0, spread = 0;
  std::int64_t known = 0;  // how many scores it is of
};

/// Of all scores of one mark, the candidate's among them; NaN stands for an exemplar without score and does not count.
/// The spread is 0 where no two scores differ, or less than two are known.
ScoreLevel level_of(std::span<const float> scores_of_mark);

/// The `calibration` of an evaluation, for use on other marks that were searched the same way.
struct ScoreCalibration {
  double intercept = 0, slope = 0;  // log10 LR = intercept + slope (score - median) / spread of the mark
  struct Line {
    double intercept = 0, slope = 0;
  };
  std::vector<Line> resampled;                   // the same of resampled marks: the uncertainty
  double least_log10_lr = 0, most_log10_lr = 0;  // what the set supports; least <= 0 <= most
  double cllr = 0, cllr_min = 0;                 // cross-validated
  std::int64_t marks = 0, exemplars = 0;         // of the calibration set; exemplars: of its database
  std::string proposition, alternative;          // the two that the ratio compares, in words
  nlohmann::json search;                         // how the set was searched: parameters of its results
};

/// Reads `calibration` of what `outsole evaluate retrieval --calibrate` wrote. Any bytes may be there: throws DataError
/// that names the file and the member that lacks or is out of its range. Not collective.
ScoreCalibration read_calibration(const std::filesystem::path& evaluation);

/// Where a search differs from the one that was calibrated, in words, one a line ("similarity: mu,none instead of
/// mu_c,sigma_c"): a calibration says nothing of scores that were made in another way. Empty: none. `search` is
/// of a results store (store.header().parameters).
std::vector<std::string> differences(const ScoreCalibration& calibration, const nlohmann::json& search);

/// What a score means.
struct ScoreMeaning {
  double standardized = 0;                       // (score - median) / spread
  double log10_lr = 0;                           // within the bounds of the set
  double low = 0, high = 0;                      // 95% interval of it, within the bounds, too
  bool is_cut_low = false, is_cut_high = false;  // the line goes beyond the bound, which stands in its place
  std::string verbal;  // "moderate support for the first proposition rather than the alternative", ...
};

/// Of a candidate's score among the scores of its mark. `level` must be of all exemplars (`--all-scores`): throws
/// DataError where its spread is 0 or a number is not finite.
ScoreMeaning meaning_of(const ScoreCalibration& calibration, double score, const ScoreLevel& level);

/// A likelihood ratio in words, after the scale of the ENFSI guideline for evaluative reporting in forensic science
/// (2015), which begins at 2: below it, and above one half, "no support for one proposition rather than the other".
std::string verbal_equivalent(double log10_lr);

}  // namespace outsole::retrieval
