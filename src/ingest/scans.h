#pragma once
// The collection of outsole scans: images as they came from the scanner, with shoe, foot and week.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "store/store.h"

namespace outsole::ingest {

inline constexpr char kScansSchema[] = "outsole.scans";

/// Which outsole a scan shows, and when.
struct ScanSubject {
  std::string shoe;  // one outsole: every scan of it bears this name
  std::string pair;  // the pair of shoes it belongs to
  std::string foot;  // "L" or "R"
  double week = 0;   // since the first scan of the shoe; not negative
};

/// One scan as its file held it.
struct ScanRecord {
  std::string id;
  std::int32_t height_px = 0;
  std::int32_t width_px = 0;
  std::int32_t bit_depth = 8;  // 8 or 16
  bool was_colour = false;     // the file was in colour; `pixels` are its grey values
  double dpi = 0;              // pixels an inch; 0: unknown
  ScanSubject subject;
  std::string source_sha256;                           // of the file
  nlohmann::json metadata = nlohmann::json::object();  // the manifest's other columns
  std::vector<std::uint8_t> pixels;                    // [height_px, width_px], 16 bit as two bytes, low byte first
};

/// The records as a unit of a store of schema outsole.scans.
store::Columns scan_columns(std::span<const ScanRecord> records);

/// The data sets of `subjects`, alike in every collection of scans: shoe, pair, foot, week.
void add_subject_columns(std::span<const ScanSubject> subjects, store::Columns& columns);

/// The subjects of all rows of a store. Throws DataError naming the row whose foot or week is impossible.
std::vector<ScanSubject> read_subjects(const store::Store& store, std::span<const std::string> ids);

/// What is known of a scan without reading its pixels.
struct ScanInfo {
  std::string id;
  std::int32_t height_px = 0;
  std::int32_t width_px = 0;
  std::int32_t bit_depth = 8;
  bool was_colour = false;
  double dpi = 0;
  ScanSubject subject;
};

/// A finished collection, opened for reading. Every row is checked before it is believed.
class ScanStore {
 public:
  /// Reads all but metadata and pixels. Throws DataError naming file and row when the store is broken, a value is
  /// impossible or an id appears twice.
  explicit ScanStore(const std::filesystem::path& path) : ScanStore(store::Store(path, kScansSchema)) {}

  /// The same on every rank, of which rank 0 alone reads. Collective; throws on every rank.
  static ScanStore open_together(const comm::Communicator& comm, const std::filesystem::path& path);

  std::int64_t size() const { return static_cast<std::int64_t>(scans_.size()); }
  const std::vector<ScanInfo>& scans() const { return scans_; }

  /// Throws DataError when its pixels or metadata do not fit.
  ScanRecord record(std::int64_t index) const;

  /// Rows [first_px, first_px + count_px) of a scan's pixels, without reading the rest: [count_px, width_px], 16 bit as
  /// two bytes, low byte first. Bug for rows outside of the scan.
  std::vector<std::uint8_t> pixel_rows(std::int64_t index, std::int64_t first_px, std::int64_t count_px) const;

  const store::Store& store() const { return store_; }

 private:
  explicit ScanStore(store::Store store);

  store::Store store_;
  std::vector<ScanInfo> scans_;
};

}  // namespace outsole::ingest
