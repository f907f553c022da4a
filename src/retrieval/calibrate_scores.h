#pragma once
// What the scores of a search mean as likelihood ratios: learned from marks whose exemplars are known, and judged by
// marks and exemplars it was not learned from.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "retrieval/labels.h"
#include "store/store.h"

namespace outsole::retrieval {

struct CalibrateOptions {
  std::filesystem::path groups;  // CSV exemplar,group: those that show the same tread; empty: each is its own
  std::int64_t folds = 0;        // of the cross-validation; 0: 10, or fewer where there are few treads
};

/// The least set that is calibrated: marks, and treads that they come from. With fewer, one mark more or less changes
/// the share of misleading matches by more than 5 percent, and a fold would be judged by a single tread.
constexpr std::int64_t kLeastCalibrationMarks = 20, kLeastCalibrationTreads = 10;

/// The `calibration` of an evaluation: what score_meaning.h reads for use on other marks, and how well it does. A score
/// is taken relative to how its mark scores the whole database (level_of). A match is a mark with a true exemplar, a
/// non-match a mark with an exemplar of another group; each mark counts as one in either class. A pair is judged by a
/// line that was fitted without the folds of its mark and of its exemplar, so nothing trains and judges. One rank calls
/// it. Throws DataError when the set is too small or has no scores of all exemplars, and when higher scores do not go
/// with true exemplars; UsageError for folds that are too many.
nlohmann::ordered_json calibrate_scores(const store::Store& results, const Truth& truth,
                                        const CalibrateOptions& options);

}  // namespace outsole::retrieval
