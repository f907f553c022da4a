#pragma once
// Prepared scans that are small enough to train on within a test.

#include <filesystem>
#include <string>
#include <vector>

#include "wear/prepared.h"

namespace outsole::testing {

/// One shoe in three weeks, square images, bars that fade: three pairs of the first two weeks to train on.
inline void write_prepared_scans(const std::filesystem::path& path, std::int64_t side_px = 32) {
  std::vector<wear::PreparedRecord> records;
  for (const int week : {0, 4, 8}) {
    wear::PreparedRecord& record = records.emplace_back();
    record.info.id = record.info.reference_id = "week" + std::to_string(week);
    record.info.subject = {"shoe", "pair", "L", static_cast<double>(week)};
    record.info.source_sha256 = std::string(64 - record.info.id.size(), '0') + record.info.id;
    for (std::int64_t pixel = 0; pixel < side_px * side_px; ++pixel) {
      record.pixels.push_back(pixel / 4 % 2 == 0 ? static_cast<std::uint8_t>(50 + 10 * week) : 255);
    }
    record.support.assign(record.pixels.size(), 255);
  }
  store::StoreWriter writer(path, {wear::kPreparedSchema, wear::kPreparedVersion, {{"dpi", 40}}}, 1, true);
  writer.write_unit(0, wear::prepared_columns(records, side_px, side_px));
  writer.finish();
}

}  // namespace outsole::testing
