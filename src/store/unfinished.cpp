#include "store/unfinished.h"

#include <algorithm>
#include <numeric>

#include "core/errors.h"
#include "store/io_thread.h"
#include "store/shard.h"
#include "store/view.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

/// The shards' files, in the order of their names, which is that of their units.
std::vector<fs::path> shard_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".h5") files.push_back(entry->path());
  }
  std::ranges::sort(files);
  return files;
}

void add_shard(const fs::path& file, const std::string& schema, UnfinishedStore& store) {
  std::string sha256 = check_shard(file);
  const Shard shard = open_shard(file);
  if (shard.header.schema != schema)
    throw DataError(file.string() + ": is of schema " + shard.header.schema + ", not " + schema);
  if (shard.layout.empty()) return;
  if (store.shards.empty()) {
    store.header = shard.header;
    store.units = shard.units;
    for (const auto& [name, layout] : shard.layout) store.datasets.push_back(name);
  }
  const std::string difference = header_difference(store.header, shard.header);
  if (!difference.empty()) throw DataError(file.string() + ": is of another run than its neighbours: " + difference);
  store.shards.push_back(file);
  store.rows.push_back(shard.layout.begin()->second.shape.at(0));
  store.sha256.push_back(std::move(sha256));
}

}  // namespace

std::int64_t UnfinishedStore::row_count() const { return std::accumulate(rows.begin(), rows.end(), std::int64_t{0}); }

std::optional<UnfinishedStore> find_unfinished(const fs::path& view, const std::string& schema) {
  std::error_code ignored;
  if (fs::exists(view, ignored)) return std::nullopt;
  UnfinishedStore store;
  store.path = view;
  io_thread().run([&] {
    for (const fs::path& file : shard_files(shards_folder(view))) add_shard(file, schema, store);
  });
  return store.shards.empty() ? std::nullopt : std::optional(std::move(store));
}

Column read_unfinished(const UnfinishedStore& store, const std::string& dataset, std::int64_t first,
                       std::int64_t count) {
  const std::int64_t end = count < 0 ? store.row_count() : first + count;
  ensure(first >= 0 && end <= store.row_count(), "rows lie within the units that are there");
  return io_thread().run([&] {
    Columns all;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < store.shards.size(); begin += store.rows[i++]) {
      const std::int64_t from = std::max(first, begin), to = std::min(end, begin + store.rows[i]);
      if (from >= to) continue;
      const Shard shard = open_shard(store.shards[i]);
      if (!shard.layout.contains(dataset))
        throw DataError(store.shards[i].string() + ": has no data set '" + dataset + "'");
      Columns part;
      part[dataset] = read_column(shard.file, dataset, /*ragged=*/false, from - begin, to - from);
      if (all.empty()) {
        all = std::move(part);
      } else {
        append_rows(all, std::move(part));
      }
    }
    return std::move(all[dataset]);
  });
}

}  // namespace outsole::store
