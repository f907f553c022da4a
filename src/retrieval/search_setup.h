#pragma once
// What a search and its plan both need before the first mark: marks, index, code path, teams, memory.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/partition.h"
#include "core/errors.h"
#include "retrieval/earlier_marks.h"
#include "retrieval/open_index.h"
#include "retrieval/search.h"
#include "retrieval/search_metric.h"
#include "retrieval/search_path.h"

namespace outsole::retrieval {

struct SearchSetup {
  std::vector<std::filesystem::path> marks;  // as rank 0 sees them, without those that the results hold
  std::vector<NotRead> not_read;             // what lies among them besides; on rank 0
  EarlierMarks earlier;                      // what the results hold
  OpenIndex index;
  SearchPath path;
  SearchMetrics metrics;
  at::Tensor subtracted;    // from the stored maps, for a similarity that wants that (match::subtracted_from_maps)
  std::int64_t blocks = 0;  // of the database, or of that planned for
  std::int64_t marks_per_unit = 1, units = 0;  // of these marks; in the results those of the earlier ones come first
  std::int64_t view_bytes = 0;                 // a mark's views, at most
  std::int64_t mark_bytes = 0;                 // one mark ready to be searched, and the candidates found for it
  std::int64_t device_bytes = 0;               // of the GPU that searches, for this rank; 0: the CPU does
  std::int64_t block_memory_bytes = 0;         // what is left of the memory given for blocks, with two such marks

  /// The blocks that its kernel wants to be given.
  BlockAccess block_access() const;
  /// Of what is compared: the index's, or a metric's components.
  std::int64_t channels() const { return metrics.metrics.front().components(); }

  /// The marks of a unit.
  std::span<const std::filesystem::path> marks_of_unit(std::int64_t unit) const;
};

/// Opens the index and checks the options against it. With plan_exemplars the parameters tell of so many, which the
/// store does not hold. Collective; throws on every rank: UsageError, DataError, EnvironmentError naming the least
/// memory that will do.
SearchSetup set_up_search(const comm::Communicator& comm, const SearchOptions& options);

/// How many candidates of a mark are kept: its top, unless all scores are wanted.
std::int64_t candidates_a_mark(const SearchSetup& setup, const SearchOptions& options);

/// The work on so many units of marks, as ranks are cut into teams for it.
comm::TeamWork team_work(const SearchSetup& setup, const SearchOptions& options, std::int64_t units);

/// The teams for it: as many as the options say, or the best number.
comm::Teams teams_for(const SearchSetup& setup, const SearchOptions& options, std::int64_t units, int ranks);

/// How many marks share a pass over blocks that are streamed, or widened: as many as fit into the memory for blocks, up
/// to a number that makes reading cheap, since what a pass has found is lost when the job is killed. One with --coarse.
/// `kept_bytes` of that memory hold blocks.
std::int64_t most_marks_a_pass(const SearchSetup& setup, const SearchOptions& options, std::int64_t kept_bytes = 0);

/// Of a mark whose support the erosion has eaten.
DataError no_support_left(const std::filesystem::path& file);

/// Of a mark without has_contrast.
DataError no_contrast(const std::filesystem::path& file);

}  // namespace outsole::retrieval
