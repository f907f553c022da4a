#include "ingest/ingest.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>
#include <ranges>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "store/write_units.h"
#include "store/image_rows.h"

namespace outsole::ingest {

namespace fs = std::filesystem;

namespace {

/// The sources [begin, end) that make one unit: one shard of the store.
struct FileRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

using Reasons = std::unordered_map<std::string, std::string>;  // why a file (by its id) has no row

// --- One list on all ranks ------------------------------------------------------------------------------------------

std::string encode(const SourceList& list) {
  nlohmann::json sources = nlohmann::json::array();
  for (const ImageSource& s : list.sources) {
    sources.push_back({s.file.string(), s.id, s.file_bytes, s.metadata, s.manifest_row});
  }
  const auto bytes = nlohmann::json::to_cbor({{"sources", sources}, {"mismatches", list.mismatches}});
  return {bytes.begin(), bytes.end()};
}

SourceList decode(const std::string& bytes) {
  const auto message = nlohmann::json::from_cbor(bytes);
  SourceList list{{}, message.at("mismatches").get<std::vector<std::string>>()};
  for (const auto& s : message.at("sources")) {
    list.sources.push_back({s[0].get<std::string>(), s[1], s[2], s[3], s[4]});
  }
  return list;
}

void tell_mismatches(const SourceList& list, bool strict) {
  if (list.mismatches.empty()) return;
  if (strict) throw DataError(list.mismatches.front() + " (--strict)");
  constexpr std::size_t kTold = 10;
  for (std::size_t i = 0; i < std::min(kTold, list.mismatches.size()); ++i) spdlog::warn("{}", list.mismatches[i]);
  if (list.mismatches.size() > kTold) {
    spdlog::warn("and {} more rows or files that do not fit together", list.mismatches.size() - kTold);
  }
}

/// Names the columns that are only kept, once: 'mirrored' may have been meant as 'mirror'.
void tell_other_columns(const SourceList& list, const IngestKind& kind) {
  constexpr std::size_t kTold = 10;
  std::set<std::string> others;
  for (const ImageSource& source : list.sources) {
    for (const auto& [column, value] : source.metadata.items()) others.insert(column);
  }
  for (const std::string& column : kind.columns) others.erase(column);
  if (others.empty()) return;
  std::string names;
  for (const std::string& column : others | std::views::take(kTold)) {
    names += (names.empty() ? "'" : ", '") + column + "'";
  }
  if (others.size() > kTold) names += ", ... (" + std::to_string(others.size()) + " in all)";
  spdlog::info("columns of the manifest that mean nothing to this job are kept as they are: {}", names);
}

/// Rank 0 looks at the file system; all ranks get what it saw.
SourceList agreed_sources(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  std::string message;
  comm.together([&] {
    if (options.output.extension() != ".h5") {
      throw UsageError("--output " + options.output.string() + ": a store's name ends in .h5");
    }
    if (!comm.is_root()) return;
    const SourceList list = list_image_sources(options.inputs, options.manifest, options.where);
    tell_mismatches(list, options.strict);
    tell_other_columns(list, kind);
    for (const ImageSource& source : list.sources) kind.check(source);
    message = encode(list);
  });
  return decode(comm.broadcast(message));
}

/// Units as small as the kind allows, larger where there would be more than about 512 of them.
std::vector<FileRange> cut_into_units(std::span<const ImageSource> sources, const IngestKind& kind) {
  constexpr std::int64_t kUnits = 512;
  const auto total_bytes = std::accumulate(sources.begin(), sources.end(), std::int64_t{0},
                                           [](std::int64_t sum, const auto& s) { return sum + s.file_bytes; });
  const auto unit_files = std::max(kind.min_unit_files, divide_up(static_cast<std::int64_t>(sources.size()), kUnits));
  const auto unit_bytes = std::max(kind.min_unit_bytes, divide_up(total_bytes, kUnits));
  std::vector<FileRange> units;
  std::int64_t files = unit_files, bytes = 0;  // of the last unit; "full", so that the first file opens one
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (files >= unit_files || bytes >= unit_bytes) {
      units.push_back({i, i});
      files = bytes = 0;
    }
    units.back().end = i + 1;
    ++files;
    bytes += sources[i].file_bytes;
  }
  return units;
}

/// What the store is made from: names, sizes and manifest of the files, so that another place gives the same bytes.
std::string digest_of(std::span<const ImageSource> sources) {
  Sha256 hash;
  for (const ImageSource& s : sources) {
    const nlohmann::json line = {s.file.filename().string(), s.file_bytes, s.metadata};
    const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    hash.update(std::as_bytes(std::span(text)));
  }
  return hash.hex();
}

/// Of each unit's files as they are now, before any is read: a file edited in place changes its unit's stamp.
std::vector<std::string> stamps_of(std::span<const ImageSource> sources, std::span<const FileRange> units) {
  std::vector<std::string> stamps;
  for (const FileRange& unit : units) {
    std::string text;
    for (const ImageSource& s : sources.subspan(unit.begin, unit.end - unit.begin)) text += file_stamp(s.file) + "\n";
    stamps.push_back(sha256_of(std::as_bytes(std::span(text))));
  }
  return stamps;
}

store::StoreHeader header_of(std::span<const ImageSource> sources, const image::DecodeLimits& limits,
                             const IngestKind& kind) {
  nlohmann::json parameters = kind.parameters;
  parameters["files"] = sources.size();
  parameters["inputs_sha256"] = digest_of(sources);
  parameters["max_file_bytes"] = limits.max_file_bytes;
  parameters["max_pixels"] = limits.max_pixels;
  return {kind.schema, 1, std::move(parameters)};
}

// --- One unit -------------------------------------------------------------------------------------------------------

store::Columns read_row(const ImageSource& source, const image::DecodeLimits& limits, const IngestKind& kind) {
  const image::DecodedImage image = image::read_image(source.file, limits);
  if (!image.support.empty()) {
    spdlog::warn("{}: transparent pixels count as the grey they hold; only marks have support masks",
                 source.file.string());
  }
  return kind.row(source, &image);
}

/// The rows of one unit; `reasons` gains the files that have none.
store::Columns read_unit(std::span<const ImageSource> sources, const IngestOptions& options, const IngestKind& kind,
                         Reasons& reasons) {
  store::Columns unit = kind.row({}, nullptr);
  for (const ImageSource& source : sources) {
    try {
      store::append_rows(unit, read_row(source, options.limits, kind));
    } catch (const DataError& error) {
      if (options.strict) throw;
      spdlog::warn("skipped: {}", error.what());
      reasons[source.id] = error.what();
      continue;
    }
    const std::int64_t bytes = std::ssize(std::get<std::vector<std::uint8_t>>(unit.at("pixels").values));
    if (2 * bytes > options.memory_bytes) {  // the unit, and a new image
      throw EnvironmentError("the images around " + source.file.string() + " need more than " +
                             format_bytes(static_cast<double>(options.memory_bytes)) + "; raise --memory-gib");
    }
  }
  return unit;
}

// --- All units ------------------------------------------------------------------------------------------------------

/// Why files of this run have no row, on rank 0.
Reasons gathered(const comm::Communicator& comm, const Reasons& reasons) {
  const auto bytes = nlohmann::json::to_cbor(nlohmann::json(reasons));
  Reasons all;
  for (const std::string& message : comm.gather({bytes.begin(), bytes.end()})) {
    all.merge(nlohmann::json::from_cbor(message).get<Reasons>());
  }
  return all;
}

/// Writes what is missing of the store; the reasons, on rank 0, why files have no row.
Reasons write_units(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind,
                    std::span<const ImageSource> sources, std::span<const FileRange> units,
                    std::span<const std::int64_t> pending, store::StoreWriter& writer) {
  Reasons reasons;
  std::int64_t images = 0;
  store::write_pending_units(comm, writer, std::ssize(units), pending, "ingesting", [&](std::int64_t unit) {
    const FileRange& range = units[static_cast<std::size_t>(unit)];
    store::Columns columns = read_unit(sources.subspan(range.begin, range.end - range.begin), options, kind, reasons);
    images += columns.at("id").shape[0];
    return columns;
  });
  const bool carries_on = pending.size() < units.size();
  const bool is_empty = comm.sum(images) == 0 && !carries_on;
  const Reasons all = gathered(comm, reasons);
  comm.together([&] {
    if (is_empty && comm.is_root()) throw DataError("no image could be read; the first: " + all.begin()->second);
  });
  return all;
}

// --- What became of it ----------------------------------------------------------------------------------------------

/// The reason that an earlier run had for leaving a file out: reading it again fails again.
std::string find_reason(const ImageSource& source, const image::DecodeLimits& limits) {
  try {
    image::read_image(source.file, limits);
  } catch (const Error& error) {
    return error.what();
  }
  return source.file.string() + ": could not be read by an earlier run";
}

/// Compares the finished store with the sources: a source without a row was skipped, by this run or an earlier one.
IngestSummary summarize(const IngestOptions& options, const SourceList& list, const Reasons& reasons) {
  const store::Store store(options.output);
  IngestSummary summary;
  summary.files = static_cast<std::int64_t>(list.sources.size());
  summary.images = store.rows();
  summary.manifest_mismatches = list.mismatches;
  const auto ids = store::read_values<std::string>(store, "id");
  const std::unordered_set<std::string> stored_ids(ids.begin(), ids.end());
  summary.colour_images = std::ranges::count(store::read_values<std::uint8_t>(store, "was_colour"), 1);
  summary.sixteen_bit_images = std::ranges::count(store::read_values<std::int32_t>(store, "bit_depth"), 16);
  if (store.has("mirror")) {
    summary.mirrored_images = std::ranges::count(store::read_values<std::uint8_t>(store, "mirror"), 1);
  }
  for (const ImageSource& source : list.sources) {
    if (stored_ids.contains(source.id)) continue;
    const auto reason = reasons.find(source.id);
    summary.skipped.push_back(
        {source.file.string(), reason != reasons.end() ? reason->second : find_reason(source, options.limits)});
  }
  return summary;
}

nlohmann::json details_of(const IngestSummary& summary) {
  nlohmann::json skipped = nlohmann::json::array();
  for (const SkippedFile& file : summary.skipped) skipped.push_back({{"file", file.file}, {"reason", file.reason}});
  return {{"files", summary.files},
          {"images", summary.images},
          {"colour_images", summary.colour_images},
          {"manifest_mismatches", summary.manifest_mismatches},
          {"skipped", skipped}};
}

/// Rank 0's last step: provenance is written where it is missing, and --strict looks at earlier runs' skipped files
/// too.
IngestSummary conclude(const comm::Communicator& comm, const IngestOptions& options, const SourceList& list,
                       const Reasons& reasons, bool was_finished) {
  IngestSummary summary = summarize(options, list, reasons);
  summary.was_finished = was_finished;
  write_provenance(options.output, options.command_line, comm.size(), details_of(summary), was_finished);
  if (options.strict && !summary.skipped.empty()) {
    throw DataError(summary.skipped.front().reason + " (skipped by an earlier run without --strict; remove " +
                    options.output.string() + " and its shards to start afresh)");
  }
  return summary;
}

}  // namespace

