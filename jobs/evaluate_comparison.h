#pragma once
// The half of `evaluate` that compares methods on the same marks.

#include <filesystem>
#include <optional>

#include "job.h"
#include "retrieval/compare_results.h"

namespace outsole::jobs {

struct ComparisonEvaluation {
  retrieval::CompareOptions compare;
  std::optional<std::filesystem::path> precision_recall_figure;
};

void declare_comparison(ComparisonEvaluation& own, Options& options);

/// `evaluate comparison`, on rank 0: writes `output` and the figures there are to be, and gives the tables.
std::string evaluate_comparison(const ComparisonEvaluation& own, const std::filesystem::path& output,
                                const std::optional<std::filesystem::path>& figure, bool log_rank,
                                const JobContext& context);

}  // namespace outsole::jobs
