#pragma once
// What a job has written so far of a store that is not finished, so that people may look at it while the job runs.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace outsole::store {

/// The units that were there when it was looked at. They do not change; more of them may come.
struct UnfinishedStore {
  std::filesystem::path path;  // of the view, which does not exist yet
  StoreHeader header;
  std::int64_t units = 0;                     // that it will have
  std::vector<std::filesystem::path> shards;  // in the order of their units
  std::vector<std::int64_t> rows;             // of each shard
  std::vector<std::string> sha256;            // of each shard
  std::vector<std::string> datasets;          // that the shards hold

  std::int64_t row_count() const;
};

/// Nothing where the view exists or no unit was written. Throws DataError for shards of another schema, or damaged.
/// Not collective.
std::optional<UnfinishedStore> find_unfinished(const std::filesystem::path& view, const std::string& schema);

/// Rows [first, first + count) of a data set of the units that are there (-1: to the end). Throws DataError.
Column read_unfinished(const UnfinishedStore& store, const std::string& dataset, std::int64_t first = 0,
                       std::int64_t count = -1);

}  // namespace outsole::store
