#pragma once
// What an index says of itself: how its exemplars were seen, so that marks are seen the same way.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "features/extractor.h"
#include "match/mcncc.h"
#include "store/store.h"

namespace outsole::retrieval {

inline constexpr char kIndexSchema[] = "outsole.index";

/// The learned metric by which an index's maps are projected.
struct IndexMetric {
  std::string sha256;           // of METRIC.h5
  std::int64_t components = 0;  // which stand in the maps for the extractor's channels
};

/// Whether two known resolutions differ by no more than what files round.
bool is_same_dpi(double a, double b);

struct IndexParameters {
  std::int64_t version = 5;  // of the schema; in version 1 the three next were kept in other ways
  std::string extractor_kind;
  std::string weights_convention;  // empty without weights
  std::string weights_identity;    // SHA-256, in version 1 FNV-1a, of the tensors that were read; empty without weights
  std::optional<features::Network> network;  // none without weights, nor in version 1
  double mean_grey = 0;
  double image_scale = 1;
  std::int64_t frame_height_px = 0, frame_width_px = 0;    // of the exemplars' own resolution
  std::int64_t search_height_px = 0, search_width_px = 0;  // the frame at the search scale
  features::MapGeometry geometry;
  std::int64_t map_height = 0, map_width = 0;  // of the whole frame
  std::int64_t border_cells = 0;               // left out on each side
  std::int64_t precision_bits = 32;
  std::int64_t exemplars = 0;
  std::string exemplars_sha256;  // of the store they came from
  double exemplar_dpi = 0;       // of all of them, pixels an inch; 0: not known
  std::string like_sha256;       // of the index that it was made to fit; empty: none
  std::optional<IndexMetric> metric;

  match::FrameCells frame_cells() const;
  std::int64_t blocks() const;
  /// Of the stored maps: the extractor's, or the metric's components.
  std::int64_t map_channels() const;
  std::int64_t block_floats() const;
  /// Of a block as it is stored, and kept in memory.
  std::int64_t stored_block_bytes() const;

  /// The header of an index of these parameters, always of the newest version.
  store::StoreHeader header() const;
  /// Throws DataError naming `file` and the parameter that is missing or impossible.
  static IndexParameters from_header(const store::StoreHeader& header, const std::string& file);
};

/// The extractor an index was made with: from version 2 on the network that it keeps, of version 1 the one that its
/// names stand for. Throws as make_extractor does, and DataError when the weights are others than the index's (`file`
/// names the index).
std::unique_ptr<features::Extractor> extractor_of_index(const IndexParameters& parameters,
                                                        const std::string& weights_path, const std::string& file);

}  // namespace outsole::retrieval
