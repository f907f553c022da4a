#pragma once
// Several searches of the same marks as one: by other features, similarities or filters of the marks. What one of them
// misses another may find.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace outsole::retrieval {

/// What of each search is averaged.
enum class FusedBy {
  kLevel,  // how far a score lies above the median of its mark's scores, in their robust spread (level_of)
  kScore   // the score itself: for searches whose scores are of one kind
};

/// level | score. Throws UsageError.
FusedBy fused_by_named(const std::string& name);

struct FuseOptions {
  std::vector<std::filesystem::path> results;  // of searches that kept all scores
  std::vector<double> shares;                  // of each in the average, as ratios; empty: all alike
  FusedBy by = FusedBy::kLevel;
  std::filesystem::path output, csv;  // csv: the candidates as a table; empty: none
  std::int64_t top = 20;
  bool strict = false;  // a mark that some searches lack is refused
  std::vector<std::string> command_line;
};

struct FuseSummary {
  std::int64_t marks = 0, exemplars = 0;
  std::vector<std::string> left_out;  // ids of marks that some of the searches do not hold
  bool was_finished = false;
};

/// One exemplar of a mark.
struct FusedScore {
  double score = 0;        // the weighted mean over the searches
  std::size_t search = 0;  // that adds most to it: its pose is the exemplar's
};

/// Fuses the scores [exemplars] that each search gave one mark; `shares` sum to 1. Throws DataError where a search
/// has no score of an exemplar, or half of its scores are equal and levels are wanted.
std::vector<FusedScore> fuse_scores(std::span<const std::vector<float>> scores_of_searches,
                                    std::span<const double> shares, FusedBy by);

/// Results (with all scores) of the marks that all searches hold; the header keeps what the searches have in common
/// and, under `fused`, in what each differs. Masks and scales are the first search's. Ranks share the marks; results do
/// not depend on how. Throws on every rank UsageError for less than two searches or other shares than searches;
/// DataError naming the file where one kept only its best, searched other exemplars, or laid a mark of this name out of
/// another file or at another scale, or `strict` and a mark that one lacks; and as store::make_store. Collective; the
/// summary is rank 0's.
FuseSummary fuse(const comm::Communicator& comm, const FuseOptions& options);

}  // namespace outsole::retrieval
