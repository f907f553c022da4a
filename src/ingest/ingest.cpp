#include "ingest/ingest.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <ranges>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "comm/from_root.h"
#include "comm/partition.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "ingest/duplicates.h"
#include "store/image_rows.h"
#include "store/make_store.h"

namespace outsole::ingest {

namespace fs = std::filesystem;

namespace {

/// The sources [begin, end) that make one unit: one shard of the store.
struct FileRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

using Reasons = std::unordered_map<std::string, std::string>;  // why a file (by its id) has no row
using Digests = std::map<std::string, std::string>;            // of pixels, by id

// --- One list on all ranks ------------------------------------------------------------------------------------------

nlohmann::json json_of(const SourceList& list) {
  nlohmann::json sources = nlohmann::json::array();
  for (const ImageSource& s : list.sources) {
    sources.push_back({s.file.string(), s.id, s.file_bytes, s.metadata, s.manifest_row});
  }
  return {{"sources", sources}, {"rows", list.rows_without_file}, {"files", list.files_without_row}};
}

SourceList list_from(const nlohmann::json& message) {
  SourceList list;
  list.rows_without_file = message.at("rows");
  list.files_without_row = message.at("files");
  for (const auto& s : message.at("sources")) {
    list.sources.push_back({s[0].get<std::string>(), s[1], s[2], s[3], s[4]});
  }
  return list;
}

/// Rows of the manifest without a file, then files without a row.
std::vector<std::string> mismatches_of(const SourceList& list) {
  std::vector<std::string> all = list.rows_without_file;
  all.insert(all.end(), list.files_without_row.begin(), list.files_without_row.end());
  return all;
}

/// A few rows by name; files in one line, since a manifest may speak of a few only. Provenance names them all.
void tell_mismatches(const SourceList& list, bool strict) {
  const std::vector<std::string>&rows = list.rows_without_file, &files = list.files_without_row;
  if (strict && !(rows.empty() && files.empty())) throw DataError(mismatches_of(list).front() + " (`strict`)");
  constexpr std::size_t kTold = 10;
  for (std::size_t i = 0; i < std::min(kTold, rows.size()); ++i) spdlog::warn("{}", rows[i]);
  if (rows.size() > kTold) spdlog::warn("and {} more rows of the manifest without a file", rows.size() - kTold);
  if (files.size() == 1) spdlog::warn("{}", files.front());
  if (files.size() > 1)
    spdlog::warn("{} files have no row in the manifest; the first: {}", files.size(), files.front());
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

/// Rank 0 looks at the file system; all ranks get what it saw, but for what is only told.
SourceList agreed_sources(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  SourceList seen;  // on rank 0
  SourceList agreed = list_from(comm::json_from_root(comm, [&] {
    if (options.output.extension() != ".h5") {
      throw UsageError("`output` " + options.output.string() + ": a store's name ends in .h5");
    }
    seen = list_image_sources({.inputs = options.inputs,
                               .recursive = options.recursive,
                               .manifest = options.manifest,
                               .where = options.where,
                               .columns = kind.columns,
                               .lenient = options.lenient});
    tell_mismatches(seen, options.strict);
    tell_other_columns(seen, kind);
    const auto assume = [&](const std::vector<std::string>& more) {
      seen.assumptions.insert(seen.assumptions.end(), more.begin(), more.end());
    };
    if (kind.complete) assume(kind.complete(seen.sources));
    for (const ImageSource& source : seen.sources) kind.check(source);
    if (kind.check_together) assume(kind.check_together(seen.sources));
    return json_of(seen);
  }));
  agreed.not_read = std::move(seen.not_read);
  agreed.assumptions = std::move(seen.assumptions);
  return agreed;
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
  return {kind.schema, kind.version, std::move(parameters)};
}

// --- One unit -------------------------------------------------------------------------------------------------------

/// Rank 0 has listed the files; this rank may be on another machine, and a file may still be growing.
void require_listed_size(const ImageSource& source) {
  std::error_code error;
  const auto bytes = fs::file_size(source.file, error);
  if (error || source.file_bytes == 0 || std::cmp_equal(bytes, source.file_bytes)) return;
  throw EnvironmentError(source.file.string() + ": has " + std::to_string(bytes) + " bytes here, and " +
                         std::to_string(source.file_bytes) +
                         " where it was listed; do all ranks see the same folders, and is nobody writing to them?");
}

/// What was odd about images, each remark once.
class Remarks {
 public:
  void add(const ImageSource& source, const Oddity& oddity) {
    if (oddity.what.empty()) return;
    const std::string detail = oddity.detail.empty() ? "" : " (" + oddity.detail + ")";
    add({oddity.what, 1, {source.file.string() + detail}});
  }
  void add(const Remark& more) {
    auto known = std::ranges::find(all_, more.what, &Remark::what);
    if (known == all_.end()) known = all_.insert(all_.end(), {more.what, 0, {}});
    known->images += more.images;
    for (const std::string& name : more.first) {
      if (known->first.size() < kNamed) known->first.push_back(name);
    }
  }
  const std::vector<Remark>& all() const { return all_; }

 private:
  static constexpr std::size_t kNamed = 3;
  std::vector<Remark> all_;
};

Oddity transparency_of(const image::DecodedImage& image) {
  if (image.support.empty()) return {};
  return {"transparent pixels count as paper; only marks have support masks", ""};
}

bool is_mostly_below(const cv::Mat& grey, double level) {
  return 2 * cv::countNonZero(grey < level) > static_cast<std::int64_t>(grey.total());
}

/// Paper is light: where most of a picture and most of each of its borders are darker than a quarter of white, it is a
/// negative (also one with bright ink), or its scanner's lid stood open. Marks may be so; exemplars and scans are not.
Oddity darkness_of(const image::DecodedImage& image) {
  const cv::Mat& grey = image.grey;
  const double quarter = grey.depth() == CV_16U ? 16384 : 64, tenth = grey.depth() == CV_16U ? 6553 : 25;
  double brightest = 0;
  cv::minMaxLoc(grey, nullptr, &brightest);
  if (brightest < tenth) return {};  // said where the picture was read
  for (const cv::Mat& part : {grey, grey.row(0), grey.row(grey.rows - 1), grey.col(0), grey.col(grey.cols - 1)}) {
    if (!is_mostly_below(part, quarter)) return {};
  }
  return {"dark up to its borders: a negative, or a scan without paper", ""};
}

/// Makes the units of one rank.
class UnitMaker {
 public:
  UnitMaker(const IngestOptions& options, const IngestKind& kind) : options_(options), kind_(kind) {}

  /// The rows of one unit.
  store::Columns operator()(std::span<const ImageSource> sources) {
    store::Columns unit = kind_.row({}, nullptr);
    std::int64_t bytes = 0;
    for (const ImageSource& source : sources) {
      try {
        store::append_rows(unit, read_row(source));
      } catch (const DataError& error) {
        if (options_.strict) throw;
        spdlog::warn("skipped: {}", error.what());
        reasons_[source.id] = error.what();
        continue;
      }
      bytes = std::ssize(std::get<std::vector<std::uint8_t>>(unit.at("pixels").values));
      require_memory(bytes, source);
    }
    images_ += unit.at("id").shape[0];
    bytes_before_ = bytes;
    return unit;
  }

  std::int64_t images() const { return images_; }
  /// The files without a row.
  const Reasons& reasons() const { return reasons_; }
  const Remarks& remarks() const { return remarks_; }
  /// Of the images' pixels, where the store does not keep them.
  const Digests& digests() const { return digests_; }

 private:
  store::Columns read_row(const ImageSource& source) {
    require_listed_size(source);
    const image::DecodedImage image = image::read_image(source.file, options_.limits);
    store::Columns row = kind_.row(source, &image);
    if (!row.contains(kPixelsDigests)) {
      const auto& pixels = std::get<std::vector<std::uint8_t>>(row.at("pixels").values);
      digests_[source.id] = sha256_of(std::as_bytes(std::span(pixels)));
    }
    remarks_.add(source, transparency_of(image));
    remarks_.add(source, darkness_of(image));
    for (const Oddity& oddity : image.oddities) remarks_.add(source, oddity);
    if (kind_.oddity) remarks_.add(source, kind_.oddity(source, image));
    return row;
  }

  /// The unit, a new image, and the unit before, which is being written.
  void require_memory(std::int64_t unit_bytes, const ImageSource& source) const {
    if (2 * unit_bytes + bytes_before_ <= options_.memory_bytes) return;
    throw EnvironmentError("the images around " + source.file.string() + " need more than " +
                           format_bytes(static_cast<double>(options_.memory_bytes)) + "; raise `memory_gib`");
  }

  const IngestOptions& options_;
  const IngestKind& kind_;
  Reasons reasons_;
  Remarks remarks_;
  Digests digests_;
  std::int64_t images_ = 0, bytes_before_ = 0;
};

// --- All units ------------------------------------------------------------------------------------------------------

/// What ranks know of files, by id, on rank 0: why those of this run have no row, or digests of their pixels.
template <typename Texts>
Texts gathered(const comm::Communicator& comm, const Texts& texts) {
  const auto bytes = nlohmann::json::to_cbor(nlohmann::json(texts));
  Texts all;
  for (const std::string& message : comm.gather({bytes.begin(), bytes.end()})) {
    all.merge(nlohmann::json::from_cbor(message).get<Texts>());
  }
  return all;
}

nlohmann::json json_of(const std::vector<Remark>& remarks) {
  nlohmann::json all = nlohmann::json::array();
  for (const Remark& remark : remarks) {
    all.push_back({{"what", remark.what}, {"images", remark.images}, {"first", remark.first}});
  }
  return all;
}

/// The remarks of all ranks, on rank 0.
Remarks gathered(const comm::Communicator& comm, const Remarks& remarks) {
  const auto bytes = nlohmann::json::to_cbor(json_of(remarks.all()));
  Remarks all;
  for (const std::string& message : comm.gather({bytes.begin(), bytes.end()})) {
    for (const auto& remark : nlohmann::json::from_cbor(message)) {
      all.add({remark.at("what"), remark.at("images"), remark.at("first")});
    }
  }
  return all;
}

/// Throws DataError when no file of any rank could be read, and none by an earlier run.
void require_images(const comm::Communicator& comm, const UnitMaker& made, const Reasons& reasons, std::int64_t files) {
  const bool is_empty = comm.sum(made.images()) == 0;
  comm.together([&] {
    const bool read_all = std::ssize(reasons) == files;
    if (is_empty && read_all && comm.is_root()) {
      throw DataError("no image could be read; the first: " + reasons.begin()->second);
    }
  });
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
IngestSummary summarize(const IngestOptions& options, const SourceList& list, const Reasons& reasons,
                        const Digests& digests, bool was_finished) {
  // Of an interrupted run the pixels are read again, but not of the finished store each time that it is asked for.
  constexpr std::int64_t kMostReadAgain = std::int64_t{4} << 30;
  const store::Store store(options.output);
  IngestSummary summary;
  summary.was_finished = was_finished;
  summary.not_read = list.not_read;
  summary.assumptions = list.assumptions;
  summary.duplicates = find_duplicates(store, digests, was_finished ? 0 : kMostReadAgain);
  summary.files = static_cast<std::int64_t>(list.sources.size());
  summary.images = store.rows();
  summary.manifest_mismatches = mismatches_of(list);
  const auto ids = store::read_values<std::string>(store, "id");
  const std::unordered_set<std::string> stored_ids(ids.begin(), ids.end());
  summary.colour_images = std::ranges::count(store::read_values<std::uint8_t>(store, "was_colour"), 1);
  summary.sixteen_bit_images = std::ranges::count(store::read_values<std::int32_t>(store, "bit_depth"), 16);
  if (store.has("mirror")) {
    summary.mirrored_images = std::ranges::count(store::read_values<std::uint8_t>(store, "mirror"), 1);
  }
  if (store.has("dpi")) {
    const auto all = store::read_values<double>(store, "dpi");
    for (const double dpi : all) ++summary.images_of_dpi[dpi];
  }
  for (const ImageSource& source : list.sources) {
    if (stored_ids.contains(source.id)) continue;
    const auto reason = reasons.find(source.id);
    summary.skipped.push_back(
        {source.file.string(), reason != reasons.end() ? reason->second : find_reason(source, options.limits)});
  }
  return summary;
}

nlohmann::json json_of(const std::map<double, std::int64_t>& images_of_dpi) {
  nlohmann::json all = nlohmann::json::array();
  for (const auto& [dpi, images] : images_of_dpi) all.push_back({{"dpi", dpi}, {"images", images}});
  return all;
}

nlohmann::json details_of(const IngestSummary& summary) {
  nlohmann::json skipped = nlohmann::json::array();
  for (const SkippedFile& file : summary.skipped) skipped.push_back({{"file", file.file}, {"reason", file.reason}});
  return {{"files", summary.files},
          {"images", summary.images},
          {"colour_images", summary.colour_images},
          {"resolutions", json_of(summary.images_of_dpi)},
          {"account", account_of(static_cast<std::size_t>(summary.files), summary.not_read)},
          {"manifest_mismatches", summary.manifest_mismatches},
          {"assumptions", summary.assumptions},
          {"duplicates", summary.duplicates},
          {"remarks", json_of(summary.remarks)},
          {"skipped", skipped}};
}

// --- Files that were edited once their store was finished -----------------------------------------------------------

/// Of all files as they are now: for provenance, so that a later run of the command sees whether one may have changed.
std::string stamp_of_all(std::span<const std::string> stamps) {
  std::string text;
  for (const std::string& stamp : stamps) text += stamp + "\n";
  return sha256_of(std::as_bytes(std::span(text)));
}

constexpr char kStampKey[] = "inputs_stamp";

/// The stamp of the run that made the store; empty when no record of it says one.
std::string recorded_stamp(const fs::path& store) {
  const fs::path record = provenance_path(store);
  std::error_code ignored;
  if (!fs::exists(record, ignored)) return "";
  const nlohmann::json json = parse_json(read_text_file(record));
  const nlohmann::json::json_pointer place(std::string("/details/") + kStampKey);
  return json.is_object() && json.contains(place) && json[place].is_string() ? json[place].get<std::string>() : "";
}

bool can_be_read(const ImageSource& source, const image::DecodeLimits& limits) {
  try {
    image::read_image(source.file, limits);
    return true;
  } catch (const DataError&) {
    return false;
  }
}

/// Compares the files with the SHA-256 that the finished store has of them; one that it left out as bad must still be
/// bad. The ranks share the files. Collective; throws DataError naming one.
void require_unedited(const comm::Communicator& comm, const IngestOptions& options, const SourceList& list) {
  const auto store = store::Store::open_together(comm, options.output, "", {"id", "source_sha256"});
  const comm::UnitRange mine = comm::units_of(std::ssize(list.sources), comm.rank(), comm.size());
  comm.together([&] {
    const auto ids = store::read_values<std::string>(store, "id"),
               digests = store::read_values<std::string>(store, "source_sha256");
    std::unordered_map<std::string, std::string> digest_of_id;
    for (std::size_t row = 0; row < ids.size(); ++row) digest_of_id.emplace(ids[row], digests[row]);
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const ImageSource& source = list.sources[static_cast<std::size_t>(i)];
      const auto digest = digest_of_id.find(source.id);
      const bool has_row = digest != digest_of_id.end();
      const bool is_same =
          has_row ? sha256_of_file(source.file) == digest->second : !can_be_read(source, options.limits);
      if (is_same) continue;
      throw DataError(source.file.string() +
                      (has_row
                           ? ": was edited since " + options.output.string() + " was made from it (its SHA-256 differs)"
                           : ": can be read now, and " + options.output.string() + " was made without it") +
                      ". Remove that and its shards to make it anew, or choose another `output`");
    }
  });
}

/// --strict looks at earlier runs' skipped files, too. Collective.
void check_skipped(const comm::Communicator& comm, const IngestOptions& options, const IngestSummary& summary) {
  comm.together([&] {
    if (!options.strict || summary.skipped.empty()) return;
    throw DataError(summary.skipped.front().reason + " (skipped by an earlier run without `strict`; remove " +
                    options.output.string() + " and its shards to start afresh)");
  });
}

}  // namespace

IngestFacts ingest_facts(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  const SourceList list = agreed_sources(comm, options, kind);
  IngestFacts facts;
  facts.files = static_cast<std::int64_t>(list.sources.size());
  facts.units = static_cast<std::int64_t>(cut_into_units(list.sources, kind).size());
  for (const ImageSource& source : list.sources) facts.file_bytes += source.file_bytes;
  return facts;
}

IngestSummary ingest_images(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  const SourceList list = agreed_sources(comm, options, kind);
  const std::vector<FileRange> units = cut_into_units(list.sources, kind);
  UnitMaker maker(options, kind);
  Reasons reasons;  // of all ranks, on rank 0
  Remarks remarks;  // likewise
  Digests digests;  // likewise
  IngestSummary summary;
  std::string stamp, earlier_stamp;  // likewise

  store::StoreJob job;
  job.output = options.output;
  job.header = header_of(list.sources, options.limits, kind);
  job.units = std::ssize(units);
  comm.together([&] {
    if (!comm.is_root()) return;
    job.stamps = stamps_of(list.sources, units);
    stamp = stamp_of_all(job.stamps);
    earlier_stamp = recorded_stamp(options.output);
  });
  job.doing = "ingesting";
  job.command_line = options.command_line;
  job.leaves_nothing_after_bad_data = true;  // the shards would not fit the list of the mended files
  job.make = [&](std::int64_t unit, store::Columns) {
    const FileRange& range = units[static_cast<std::size_t>(unit)];
    return maker(std::span(list.sources).subspan(range.begin, range.end - range.begin));
  };
  job.made = [&] {
    reasons = gathered(comm, maker.reasons());
    remarks = gathered(comm, maker.remarks());
    digests = gathered(comm, maker.digests());
    require_images(comm, maker, reasons, std::ssize(list.sources));
  };
  job.conclude = [&](bool was_finished) {
    summary = summarize(options, list, reasons, digests, was_finished);
    summary.remarks = remarks.all();
    nlohmann::json details = details_of(summary);
    if (!was_finished) details[kStampKey] = stamp;
    return details;
  };
  const bool was_finished = store::make_store(comm, job);
  if (was_finished && comm.any_of(stamp != earlier_stamp)) require_unedited(comm, options, list);
  check_skipped(comm, options, summary);
  return summary;
}

}  // namespace outsole::ingest
