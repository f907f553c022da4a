#pragma once
// Outsole scans after preparation: all scans of a shoe in one frame, in a store of schema outsole.prepared.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "ingest/scans.h"
#include "store/store.h"
#include "wear/shown_size.h"

namespace outsole::wear {

inline constexpr char kPreparedSchema[] = "outsole.prepared";
inline constexpr std::int32_t kPreparedVersion = 2;  // that is written; version 1 is read

/// What is known of a prepared scan without reading its pixels.
struct PreparedInfo {
  std::string id;
  ingest::ScanSubject subject;
  std::string reference_id;  // the scan whose frame this is
  std::string flag;          // why it could not be registered; empty: it lies in its reference's frame
  bool mirrored = false;     // left to right, after all else
  std::int32_t window_y_px = 0, window_x_px = 0, window_height_px = 0, window_width_px = 0;  // kept of the scan
  double angle_deg = 0;                                           // turn of the frame on the scan, counter-clockwise
  double centre_y_px = 0, centre_x_px = 0;                        // of the scan's own pixels, under the frame's middle
  double correlation = std::numeric_limits<double>::quiet_NaN();  // with the reference; NaN: not registered
  double overlap = std::numeric_limits<double>::quiet_NaN();      // share of the reference's window; NaN likewise
  std::int32_t block_features = 0;
  double noise_share = std::numeric_limits<double>::quiet_NaN();   // of pixels replaced; NaN: not denoised
  double filled_share = std::numeric_limits<double>::quiet_NaN();  // of pixels that other scans show; NaN: none asked
  std::string source_sha256;                                       // of the scan file's bytes
};

/// One prepared scan.
struct PreparedRecord {
  PreparedInfo info;
  nlohmann::json metadata = nlohmann::json::object();
  std::vector<std::uint8_t> pixels;   // [height, width], 255 is paper
  std::vector<std::uint8_t> support;  // [height, width], 255 where known, else 0
  std::vector<std::uint8_t> filled;   // likewise: where `pixels` is what other scans show; empty: none were asked
};

/// The records as a unit of a store of schema outsole.prepared; every record has height x width pixels, and all or none
/// have `filled`.
store::Columns prepared_columns(std::span<const PreparedRecord> records, std::int64_t height_px, std::int64_t width_px);

/// A finished collection, opened for reading. Every row is checked before it is believed.
class PreparedStore {
 public:
  /// Reads all but metadata and pixels. Throws DataError naming file and row when the store is broken.
  explicit PreparedStore(const std::filesystem::path& path) : PreparedStore(store::Store(path, kPreparedSchema)) {}

  /// The same on every rank, of which rank 0 alone reads. Collective; throws on every rank.
  static PreparedStore open_together(const comm::Communicator& comm, const std::filesystem::path& path);

  std::int64_t size() const { return static_cast<std::int64_t>(scans_.size()); }
  const std::vector<PreparedInfo>& scans() const { return scans_; }
  /// The size that images are shown at: the one they are stored at, until show_at asks for another.
  ShownSize shown_size() const { return size_; }
  std::int64_t height_px() const { return size_.height_px; }
  std::int64_t width_px() const { return size_.width_px; }
  ShownSize stored_size() const { return stored_size_; }

  /// From now on images are reduced to `size` when they are read, as reduce_rows does; Bug where that would enlarge a
  /// side.
  void show_at(ShownSize size);

  PreparedRecord record(std::int64_t index) const;

  const store::Store& store() const { return store_; }

 private:
  explicit PreparedStore(store::Store store);

  store::Store store_;
  std::vector<PreparedInfo> scans_;
  ShownSize stored_size_, size_;
};

}  // namespace outsole::wear
