#pragma once
// Image files to a store, spread over ranks: the same for every kind of image.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "image/image.h"
#include "ingest/image_sources.h"
#include "store/store.h"

namespace outsole::ingest {

using image::Oddity;

/// What differs between kinds of images: the store's layout, and what the manifest must say.
struct IngestKind {
  std::string schema;
  std::int32_t version = 1;                              // of the schema
  nlohmann::json parameters = nlohmann::json::object();  // of the store's header, besides what every ingest notes there
  std::vector<std::string> columns;  // of the manifest, those that mean something here; others are kept as text
  /// A unit is at least so many files or bytes of files.
  std::int64_t min_unit_files = 64;
  std::int64_t min_unit_bytes = std::int64_t{64} << 20;
  /// Adds to what the manifest says of the images what follows from it; returns what it assumed, one sentence each.
  /// Throws DataError naming rows. No function: nothing follows.
  std::function<std::vector<std::string>(std::span<ImageSource> sources)> complete;
  /// Throws DataError naming the manifest's row when it does not say what it must.
  std::function<void(const ImageSource& source)> check;
  /// Throws DataError naming rows that contradict each other; returns what it assumed, one sentence each. No function:
  /// rows have nothing to do with each other.
  std::function<std::vector<std::string>(std::span<const ImageSource> sources)> check_together;
  /// An image as one row of the store; nullptr in place of an image: no row, but all columns.
  std::function<store::Columns(const ImageSource& source, const image::DecodedImage* image)> row;
  /// Nothing odd: an empty `what`. No function: nothing ever is.
  std::function<Oddity(const ImageSource& source, const image::DecodedImage& image)> oddity;
};

struct IngestOptions {
  std::vector<std::filesystem::path> inputs;  // image files, or folders of them
  bool recursive = false;                     // with the folders below
  std::optional<std::filesystem::path> manifest;
  std::vector<ColumnFilter> where;  // of each column one must hold
  std::filesystem::path output;     // NAME.h5
  image::DecodeLimits limits;
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank
  bool strict = false;                                // one bad file, or a manifest that does not fit, stops the job
  bool lenient = false;                               // what the manifest says in vain does not stop it
  std::vector<std::string> command_line;              // for provenance
};

/// A file without a row in the store; `reason` names it.
struct SkippedFile {
  std::string file;
  std::string reason;
};

/// An oddity of some images of this run.
struct Remark {
  std::string what;
  std::int64_t images = 0;
  std::vector<std::string> first;  // a few of their names, with details
};

struct IngestSummary {
  std::int64_t files = 0;
  std::int64_t images = 0;
  std::int64_t colour_images = 0;  // converted to grey
  std::int64_t sixteen_bit_images = 0;
  std::int64_t mirrored_images = 0;
  std::map<double, std::int64_t> images_of_dpi;  // how many have which resolution; 0: they do not say it
  bool was_finished = false;                     // the store was there already, made by the same command
  std::vector<SkippedFile> skipped;
  std::vector<NotRead> not_read;  // what lies among the inputs besides
  std::vector<std::string> manifest_mismatches;
  std::vector<std::string> assumptions;              // how the manifest was understood, one sentence each
  std::vector<std::vector<std::string>> duplicates;  // ids of images that are one
  std::vector<Remark> remarks;
};

struct IngestFacts {
  std::int64_t files = 0;
  std::int64_t file_bytes = 0;
  std::int64_t units = 0;
};

/// What ingest_images would do. Collective; every rank gets them.
IngestFacts ingest_facts(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind);

/// Reads the images and writes `options.output`, one unit of files (cut by the files alone) per shard, with provenance
/// beside it. A file that is no readable image is named, counted and left out; one that is gone ends the job. Carries
/// on from the shards of an interrupted run, but for those with files that may have changed since (file_stamp). Beside
/// a finished store nothing is read unless a file's size or times are other than its provenance says; then all are held
/// against the SHA-256 that the store has, and DataError names one that was edited since. Collective; the summary is
/// rank 0's. Throws on every rank: UsageError, DataError (see list_image_sources; any bad file under
/// `strict`; no readable file at all), EnvironmentError, and StopRequested at the end of a unit after a signal.
IngestSummary ingest_images(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind);

}  // namespace outsole::ingest
