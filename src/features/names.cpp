#include "features/names.h"

#include <algorithm>

#include "core/errors.h"
#include "core/text.h"

namespace outsole::features {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::size_t find_name(const std::string& what, const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const std::string nearest = nearest_name(name, names);
  throw UsageError("unknown " + what + " '" + name + "'" +
                   (nearest.empty() ? "." : "; did you mean '" + nearest + "'?") + " Known: " + joined(names));
}

}  // namespace outsole::features
