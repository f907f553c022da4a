#pragma once
// Finding the image that a table means by an id.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outsole {

/// Finds ids as people and spreadsheets write them: an all-digit id matches numerically (`1` is `00001`), any other one
/// whatever its case, Unicode normal form and blanks around it (see folded).
class IdLookup {
 public:
  /// `what` names the ids in messages ("exemplar").
  IdLookup(const std::vector<std::string>& ids, std::string what);

  /// The position of the id, or nothing. Of several ids that match, the one that is the very same, unless they are
  /// numbers: DataError when that leaves it open which is meant.
  std::optional<std::int64_t> find(std::string_view id) const;

  /// The positions of all ids that match, ascending.
  const std::vector<std::int64_t>& matches(std::string_view id) const;

 private:
  std::string what_;
  std::vector<std::string> ids_;
  std::map<std::string, std::vector<std::int64_t>, std::less<>> positions_;  // by the id folded, without leading zeros
};

}  // namespace outsole
