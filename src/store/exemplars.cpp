#include "store/exemplars.h"

#include <unordered_set>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::store {

namespace {

template <typename Value, typename Field>
Column plain_column(std::span<const ExemplarRecord> records, Field field) {
  std::vector<Value> values;
  values.reserve(records.size());
  for (const ExemplarRecord& record : records) values.push_back(static_cast<Value>(field(record)));
  return {{static_cast<std::int64_t>(records.size())}, std::move(values), {}};
}

/// The bytes that `field` gives for each record, one after another.
template <typename Field>
Column ragged_column(std::span<const ExemplarRecord> records, Field field) {
  std::vector<std::uint8_t> values;
  std::vector<std::int64_t> lengths;
  for (const ExemplarRecord& record : records) {
    const auto& bytes = field(record);
    values.insert(values.end(), bytes.begin(), bytes.end());
    lengths.push_back(static_cast<std::int64_t>(bytes.size()));
  }
  return {{static_cast<std::int64_t>(records.size())}, std::move(values), std::move(lengths)};
}

template <typename Value>
std::vector<Value> read_values(const Store& store, const std::string& dataset) {
  return std::get<std::vector<Value>>(store.read(dataset).values);
}

/// The rows of a ragged data set of bytes.
std::vector<std::span<const std::uint8_t>> split_rows(const Column& column) {
  const auto& values = std::get<std::vector<std::uint8_t>>(column.values);
  std::vector<std::span<const std::uint8_t>> rows;
  std::size_t offset = 0;
  for (const std::int64_t length : column.row_lengths) {
    ensure(length >= 0 && static_cast<std::size_t>(length) <= values.size() - offset, "row lengths fit their values");
    rows.push_back(std::span(values).subspan(offset, static_cast<std::size_t>(length)));
    offset += static_cast<std::size_t>(length);
  }
  return rows;
}

[[noreturn]] void fail(const Store& store, const std::string& dataset, const std::string& id, const std::string& what) {
  throw DataError(store.path().string() + ", data set '" + dataset + "', exemplar '" + id + "': " + what);
}

void check(const Store& store, const ExemplarInfo& exemplar) {
  if (exemplar.height_px < 1 || exemplar.width_px < 1) fail(store, "height_px", exemplar.id, "an image without pixels");
  if (exemplar.bit_depth != 8 && exemplar.bit_depth != 16) fail(store, "bit_depth", exemplar.id, "neither 8 nor 16");
}

}  // namespace

Columns exemplar_columns(std::span<const ExemplarRecord> records) {
  Columns columns;
  columns["id"] = plain_column<std::string>(records, [](const auto& r) { return r.id; });
  columns["height_px"] = plain_column<std::int32_t>(records, [](const auto& r) { return r.height_px; });
  columns["width_px"] = plain_column<std::int32_t>(records, [](const auto& r) { return r.width_px; });
  columns["bit_depth"] = plain_column<std::int32_t>(records, [](const auto& r) { return r.bit_depth; });
  columns["was_colour"] = plain_column<std::uint8_t>(records, [](const auto& r) { return r.was_colour; });
  columns["mirror"] = plain_column<std::uint8_t>(records, [](const auto& r) { return r.mirror; });
  columns["source_sha256"] = plain_column<std::string>(records, [](const auto& r) { return r.source_sha256; });
  columns["metadata"] = ragged_column(records, [](const auto& r) { return r.metadata.dump(); });
  columns["pixels"] =
      ragged_column(records, [](const auto& r) -> const std::vector<std::uint8_t>& { return r.pixels; });
  return columns;
}

ExemplarStore::ExemplarStore(const std::filesystem::path& path) : store_(path, kExemplarsSchema) {
  auto ids = read_values<std::string>(store_, "id");
  const auto heights = read_values<std::int32_t>(store_, "height_px");
  const auto widths = read_values<std::int32_t>(store_, "width_px");
  const auto depths = read_values<std::int32_t>(store_, "bit_depth");
  const auto colours = read_values<std::uint8_t>(store_, "was_colour");
  const auto mirrors = read_values<std::uint8_t>(store_, "mirror");
  std::unordered_set<std::string> seen;
  exemplars_.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    exemplars_.push_back({ids[i], heights[i], widths[i], depths[i], colours[i] != 0, mirrors[i] != 0});
    check(store_, exemplars_.back());
    if (!seen.insert(ids[i]).second) fail(store_, "id", ids[i], "appears twice");
  }
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
  const Column metadata = store_.read("metadata", first, count), pixels = store_.read("pixels", first, count);
  const Column sha256 = store_.read("source_sha256", first, count);
  const auto metadata_rows = split_rows(metadata), pixel_rows = split_rows(pixels);
  const auto& digests = std::get<std::vector<std::string>>(sha256.values);
  std::vector<ExemplarRecord> records;
  records.reserve(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const ExemplarInfo& info = exemplars_[static_cast<std::size_t>(first) + i];
    if (std::cmp_not_equal(pixel_rows[i].size(), info.pixel_bytes())) {
      fail(store_, "pixels", info.id,
           std::to_string(pixel_rows[i].size()) + " bytes where its size needs " + std::to_string(info.pixel_bytes()));
    }
    auto attributes = nlohmann::json::parse(metadata_rows[i].begin(), metadata_rows[i].end(), nullptr, false);
    if (!attributes.is_object()) fail(store_, "metadata", info.id, "not a JSON object");
    records.push_back({info.id,
                       info.height_px,
                       info.width_px,
                       info.bit_depth,
                       info.was_colour,
                       info.mirror,
                       digests[i],
                       std::move(attributes),
                       {pixel_rows[i].begin(), pixel_rows[i].end()}});
  }
  return records;
}

}  // namespace outsole::store
