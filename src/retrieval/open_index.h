#pragma once
// An index as a search opens it.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "features/extractor.h"
#include "match/mcncc.h"
#include "retrieval/index_parameters.h"
#include "store/store.h"

namespace outsole::retrieval {

/// All that a search needs of an index but the maps, which stay in `store`.
struct OpenIndex {
  store::Store store;
  IndexParameters parameters;
  std::vector<std::string> ids;
  std::vector<std::int32_t> width_px;
  std::vector<std::uint8_t> mirrored;
  std::vector<std::int32_t> equal_to;  // of each exemplar the first of equal pixels; empty: of a version without it
  match::ChannelModel channels;
  std::unique_ptr<features::Extractor> extractor;
};

/// What every rank reads of an index as it is opened: told by rank 0 (store::Store::open_together).
inline const std::vector<std::string> kToldOfIndex = {"exemplar_id",       "exemplar_width_px", "exemplar_mirror",
                                                      "exemplar_equal_to", "channel_sum",       "channel_square_sum",
                                                      "white_response"};

/// Reads an index and makes its extractor on `device`. Throws DataError when the store is broken or its parts do not
/// fit each other, and as extractor_of_index does. The channels' mean and deviation are undefined where the index is of
/// a version that did not keep them. Not collective.
OpenIndex open_index(store::Store store, const std::string& weights_path, at::Device device);

/// An index to learn from: UsageError where its maps are projected by a learned metric. Collective.
OpenIndex open_plain_index(const comm::Communicator& comm, const std::filesystem::path& path,
                           const std::string& weights_path, at::Device device);

}  // namespace outsole::retrieval
