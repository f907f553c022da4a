#pragma once
// How marks were searched, as results keep it, and what that says in sum: which were masked, which shrunk, and which
// lie best where the search ends.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "retrieval/mark_features.h"
#include "store/store.h"

namespace outsole::retrieval {

/// What of a protocol decides how marks are seen, beside angles, stride, erosion and resolution: entries of a header's
/// parameters, those that are not the default.
nlohmann::json parameters_of_marks(const SearchProtocol& protocol);

/// The same entries of a header, into a protocol. Throws DataError when they are none that a search writes.
void read_parameters_of_marks(const nlohmann::json& parameters, SearchProtocol& protocol);

/// Marks whose best pose is at an end of the angles searched.
struct MarksAtRim {
  double angle_deg = 0;
  std::int64_t marks = 0;
};

struct MarkAccount {
  std::int64_t marks = 0;
  std::int64_t masked = 0;                 // those with a mask
  double least_share = 1, most_share = 0;  // of the picture that their masks leave
  std::int64_t shrunk = 0;                 // those that were shrunk to fit the frame
  double least_shrink = 1;
  std::vector<MarksAtRim> at_rim;  // where there are more than twice as many as chance would put there; ascending
  nlohmann::json masks = nlohmann::json::array();  // for provenance: [{"mark", "mask_sha256", "share"}...]
};

/// Of the marks in results; what their version does not tell is left out. One rank.
MarkAccount account_of_marks(const store::Store& results);

}  // namespace outsole::retrieval
