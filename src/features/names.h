#pragma once
// Names that people give, looked up among those that are known.

#include <cstddef>
#include <string>
#include <vector>

namespace outsole::features {

/// "a, b, c".
std::string joined(const std::vector<std::string>& names);

/// Index of `name` in `names`; throws UsageError with `what` it should be, the nearest if one is near, and all of them.
std::size_t find_name(const std::string& what, const std::string& name, const std::vector<std::string>& names);

}  // namespace outsole::features
