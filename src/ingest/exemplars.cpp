#include "ingest/exemplars.h"

#include <cmath>
#include <optional>

#include "comm/communicator.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "image/image.h"
#include "ingest/duplicates.h"
#include "store/image_rows.h"

namespace outsole::ingest {

namespace {

/// [records, 32], of each record's pixels.
store::Column digests_of_pixels(std::span<const ExemplarRecord> records) {
  std::vector<std::uint8_t> bytes;
  for (const ExemplarRecord& record : records) {
    const std::string hex = sha256_of(std::as_bytes(std::span(record.pixels)));
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
  }
  return {{std::ssize(records), kPixelsDigestBytes}, std::move(bytes), {}};
}

/// 0 where the store does not know it.
double checked_dpi(const store::Store& store, const std::string& id, double dpi) {
  if (std::isnan(dpi) || dpi == 0) return 0;
  if (!(dpi >= image::kLeastDpi && dpi <= image::kMostDpi)) store::refuse_row(store, "dpi", id, "not a resolution");
  return dpi;
}

}  // namespace

store::Columns exemplar_columns(std::span<const ExemplarRecord> records) {
  store::Columns columns = store::image_columns(records);
  columns["mirror"] = store::plain_column<std::uint8_t>(records, [](const auto& r) { return r.mirror; });
  columns["dpi"] = store::plain_column<double>(records, [](const auto& r) { return r.dpi; });
  columns[kPixelsDigests] = digests_of_pixels(records);
  return columns;
}

ExemplarStore ExemplarStore::open_together(const comm::Communicator& comm, const std::filesystem::path& path) {
  store::Store store = store::Store::open_together(
      comm, path, kExemplarsSchema, {"id", "height_px", "width_px", "bit_depth", "was_colour", "mirror", "dpi"});
  std::optional<ExemplarStore> exemplars;
  comm.together([&] { exemplars.emplace(ExemplarStore(std::move(store))); });
  return std::move(*exemplars);
}

ExemplarStore::ExemplarStore(store::Store store) : store_(std::move(store)) {
  store::read_image_infos(store_, exemplars_);
  const auto mirrors = store::read_values<std::uint8_t>(store_, "mirror");
  for (std::size_t i = 0; i < exemplars_.size(); ++i) exemplars_[i].mirror = mirrors[i] != 0;
  if (store_.header().version > 1) {
    const auto dpi = store::read_values<double>(store_, "dpi");
    for (std::size_t i = 0; i < exemplars_.size(); ++i) {
      exemplars_[i].dpi = checked_dpi(store_, exemplars_[i].id, dpi[i]);
    }
  }
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
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].mirror = infos[i].mirror;
    records[i].dpi = infos[i].dpi;
  }
  return records;
}

}  // namespace outsole::ingest
