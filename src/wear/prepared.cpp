#include "wear/prepared.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "comm/communicator.h"
#include "core/errors.h"
#include "store/image_rows.h"

namespace outsole::wear {

namespace {

/// Calls visit(data set, a value of its elements' type, field) for every plain field.
template <typename Visit>
void for_each_field(const Visit& visit) {
  visit("id", std::string(), &PreparedInfo::id);
  visit("reference_id", std::string(), &PreparedInfo::reference_id);
  visit("flag", std::string(), &PreparedInfo::flag);
  visit("mirrored", std::uint8_t{}, &PreparedInfo::mirrored);
  visit("window_y_px", std::int32_t{}, &PreparedInfo::window_y_px);
  visit("window_x_px", std::int32_t{}, &PreparedInfo::window_x_px);
  visit("window_height_px", std::int32_t{}, &PreparedInfo::window_height_px);
  visit("window_width_px", std::int32_t{}, &PreparedInfo::window_width_px);
  visit("angle_deg", double{}, &PreparedInfo::angle_deg);
  visit("centre_y_px", double{}, &PreparedInfo::centre_y_px);
  visit("centre_x_px", double{}, &PreparedInfo::centre_x_px);
  visit("correlation", double{}, &PreparedInfo::correlation);
  visit("overlap", double{}, &PreparedInfo::overlap);
  visit("block_features", std::int32_t{}, &PreparedInfo::block_features);
  visit("noise_share", double{}, &PreparedInfo::noise_share);
  visit("source_sha256", std::string(), &PreparedInfo::source_sha256);
}

/// The pixels that `field` gives for each record, as images of one size.
template <typename Field>
store::Column image_column(std::span<const PreparedRecord> records, std::int64_t height_px, std::int64_t width_px,
                           Field field) {
  std::vector<std::uint8_t> values;
  values.reserve(records.size() * static_cast<std::size_t>(height_px * width_px));
  for (const PreparedRecord& record : records) {
    const std::vector<std::uint8_t>& pixels = field(record);
    values.insert(values.end(), pixels.begin(), pixels.end());
  }
  return {{std::ssize(records), height_px, width_px}, std::move(values), {}};
}

void reduce(PreparedRecord& record, ShownSize stored, ShownSize size) {
  const auto pixels = static_cast<std::size_t>(size.height_px * size.width_px);
  const comm::UnitRange all{0, size.height_px};
  std::vector<std::uint8_t> grey(pixels), known(pixels);
  if (!record.filled.empty()) {  // where more than half of a pixel is
    std::vector<std::uint8_t> filled(pixels);
    reduce_rows(stored, size, all, record.filled, record.filled, grey, filled);
    record.filled = std::move(filled);
  }
  reduce_rows(stored, size, all, record.pixels, record.support, grey, known);
  record.pixels = std::move(grey);
  record.support = std::move(known);
}

}  // namespace

store::Columns prepared_columns(std::span<const PreparedRecord> records, std::int64_t height_px,
                                std::int64_t width_px) {
  store::Columns columns;
  const auto add = [&]<typename Value>(const char* name, Value, auto field) {
    columns[name] = store::plain_column<Value>(records, [&](const PreparedRecord& r) { return r.info.*field; });
  };
  for_each_field(add);
  std::vector<ingest::ScanSubject> subjects;
  for (const PreparedRecord& record : records) subjects.push_back(record.info.subject);
  ingest::add_subject_columns(subjects, columns);
  columns["metadata"] = store::ragged_column(records, [](const auto& r) { return r.metadata.dump(); });
  columns["pixels"] = image_column(
      records, height_px, width_px, [](const auto& r) -> auto& { return r.pixels; });
  columns["support"] = image_column(
      records, height_px, width_px, [](const auto& r) -> auto& { return r.support; });
  columns["filled_share"] = store::plain_column<double>(records, [](const auto& r) { return r.info.filled_share; });
  if (std::ranges::any_of(records, [](const auto& r) { return !r.filled.empty(); })) {
    columns["filled"] = image_column(
        records, height_px, width_px, [](const auto& r) -> auto& { return r.filled; });
  }
  return columns;
}

PreparedStore PreparedStore::open_together(const comm::Communicator& comm, const std::filesystem::path& path) {
  std::vector<std::string> told = {"shoe", "pair", "foot", "week", "filled_share"};
  for_each_field([&](const char* name, const auto&, auto) { told.emplace_back(name); });
  store::Store store = store::Store::open_together(comm, path, kPreparedSchema, told);
  std::optional<PreparedStore> scans;
  comm.together([&] { scans.emplace(PreparedStore(std::move(store))); });
  return std::move(*scans);
}

PreparedStore::PreparedStore(store::Store store) : store_(std::move(store)) {
  const auto shape = store_.shape("pixels");
  size_ = stored_size_ = {shape.at(1), shape.at(2)};
  if (height_px() < 1 || width_px() < 1 || height_px() > store::kMostPixels / width_px()) {
    throw DataError(store_.path().string() + ": data set 'pixels': images of impossible size");
  }
  const auto ids = store::read_values<std::string>(store_, "id");
  scans_.resize(ids.size());
  const auto fill = [&]<typename Value>(const char* name, Value, auto field) {
    const auto values = store::read_values<Value>(store_, name);
    for (std::size_t i = 0; i < scans_.size(); ++i) scans_[i].*field = values[i];
  };
  for_each_field(fill);
  if (store_.header().version > 1) fill("filled_share", double{}, &PreparedInfo::filled_share);
  const auto subjects = ingest::read_subjects(store_, ids);
  std::unordered_set<std::string> seen;
  for (std::size_t i = 0; i < scans_.size(); ++i) {
    scans_[i].subject = subjects[i];
    if (!seen.insert(ids[i]).second) store::refuse_row(store_, "id", ids[i], "appears twice");
  }
  store_.forget_told();
}

PreparedRecord PreparedStore::record(std::int64_t index) const {
  ensure(index >= 0 && index < size(), "the record lies within the store");
  PreparedRecord record;
  record.info = scans_[static_cast<std::size_t>(index)];
  if (store::row_lengths(store_, "metadata", index, 1).front() > store::kMostMetadataBytes) {
    store::refuse_row(store_, "metadata", record.info.id, "absurdly long");
  }
  const store::Column metadata = store_.read("metadata", index, 1);
  record.metadata = store::parse_metadata(store_, record.info.id, store::split_rows(metadata).front());
  record.pixels = store::read_values<std::uint8_t>(store_, "pixels", index, 1);
  record.support = store::read_values<std::uint8_t>(store_, "support", index, 1);
  if (store_.has("filled")) record.filled = store::read_values<std::uint8_t>(store_, "filled", index, 1);
  if (size_ != stored_size_) reduce(record, stored_size_, size_);
  return record;
}

void PreparedStore::show_at(ShownSize size) {
  ensure(size.height_px >= 1 && size.width_px >= 1 && size.height_px <= stored_size_.height_px &&
             size.width_px <= stored_size_.width_px,
         "images are shown as they are stored, or reduced");
  size_ = size;
}

}  // namespace outsole::wear
