#include "ingest/exemplars.h"

#include <optional>

#include "comm/communicator.h"
#include "core/errors.h"
#include "store/image_rows.h"

namespace outsole::ingest {

store::Columns exemplar_columns(std::span<const ExemplarRecord> records) {
  store::Columns columns = store::image_columns(records);
  columns["mirror"] = store::plain_column<std::uint8_t>(records, [](const auto& r) { return r.mirror; });
  return columns;
}

ExemplarStore ExemplarStore::open_together(const comm::Communicator& comm, const std::filesystem::path& path) {
  store::Store store = store::Store::open_together(
      comm, path, kExemplarsSchema, {"id", "height_px", "width_px", "bit_depth", "was_colour", "mirror"});
  std::optional<ExemplarStore> exemplars;
  comm.together([&] { exemplars.emplace(ExemplarStore(std::move(store))); });
  return std::move(*exemplars);
}

ExemplarStore::ExemplarStore(store::Store store) : store_(std::move(store)) {
  store::read_image_infos(store_, exemplars_);
  const auto mirrors = store::read_values<std::uint8_t>(store_, "mirror");
  for (std::size_t i = 0; i < exemplars_.size(); ++i) exemplars_[i].mirror = mirrors[i] != 0;
  store_.forget_told();
}

std::vector<std::string> ExemplarStore::ids() const {
  std::vector<std::string> ids;
  ids.reserve(exemplars_.size());
  for (const ExemplarInfo& exemplar : exemplars_) ids.push_back(exemplar.id);
  return ids;
}

ExemplarRecord ExemplarStore::record(std::int64_t index) const { return std::move(records(index, 1).front()); }

std::vector<ExemplarRecord> ExemplarStore::records(std::int64_t first, std::int64_t count) const {
  ensure(first >= 0 && count >= 0 && count <= size() - first, "records lie within the store");
  const std::span<const ExemplarInfo> infos(exemplars_.data() + first, static_cast<std::size_t>(count));
  auto records = store::read_image_records<ExemplarRecord>(store_, first, infos);
  for (std::size_t i = 0; i < records.size(); ++i) records[i].mirror = infos[i].mirror;
  return records;
}

}  // namespace outsole::ingest
