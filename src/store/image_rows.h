#pragma once
// What every collection of images shares: records to columns and back, each row checked before it is believed.
//
// An image record has the fields id, height_px, width_px, bit_depth, was_colour, source_sha256, metadata and pixels.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/json.h"
#include "store/store.h"

namespace outsole::store {

/// One value a record.
template <typename Value, typename Record, typename Field>
Column plain_column(std::span<const Record> records, Field field) {
  std::vector<Value> values;
  values.reserve(records.size());
  for (const Record& record : records) values.push_back(static_cast<Value>(field(record)));
  return {{static_cast<std::int64_t>(records.size())}, std::move(values), {}};
}

/// The bytes that `field` gives for each record, one after another.
template <typename Record, typename Field>
Column ragged_column(std::span<const Record> records, Field field) {
  std::vector<std::uint8_t> values;
  std::vector<std::int64_t> lengths;
  for (const Record& record : records) {
    const auto& bytes = field(record);
    values.insert(values.end(), bytes.begin(), bytes.end());
    lengths.push_back(static_cast<std::int64_t>(bytes.size()));
  }
  return {{static_cast<std::int64_t>(records.size())}, std::move(values), std::move(lengths)};
}

/// The columns of the fields that all image records have.
template <typename Record>
Columns image_columns(std::span<const Record> records) {
  Columns columns;
  columns["id"] = plain_column<std::string>(records, [](const auto& r) { return r.id; });
  columns["height_px"] = plain_column<std::int32_t>(records, [](const auto& r) { return r.height_px; });
  columns["width_px"] = plain_column<std::int32_t>(records, [](const auto& r) { return r.width_px; });
  columns["bit_depth"] = plain_column<std::int32_t>(records, [](const auto& r) { return r.bit_depth; });
  columns["was_colour"] = plain_column<std::uint8_t>(records, [](const auto& r) { return r.was_colour; });
  columns["source_sha256"] = plain_column<std::string>(records, [](const auto& r) { return r.source_sha256; });
  columns["metadata"] = ragged_column(records, [](const auto& r) { return r.metadata.dump(); });
  columns["pixels"] =
      ragged_column(records, [](const auto& r) -> const std::vector<std::uint8_t>& { return r.pixels; });
  return columns;
}

constexpr std::int64_t kMostPixels = std::int64_t{1} << 30;         // OpenCV's limit
constexpr std::int64_t kMostMetadataBytes = std::int64_t{1} << 24;  // of an image

/// Values of a data set, one a row; all rows unless told.
template <typename Value>
std::vector<Value> read_values(const Store& store, const std::string& dataset, std::int64_t first = 0,
                               std::int64_t count = -1) {
  return std::get<std::vector<Value>>(store.read(dataset, first, count).values);
}

/// The elements of rows [first, first + count) of a ragged data set: how much memory reading them takes, before it
/// does. DataError when the lengths are impossible; Bug when the rows lie outside.
std::vector<std::int64_t> row_lengths(const Store& store, const std::string& dataset, std::int64_t first,
                                      std::int64_t count);

/// The rows of a ragged data set of bytes.
inline std::vector<std::span<const std::uint8_t>> split_rows(const Column& column) {
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

[[noreturn]] inline void refuse_row(const Store& store, const std::string& dataset, const std::string& id,
                                    const std::string& what) {
  throw DataError(store.path().string() + ", data set '" + dataset + "', image '" + id + "': " + what);
}

/// The metadata of the row named `id`; DataError when it is not a JSON object.
inline nlohmann::json parse_metadata(const Store& store, const std::string& id, std::span<const std::uint8_t> text) {
  nlohmann::json attributes = parse_json({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!attributes.is_object()) refuse_row(store, "metadata", id, "not a JSON object");
  return attributes;
}

/// Fills the common fields of `infos`, one a row of the store. DataError naming the row for an impossible size or depth
/// or an id that appears twice.
template <typename Info>
void read_image_infos(const Store& store, std::vector<Info>& infos) {
  auto ids = read_values<std::string>(store, "id");
  const auto heights = read_values<std::int32_t>(store, "height_px");
  const auto widths = read_values<std::int32_t>(store, "width_px");
  const auto depths = read_values<std::int32_t>(store, "bit_depth");
  const auto colours = read_values<std::uint8_t>(store, "was_colour");
  std::unordered_set<std::string> seen;
  infos.resize(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Info& info = infos[i];
    info.id = ids[i];
    info.height_px = heights[i];
    info.width_px = widths[i];
    info.bit_depth = depths[i];
    info.was_colour = colours[i] != 0;
    if (info.height_px < 1 || info.width_px < 1) refuse_row(store, "height_px", info.id, "an image without pixels");
    if (info.height_px > kMostPixels / info.width_px) {
      refuse_row(store, "height_px", info.id, "of more pixels than an image can have");
    }
    if (info.bit_depth != 8 && info.bit_depth != 16) refuse_row(store, "bit_depth", info.id, "neither 8 nor 16");
    if (!seen.insert(info.id).second) refuse_row(store, "id", info.id, "appears twice");
  }
}

/// Records of the rows [first, first + infos.size()), `infos` being what is known of them. DataError naming the row
/// whose pixels or metadata do not fit. Fields that only one kind of record has are the caller's.
template <typename Record, typename Info>
std::vector<Record> read_image_records(const Store& store, std::int64_t first, std::span<const Info> infos) {
  const auto count = static_cast<std::int64_t>(infos.size());
  const auto pixel_bytes = row_lengths(store, "pixels", first, count);
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const Info& info = infos[i];
    const std::int64_t wanted = std::int64_t{info.height_px} * info.width_px * (info.bit_depth / 8);
    if (pixel_bytes[i] == wanted) continue;
    refuse_row(store, "pixels", info.id,
               std::to_string(pixel_bytes[i]) + " bytes where its size needs " + std::to_string(wanted));
  }
  for (const std::int64_t bytes : row_lengths(store, "metadata", first, count)) {
    if (bytes <= kMostMetadataBytes) continue;
    throw DataError(store.path().string() + ", data set 'metadata': a row of " + std::to_string(bytes) + " bytes");
  }
  const Column metadata = store.read("metadata", first, count), pixels = store.read("pixels", first, count);
  const auto digests = read_values<std::string>(store, "source_sha256", first, count);
  const auto metadata_rows = split_rows(metadata), pixel_rows = split_rows(pixels);
  std::vector<Record> records(infos.size());
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const Info& info = infos[i];
    Record& record = records[i];
    record.id = info.id;
    record.height_px = info.height_px;
    record.width_px = info.width_px;
    record.bit_depth = info.bit_depth;
    record.was_colour = info.was_colour;
    record.source_sha256 = digests[i];
    record.metadata = parse_metadata(store, info.id, metadata_rows[i]);
    record.pixels.assign(pixel_rows[i].begin(), pixel_rows[i].end());
  }
  return records;
}

}  // namespace outsole::store
