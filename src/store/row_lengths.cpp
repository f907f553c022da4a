#include <algorithm>

#include "core/errors.h"
#include "store/image_rows.h"
#include "store/io_thread.h"
#include "store/shard.h"

namespace outsole::store {

std::vector<std::int64_t> row_lengths(const Store& store, const std::string& dataset, std::int64_t first,
                                      std::int64_t count) {
  ensure(first >= 0 && count >= 0 && first <= store.rows() && count <= store.rows() - first, "rows lie in the store");
  std::vector<std::int64_t> lengths;
  for (std::int64_t unit = 0; unit < store.units(); ++unit) {
    const auto [unit_first, unit_rows] = store.unit_rows(unit);
    const std::int64_t begin = std::max(first, unit_first), end = std::min(first + count, unit_first + unit_rows);
    if (begin >= end) continue;
    const auto piece = io_thread().run([&, unit_first = unit_first, unit_rows = unit_rows] {
      const Shard shard = open_shard(shards_folder(store.path()) / shard_name(unit));
      const auto dataset_layout = shard.layout.find(dataset);
      if (dataset_layout == shard.layout.end() || dataset_layout->second.shape.front() != unit_rows) {
        throw DataError(shard.file.path().string() + ": is not the shard that " + store.path().string() + " lists");
      }
      return read_lengths(shard.file, dataset, begin - unit_first, end - begin);
    });
    lengths.insert(lengths.end(), piece.begin(), piece.end());
  }
  return lengths;
}

}  // namespace outsole::store
