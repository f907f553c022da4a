#include "ingest/scans.h"

#include <cmath>
#include <optional>

#include "comm/communicator.h"
#include "core/errors.h"
#include "store/image_rows.h"

namespace outsole::ingest {

store::Columns scan_columns(std::span<const ScanRecord> records) {
  store::Columns columns = store::image_columns(records);
  columns["dpi"] = store::plain_column<double>(records, [](const auto& r) { return r.dpi; });
  std::vector<ScanSubject> subjects;
  for (const ScanRecord& record : records) subjects.push_back(record.subject);
  add_subject_columns(subjects, columns);
  return columns;
}

void add_subject_columns(std::span<const ScanSubject> subjects, store::Columns& columns) {
  columns["shoe"] = store::plain_column<std::string>(subjects, [](const auto& s) { return s.shoe; });
  columns["pair"] = store::plain_column<std::string>(subjects, [](const auto& s) { return s.pair; });
  columns["foot"] = store::plain_column<std::string>(subjects, [](const auto& s) { return s.foot; });
  columns["week"] = store::plain_column<double>(subjects, [](const auto& s) { return s.week; });
}

std::vector<ScanSubject> read_subjects(const store::Store& store, std::span<const std::string> ids) {
  const auto shoes = store::read_values<std::string>(store, "shoe"),
             pairs = store::read_values<std::string>(store, "pair"),
             feet = store::read_values<std::string>(store, "foot");
  const auto weeks = store::read_values<double>(store, "week");
  std::vector<ScanSubject> subjects;
  subjects.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (feet[i] != "L" && feet[i] != "R") store::refuse_row(store, "foot", ids[i], "neither L nor R");
    if (!std::isfinite(weeks[i]) || weeks[i] < 0) store::refuse_row(store, "week", ids[i], "not a number of weeks");
    subjects.push_back({shoes[i], pairs[i], feet[i], weeks[i]});
  }
  return subjects;
}

ScanStore ScanStore::open_together(const comm::Communicator& comm, const std::filesystem::path& path) {
  store::Store store = store::Store::open_together(
      comm, path, kScansSchema,
      {"id", "height_px", "width_px", "bit_depth", "was_colour", "dpi", "shoe", "pair", "foot", "week"});
  std::optional<ScanStore> scans;
  comm.together([&] { scans.emplace(ScanStore(std::move(store))); });
  return std::move(*scans);
}

ScanStore::ScanStore(store::Store store) : store_(std::move(store)) {
  store::read_image_infos(store_, scans_);
  std::vector<std::string> ids;
  for (const ScanInfo& scan : scans_) ids.push_back(scan.id);
  const auto subjects = read_subjects(store_, ids);
  const auto dpi = store::read_values<double>(store_, "dpi");
  for (std::size_t i = 0; i < scans_.size(); ++i) {
    if (!std::isfinite(dpi[i]) || dpi[i] < 0) store::refuse_row(store_, "dpi", ids[i], "not a resolution");
    scans_[i].dpi = dpi[i];
    scans_[i].subject = subjects[i];
  }
  store_.forget_told();
}

ScanRecord ScanStore::record(std::int64_t index) const {
  ensure(index >= 0 && index < size(), "the record lies within the store");
  const ScanInfo& info = scans_[static_cast<std::size_t>(index)];
  ScanRecord record = std::move(store::read_image_records<ScanRecord>(store_, index, std::span(&info, 1)).front());
  record.dpi = info.dpi;
  record.subject = info.subject;
  return record;
}

std::vector<std::uint8_t> ScanStore::pixel_rows(std::int64_t index, std::int64_t first_px,
                                                std::int64_t count_px) const {
  ensure(index >= 0 && index < size(), "the record lies within the store");
  const ScanInfo& info = scans_[static_cast<std::size_t>(index)];
  ensure(first_px >= 0 && count_px >= 0 && first_px <= info.height_px && count_px <= info.height_px - first_px,
         "the rows lie within the scan");
  const std::int64_t row_bytes = std::int64_t{info.width_px} * (info.bit_depth / 8);
  return std::get<std::vector<std::uint8_t>>(
      store_.read_elements("pixels", index, first_px * row_bytes, count_px * row_bytes));
}

}  // namespace outsole::ingest
