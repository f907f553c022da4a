#pragma once
// The collection of exemplars: images as they were ingested, any sizes, in a store of schema outsole.exemplars.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "store/store.h"

namespace outsole::ingest {

inline constexpr char kExemplarsSchema[] = "outsole.exemplars";
inline constexpr std::int32_t kExemplarsVersion = 2;  // that is written; version 1, without dpi, is read
/// The longest id a store holds, in bytes of UTF-8.
inline constexpr std::size_t kMaxIdBytes = 128;

/// One exemplar as its file held it.
struct ExemplarRecord {
  std::string id;
  std::int32_t height_px = 0;
  std::int32_t width_px = 0;
  std::int32_t bit_depth = 8;                          // 8 or 16
  bool was_colour = false;                             // the file was in colour; `pixels` are its grey values
  bool mirror = false;                                 // to be mirrored left to right before use; `pixels` are not
  std::string source_sha256;                           // of the file
  nlohmann::json metadata = nlohmann::json::object();  // the manifest's other columns
  std::vector<std::uint8_t> pixels;                    // [height_px, width_px], 16 bit as two bytes, low byte first
  double dpi = 0;                                      // pixels an inch; 0: not known
};

/// The records as a unit of a store of schema outsole.exemplars.
store::Columns exemplar_columns(std::span<const ExemplarRecord> records);

/// What is known of an exemplar without reading its pixels.
struct ExemplarInfo {
  std::string id;
  std::int32_t height_px = 0;
  std::int32_t width_px = 0;
  std::int32_t bit_depth = 8;
  bool was_colour = false;
  bool mirror = false;
  double dpi = 0;  // 0: not known

  std::int64_t pixel_bytes() const { return std::int64_t{height_px} * width_px * (bit_depth / 8); }
};

/// A finished collection, opened for reading. Every row is checked before it is believed.
class ExemplarStore {
 public:
  /// Reads all but metadata and pixels. Throws DataError naming file and row when the store is broken, a size or a
  /// resolution is impossible or an id appears twice. A store of version 1 knows no resolution.
  explicit ExemplarStore(const std::filesystem::path& path) : ExemplarStore(store::Store(path, kExemplarsSchema)) {}

  /// The same on every rank, of which rank 0 alone reads. Collective; throws on every rank.
  static ExemplarStore open_together(const comm::Communicator& comm, const std::filesystem::path& path);

  std::int64_t size() const { return static_cast<std::int64_t>(exemplars_.size()); }
  const std::vector<ExemplarInfo>& exemplars() const { return exemplars_; }
  std::vector<std::string> ids() const;

  ExemplarRecord record(std::int64_t index) const;
  /// Records [first, first + count). Throws DataError naming the row whose pixels or metadata do not fit.
  std::vector<ExemplarRecord> records(std::int64_t first, std::int64_t count) const;

  const store::Store& store() const { return store_; }

 private:
  explicit ExemplarStore(store::Store store);

  store::Store store_;
  std::vector<ExemplarInfo> exemplars_;
};

}  // namespace outsole::ingest
