#pragma once
// Marks against a database of indexes: the best pose of every exemplar, ranked, in a store of results.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/partition.h"
#include "core/input_files.h"
#include "machine/scaling.h"
#include "retrieval/mark_account.h"
#include "retrieval/mark_features.h"
#include "store/store.h"

namespace outsole::retrieval {

struct SearchOptions {
  std::vector<std::filesystem::path> indexes;  // searched as one database
  std::filesystem::path exemplars_list;        // only these of it, and
  std::filesystem::path withdrawn;             // not these: see DatabaseOptions
  std::vector<std::filesystem::path> marks;    // image files, or folders of them
  bool recursive = false;                      // with the folders below
  std::filesystem::path output;                // NAME.h5
  std::filesystem::path csv;                   // empty: none
  std::string weights_path;                    // of the index's extractor, if it has weights
  std::filesystem::path metric;                // METRIC.h5; empty: plain MCNCC, or another similarity
  SearchProtocol protocol;
  std::int64_t top = 20;
  bool all_scores = false;
  /// Only so many exemplars of each mark, the best of a first pass over a coarse grid, are searched exhaustively; 0:
  /// all of them, without a first pass.
  std::int64_t coarse = 0;
  /// So many marks, spread evenly, are searched in full besides, to say what the first pass lost.
  std::int64_t coarse_recall = 0;
  std::int64_t plan_exemplars = 0;  // plan for an index of so many; 0: of those it has
  bool strict = false;
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank, the whole process
  double device_memory_gib = 0;                       // of a GPU, per rank; 0: see machine::device_share_bytes
  at::Device device = at::Device(at::kCPU);           // for features, and for a search in tensor operations
  std::string wanted_device = "cpu";                  // auto, cuda: a kernel for GPUs may be taken
  std::string kernel = "auto";                        // see agreed_kernel
  std::string compute_precision = "auto";
  int threads = 1;
  int mark_groups = 0;  // teams of ranks, of which each takes its own marks; 0: as many as end soonest. For tests
  std::vector<std::string> command_line;
};

/// What a search would do, in numbers; search_plan makes a plan of them.
struct SearchFacts {
  std::int64_t marks = 0, exemplars = 0, blocks = 0;
  std::int64_t poses = 0;   // over all marks
  double useful_flops = 0;  // 2 x support cells x channels, over poses and exemplars
  double feature_flops = 0;
  double fft_flops = 0;           // of the same search by FFT, the exemplars' spectra kept
  std::string path;               // the code that compares
  std::int64_t index_bytes = 0;   // as 32-bit floats
  std::int64_t stored_bytes = 0;  // as it is stored
  comm::Teams teams;              // each takes its own marks, its ranks share the exemplars
  bool in_memory = false;         // each rank keeps its blocks
  /// Useful operations a second of a rank, measured now on some marks and a block.
  double compare_gflops = 0;
  double seconds = 0;     // on the ranks there are
  machine::JobWork work;  // for other numbers of ranks
};

/// Reads a sample of the marks (all of up to 50), and times a few of them on a block of the index, on all ranks at
/// once. Collective.
SearchFacts search_facts(const comm::Communicator& comm, const SearchOptions& options);

/// What the first pass of --coarse lost, on the marks that were searched in full besides.
struct CoarseRecall {
  std::int64_t marks = 0;
  std::int64_t first_kept = 0;         // marks whose best exemplar was kept
  std::int64_t top = 0, top_kept = 0;  // exemplars in the lists of their best `top`; those kept
};

/// The marks of one resolution, and what brought them to the exemplars'.
struct MarkResolution {
  double dpi = 0;  // 0: not known
  double factor = 1;
  std::int64_t marks = 0;
};

/// Of the marks in results, ascending; none where the version does not tell. `exemplar_dpi` is the index's. One rank.
std::vector<MarkResolution> resolutions_of(const store::Store& results, double exemplar_dpi);
/// For provenance: [{"mark_dpi", "factor", "marks"}...].
nlohmann::json json_of(const std::vector<MarkResolution>& resolutions);

struct SearchSummary {
  std::int64_t marks = 0, exemplars = 0;
  std::int64_t files = 0;            // image files of marks that were given now
  std::int64_t marks_before = 0;     // of those, that the results held before: they are not searched again
  std::vector<std::string> skipped;  // a reason each, naming the file
  std::vector<NotRead> not_read;     // what lies among the marks besides
  bool was_finished = false;
  double exemplar_dpi = 0;                  // 0: not known
  std::vector<MarkResolution> resolutions;  // of the marks in the results, ascending
  MarkAccount marks_account;
  CoarseRecall coarse_recall;
  /// Of this run on this rank: waiting for marks' features, and all of the search with it.
  double seconds_features = 0, seconds_search = 0;
};

/// Searches all marks x all exemplars x all poses. Ranks are cut into teams: each takes its own marks, its ranks share
/// the blocks of exemplars; results do not depend on it. A mark that is no readable image is named, counted and left
/// out; one that is gone ends the job. Carries on at the marks that an interrupted run has not finished. Marks that
/// finished results do not hold are added to them, where everything but the marks is as it was. Collective; the summary
/// is rank 0's. Throws on every rank: UsageError, DataError, EnvironmentError, StopRequested after a mark.
SearchSummary search(const comm::Communicator& comm, const SearchOptions& options);

}  // namespace outsole::retrieval
