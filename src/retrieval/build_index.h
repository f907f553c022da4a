#pragma once
// Exemplars to feature maps, laid out for the search, spread over ranks.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "retrieval/index_parameters.h"

namespace outsole::retrieval {

inline constexpr std::int64_t kImagesPerPass = 8;  // of the extractor; bounds the memory of a forward pass

struct FrameSize {
  std::int64_t height_px = 0, width_px = 0;
};

struct BuildIndexOptions {
  std::filesystem::path exemplars;  // a store of schema outsole.exemplars
  std::filesystem::path output;     // NAME.h5
  std::filesystem::path metric;     // METRIC.h5, whose projections the maps go through; empty: none
  /// INDEX.h5 that this one is to be searched with as one database: extractor, scale, frame, border, precision, mean
  /// grey and what the channels are measured by are that one's, whatever is said here; of the extractor only
  /// `weights_path` counts, and `metric` must be the one that its maps are projected by. Empty: none.
  std::filesystem::path like;
  features::ExtractorSpec extractor;  // mean_grey is found from the exemplars
  double image_scale = 0.5;
  std::optional<FrameSize> frame;      // of the exemplars' own resolution; the largest height and width if not given
  std::int64_t precision_bits = 32;    // or 16, 8
  double erosion_fraction = 0.1;       // of the search to come: decides the default border
  std::optional<double> exemplar_dpi;  // of all exemplars, whatever their store says; none: as that says
  std::optional<std::int64_t> border_cells;           // left out of the maps: no support can lie there
  std::int64_t plan_exemplars = 0;                    // facts as if there were so many; 0: those there are
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank, the whole process
  at::Device device = at::Device(at::kCPU);
  std::vector<std::string> command_line;
};

struct BuildIndexFacts {
  IndexParameters parameters;
  std::int64_t blocks_per_unit = 1;
  std::int64_t units = 0;
  std::int64_t bytes = 0;              // of all maps
  double flops = 0;                    // of all forward passes
  std::int64_t memory_bytes = 0;       // that a rank needs at least
  std::int64_t cropped_exemplars = 0;  // larger than the frame: only their first rows and middle columns are seen
  std::int64_t without_dpi = 0;        // exemplars that do not say their resolution, where others do
};

/// With the options that `like` decides. Reads that index. Throws DataError where it is of a version that does not keep
/// what another one needs, UsageError where `metric` is not its own. Not collective.
BuildIndexOptions completed(BuildIndexOptions options);

/// What build_index would do. Reads the exemplars' sizes, not their pixels (mean_grey is 0). Not collective.
BuildIndexFacts index_facts(const BuildIndexOptions& options);

/// Brings every exemplar to the frame (mirrored where its record says so; white around it: below, and on both sides),
/// scales it, computes its maps, and writes them as blocks. Warns of exemplars of equal pixels; provenance names all.
/// The resolution that all exemplars have is kept; where only some say theirs, it is not known. A unit is some blocks,
/// cut by the data alone: the bytes do not depend on the ranks. Carries on from the shards of an interrupted run.
/// Collective; throws on every rank: UsageError, DataError (also where exemplars differ in resolution),
/// EnvironmentError, StopRequested at the end of a unit after a signal.
void build_index(const comm::Communicator& comm, const BuildIndexOptions& options);

}  // namespace outsole::retrieval
