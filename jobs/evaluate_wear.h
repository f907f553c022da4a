#pragma once
// The half of `evaluate` that judges wear models.

#include <filesystem>
#include <optional>

#include "job.h"
#include "wear/evaluate_wear.h"

namespace outsole::jobs {

struct WearEvaluation {
  wear::EvaluateWearOptions evaluate;
  std::optional<std::filesystem::path> pictures;
};

void declare_wear(WearEvaluation& own, Options& options);

/// `evaluate wear`, on every rank: writes `output`, and where there is to be one the figure.
Report evaluate_wear(const WearEvaluation& own, const std::filesystem::path& output,
                     const std::optional<std::filesystem::path>& figure, const JobContext& context);

}  // namespace outsole::jobs
