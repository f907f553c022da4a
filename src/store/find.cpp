#include "store/find.h"

#include <algorithm>

#include "core/errors.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kUnfinished = ": left by an interrupted or running job; run its command again, or remove it";

bool is_shards_folder(const fs::path& folder) { return folder.extension() == ".shards"; }

void look_at(const fs::directory_entry& entry, FoundStores& found) {
  const fs::path& path = entry.path();
  const bool in_shards = is_shards_folder(path.parent_path());
  if (entry.is_directory()) {
    const fs::path view = fs::path(path).replace_extension(".h5");
    if (is_shards_folder(path) && !fs::exists(view)) {
      found.leftovers.push_back(path.string() + ": shards without " + view.filename().string() +
                                std::string(kUnfinished));
    }
  } else if (path.extension() == ".part" || (in_shards && (path.filename() == "lock" || path.filename() == "stamps"))) {
    found.leftovers.push_back(path.string() + std::string(kUnfinished));
  } else if (path.extension() == ".h5" && !in_shards) {
    found.files.push_back(path);
  }
}

}  // namespace

FoundStores find_stores(const std::vector<fs::path>& inputs) try {
  FoundStores found;
  for (const fs::path& input : inputs) {
    if (!fs::exists(input)) throw DataError(input.string() + ": does not exist");
    if (!fs::is_directory(input)) {
      found.files.push_back(input);
      continue;
    }
    FoundStores inside;
    for (const auto& entry : fs::recursive_directory_iterator(input)) look_at(entry, inside);
    std::ranges::sort(inside.files);
    std::ranges::sort(inside.leftovers);
    found.files.insert(found.files.end(), inside.files.begin(), inside.files.end());
    found.leftovers.insert(found.leftovers.end(), inside.leftovers.begin(), inside.leftovers.end());
  }
  return found;
} catch (const fs::filesystem_error& error) {
  throw DataError(error.path1().string() + ": cannot be searched: " + error.code().message());
}

}  // namespace outsole::store
