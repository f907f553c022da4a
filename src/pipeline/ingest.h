#pragma once
// Image files to a store of exemplars, spread over ranks.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "image/image.h"
#include "pipeline/exemplar_sources.h"

namespace outsole::pipeline {

struct IngestOptions {
  std::vector<std::filesystem::path> inputs;  // image files, or folders of them
  std::optional<std::filesystem::path> manifest;
  std::vector<ColumnFilter> where;  // all must hold
  std::filesystem::path output;     // NAME.h5
  image::DecodeLimits limits;
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank
  bool strict = false;                                // one bad file, or a manifest that does not fit, stops the job
  std::vector<std::string> command_line;              // for provenance
};

/// A file without a row in the store; `reason` names it.
struct SkippedFile {
  std::string file;
  std::string reason;
};

struct IngestSummary {
  std::int64_t files = 0;
  std::int64_t images = 0;
  std::int64_t colour_images = 0;  // converted to grey
  std::int64_t sixteen_bit_images = 0;
  std::int64_t mirrored_images = 0;
  bool was_finished = false;  // the store was there already, made by the same command
  std::vector<SkippedFile> skipped;
  std::vector<std::string> manifest_mismatches;
};

struct IngestPlan {
  std::int64_t files = 0;
  std::int64_t file_bytes = 0;
  std::int64_t units = 0;
};

/// What ingest_exemplars would do. Collective; every rank gets the plan.
IngestPlan plan_ingest(const comm::Communicator& comm, const IngestOptions& options);

/// Reads the images and writes `options.output`, one unit of files (cut by the files alone) per shard, with provenance
/// beside it. An unreadable file is named, counted and left out. Carries on from the shards of an interrupted run;
/// files are told apart by name and size, so replace a file by one of another size or start afresh. Collective; the
/// summary is rank 0's. Throws on every rank: UsageError, DataError (see list_exemplar_sources; any bad file under
/// `strict`; no readable file at all), EnvironmentError, and StopRequested at the end of a unit after a signal.
IngestSummary ingest_exemplars(const comm::Communicator& comm, const IngestOptions& options);

}  // namespace outsole::pipeline
