#pragma once
// JSON from files that may come from anywhere.

#include <nlohmann/json.hpp>
#include <string_view>

namespace outsole {

/// The value that `text` holds; a discarded one (is_discarded()) when it is not JSON or is nested deeper than 64
/// levels. Comparing, copying and printing JSON recurse, so the depth must not be the file's choice.
nlohmann::json parse_json(std::string_view text);

}  // namespace outsole
