#pragma once
// What an index says of itself: how its exemplars were seen, so that marks are seen the same way.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "features/extractor.h"
#include "match/mcncc.h"
#include "store/store.h"

namespace outsole::retrieval {

inline constexpr char kIndexSchema[] = "outsole.index";

struct IndexParameters {
  std::string extractor_kind;
  std::string weights_convention;  // empty without weights
  std::string weights_identity;
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

  match::FrameCells frame_cells() const;
  std::int64_t blocks() const;
  std::int64_t block_floats() const;

  nlohmann::json to_json() const;
  /// Throws DataError naming `file` and the parameter that is missing or impossible.
  static IndexParameters from_json(const nlohmann::json& json, const std::string& file);
};

/// The extractor an index was made with. Throws as make_extractor does, and DataError when the weights are others than
/// the index's (`file` names the index).
std::unique_ptr<features::Extractor> extractor_of_index(const IndexParameters& parameters,
                                                        const std::string& weights_path, const std::string& file);

}  // namespace outsole::retrieval
