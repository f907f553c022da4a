#pragma once
// The view file NAME.h5: the table of shards, virtual data sets over them, and the data sets that belong to no row.
//
// It is sealed (seal.h), and in turn holds the SHA-256 of each shard.

#include <filesystem>
#include <string>
#include <vector>

#include "store/schema.h"
#include "store/store.h"

namespace outsole::store {

struct ShardEntry {
  std::string name;  // in the shards' folder
  std::int64_t size_bytes = 0;
  std::string sha256;
  std::int64_t rows = 0;
};

/// What a view says, its data sets' shapes over all rows.
struct View {
  StoreHeader header;
  std::vector<ShardEntry> shards;
  std::int64_t rows = 0;
  Layout row_layout, whole_layout;
  std::string sha256;
  std::int64_t size_bytes = 0;  // of the view's file
};

/// SHA-256 of a shard, all of which is read. DataError when it is missing or was altered.
std::string check_shard(const std::filesystem::path& path);

/// Writes the view over the shards of these SHA-256, one a unit, whole or not at all. DataError when a shard is missing
/// or does not belong; Bug when `whole` breaks the schema.
void write_view(const std::filesystem::path& path, const StoreHeader& header, const std::vector<std::string>& sha256,
                const Columns& whole);

/// Reads and checks a view; no shard is touched.
View read_view(const std::filesystem::path& path);

/// Complaints about the view's own data sets: whole ones that do not read, offsets and virtual sources that contradict
/// the shards. `row_lengths` are those of the ragged data sets over all rows.
std::vector<std::string> check_view_content(const std::filesystem::path& path, const View& view,
                                            const std::map<std::string, std::vector<std::int64_t>>& row_lengths);

}  // namespace outsole::store
