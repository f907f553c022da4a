#pragma once
// What a search found, as its store and its table hold it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "match/mcncc.h"
#include "retrieval/mark_features.h"
#include "retrieval/open_index.h"
#include "store/store.h"

namespace outsole::retrieval {

inline constexpr char kResultsSchema[] = "outsole.results";
inline constexpr std::int32_t kResultsVersion = 3;  // that is written; 1 (no mark_dpi) and 2 (no masks) are read

/// An exemplar, by its position in the index, and the best pose found for it.
struct Candidate {
  std::int32_t exemplar = 0;
  match::BestPose found;
};

/// A higher score is better, of equal ones the lower exemplar; one that is no number comes last.
bool is_better(const Candidate& a, const Candidate& b);

/// Leaves the `count` best, in any order. These do not depend on the order in which parts of a list were merged.
void keep_best(std::vector<Candidate>& candidates, std::int64_t count);

/// One mark's outcome.
struct MarkResult {
  std::int64_t position = 0;             // among the marks of the search
  ScaledMark mark = {};                  // without its image
  std::vector<Candidate> best = {};      // best first: the top of the list, or all exemplars that were searched in full
  std::vector<float> coarse_score = {};  // [exemplars] of the first pass, if there was one and all scores are kept
};

/// The results of some marks as a unit of a store of schema outsole.results: the `top` best exemplars of each, and with
/// `all_scores` the score and pose of every exemplar, NaN for those left out after a first pass, and with
/// `has_coarse_scores` the scores of that.
store::Columns result_columns(const std::vector<MarkResult>& results, const OpenIndex& index, std::int64_t top,
                              bool all_scores, bool has_coarse_scores);

/// A pose as results tell it.
struct ToldPose {
  double angle_deg = 0, y_px = 0, x_px = 0;
  std::optional<bool> mirrored = {};  // none: as the exemplar is, which results of older versions mean
};

/// The pose of the mark's grid that was told so for `exemplar`; nothing when there is none.
std::optional<match::Pose> pose_on_grid(const ToldPose& told, std::int32_t exemplar, const ScaledMark& mark,
                                        const OpenIndex& index);

/// The ranked candidates of a results store as `mark,rank,exemplar,score,angle_deg,y_px,x_px,scale,mirrored`. Throws
/// DataError, EnvironmentError.
void write_candidates_csv(const std::filesystem::path& results, const std::filesystem::path& csv);

}  // namespace outsole::retrieval
