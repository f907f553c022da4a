#include "core/id_lookup.h"

#include <utility>

#include "core/errors.h"
#include "core/folded.h"

namespace outsole {

namespace {

std::string key_of(std::string_view id) { return std::string(without_leading_zeros(folded(id))); }

bool is_number(std::string_view id) {
  return !id.empty() && id.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

IdLookup::IdLookup(const std::vector<std::string>& ids, std::string what) : what_(std::move(what)), ids_(ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) positions_[key_of(ids[i])].push_back(static_cast<std::int64_t>(i));
}

const std::vector<std::int64_t>& IdLookup::matches(std::string_view id) const {
  static const std::vector<std::int64_t> kNone;
  const auto found = positions_.find(key_of(id));
  return found == positions_.end() ? kNone : found->second;
}

std::optional<std::int64_t> IdLookup::find(std::string_view id) const {
  const std::vector<std::int64_t>& all = matches(id);
  if (all.empty()) return std::nullopt;
  if (all.size() == 1) return all.front();
  const bool as_number = is_number(trimmed(id));
  for (const std::int64_t position : all) {
    if (!as_number && ids_[static_cast<std::size_t>(position)] == id) return position;
  }
  throw DataError(what_ + " id '" + std::string(id) + "' is ambiguous: " + std::to_string(all.size()) + " ids are " +
                  (as_number ? "this number; rename them so that each is one number only"
                             : "this but for case or Unicode normal form; rename them"));
}

}  // namespace outsole
