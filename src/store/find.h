#pragma once
// Stores in folders, and what interrupted jobs left there.

#include <filesystem>
#include <string>
#include <vector>

namespace outsole::store {

struct FoundStores {
  std::vector<std::filesystem::path> files;  // as given; every other .h5 than shards in folders, sorted
  std::vector<std::string> leftovers;  // half-written files and shards without a view, each with what to do about it
};

/// Looks through `inputs`: files are taken as they are, folders searched with all folders in them (links are not
/// followed). Throws DataError for a path that does not exist.
FoundStores find_stores(const std::vector<std::filesystem::path>& inputs);

}  // namespace outsole::store
