#pragma once
// What a search found, as its store and its table hold it.

#include <filesystem>
#include <vector>

#include "match/mcncc.h"
#include "retrieval/mark_features.h"
#include "retrieval/open_index.h"
#include "store/store.h"

namespace outsole::retrieval {

inline constexpr char kResultsSchema[] = "outsole.results";

/// One mark's outcome: the best pose of every exemplar.
struct MarkResult {
  ScaledMark mark;                    // without its image
  std::vector<match::BestPose> best;  // [exemplars]; score NaN: left out after the first pass
  std::vector<float> coarse_score;    // [exemplars] of the first pass, if there was one
};

/// The results of some marks as a unit of a store of schema outsole.results: the `top` best exemplars of each (equal
/// scores by position in the index), and with `all_scores` the score and pose of every exemplar, NaN for those left out
/// after a first pass, and with `has_coarse_scores` the scores of that.
store::Columns result_columns(const std::vector<MarkResult>& results, const OpenIndex& index, std::int64_t top,
                              bool all_scores, bool has_coarse_scores);

/// The ranked candidates of a results store as `mark,rank,exemplar,score,angle_deg,y_px,x_px,scale,mirrored`. Throws
/// DataError, EnvironmentError.
void write_candidates_csv(const std::filesystem::path& results, const std::filesystem::path& csv);

}  // namespace outsole::retrieval
