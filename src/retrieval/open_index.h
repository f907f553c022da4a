#pragma once
// An index, or several as one database, as a search opens it.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "features/extractor.h"
#include "match/mcncc.h"
#include "retrieval/index_parameters.h"
#include "store/store.h"

namespace outsole::retrieval {

/// A block of maps: a row of the first index, or of one of the further ones (1, 2, ...).
struct BlockPlace {
  std::int32_t index = 0;
  std::int64_t row = 0;
};

/// All that a search needs of an index but the maps, which stay in `store`. Where several are one database
/// (retrieval/database.h), its exemplars have numbers of their own, and `parameters` are those of the first index, but
/// for the number of exemplars.
struct OpenIndex {
  store::Store store;
  IndexParameters parameters;
  std::vector<std::string> ids;
  std::vector<std::int32_t> width_px;
  std::vector<std::uint8_t> mirrored;
  std::vector<std::int32_t> equal_to;  // of each exemplar the first of equal pixels; empty: of a version without it
  match::ChannelModel channels;
  std::unique_ptr<features::Extractor> extractor;

  std::vector<store::Store> further;                 // the indexes beside `store`
  std::vector<BlockPlace> blocks;                    // that hold exemplars of the database
  std::vector<std::int32_t> exemplar_of_lane;        // of each lane of `blocks` its exemplar; -1: none of the database
  std::vector<std::int64_t> lane_of_exemplar;        // the other way round
  nlohmann::json choice = nlohmann::json::object();  // what left exemplars out, as results tell it; empty: nothing did

  const store::Store& store_of(const BlockPlace& place) const;
  /// As results name what they are of: the SHA-256 of the index, or of each of several, in their order.
  nlohmann::json sha256() const;
};

/// What every rank reads of an index as it is opened: told by rank 0 (store::Store::open_together).
inline const std::vector<std::string> kToldOfIndex = {
    "exemplar_id",        "exemplar_width_px", "exemplar_mirror", "exemplar_equal_to",    "channel_sum",
    "channel_square_sum", "white_response",    "reference_mean",  "reference_square_mean"};

/// Each channel's mean, and that of its squares, over all cells of the exemplars' whole maps [C] float64, white paper's
/// response included. `mean` is undefined where the version does not keep it.
struct ChannelMeans {
  at::Tensor mean, square_mean;
};

/// Of the database's first index, where the index was made like one, so that no exemplar that comes changes a score of
/// one that is there; else its own. Throws DataError where they do not fit the parameters. Not collective.
ChannelMeans channel_means(const store::Store& index, const IndexParameters& parameters);

/// What open_index reads, without an extractor. Throws DataError. Not collective.
OpenIndex read_index(store::Store store);

/// Reads an index and makes its extractor on `device`. Throws DataError when the store is broken or its parts do not
/// fit each other, and as extractor_of_index does. The channels' mean and deviation are undefined where the index is of
/// a version that did not keep them. Not collective.
OpenIndex open_index(store::Store store, const std::string& weights_path, at::Device device);

}  // namespace outsole::retrieval