IngestPlan plan_ingest(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  const SourceList list = agreed_sources(comm, options, kind);
  IngestPlan plan;
  plan.files = static_cast<std::int64_t>(list.sources.size());
  plan.units = static_cast<std::int64_t>(cut_into_units(list.sources, kind).size());
  for (const ImageSource& source : list.sources) plan.file_bytes += source.file_bytes;
  return plan;
}

IngestSummary ingest_images(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  const SourceList list = agreed_sources(comm, options, kind);
  const std::vector<FileRange> units = cut_into_units(list.sources, kind);
  const auto unit_count = static_cast<std::int64_t>(units.size());

  std::optional<store::StoreWriter> writer;
  store::open_writer(comm, options.output, header_of(list.sources, options.limits, kind), unit_count, writer,
              comm.is_root() ? stamps_of(list.sources, units) : std::vector<std::string>());
  const bool was_finished = comm.any_of(writer->is_finished());
  Reasons reasons;
  if (!was_finished) {
    const std::vector<std::int64_t> pending = store::agreed_pending_units(comm, *writer, unit_count);
    const bool is_first_run = pending.size() == units.size();
    try {
      reasons = write_units(comm, options, kind, list.sources, units, pending, *writer);
    } catch (const DataError&) {
      // The error is every rank's. Once the file is mended the shards would not fit its new list: leave none behind.
      writer.reset();
      comm.barrier();
      if (comm.is_root() && is_first_run) fs::remove_all(fs::path(options.output).replace_extension(".shards"));
      throw;
    }
    store::finish_store(comm, *writer, unit_count);
  }
  IngestSummary summary;
  comm.together([&] {
    if (comm.is_root()) summary = conclude(comm, options, list, reasons, was_finished);
  });
  return summary;
}

}  // namespace outsole::ingest
