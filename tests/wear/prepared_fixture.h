#pragma once
// Small stores of prepared scans whose content the tests choose.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "wear/prepared.h"

namespace outsole::testing {

/// A scan of shoe "SHOE" of foot L and pair "p", in a week.
inline wear::PreparedInfo scan_of(const std::string& shoe, double week, const std::string& suffix = "") {
  wear::PreparedInfo info;
  info.id = shoe + "_" + std::to_string(static_cast<int>(week)) + suffix;
  info.subject = {shoe, "pair_of_" + shoe, "L", week};
  info.reference_id = info.id;
  return info;
}

/// The paper's year: weeks 0 to 52 without week 6, of the left and the right shoe of one pair.
inline std::vector<wear::PreparedInfo> paper_year() {
  std::vector<wear::PreparedInfo> scans;
  for (const char* const shoe : {"left", "right"}) {
    for (int week = 0; week <= 52; week += 2) {
      if (week == 6) continue;
      scans.push_back(scan_of(shoe, week));
      scans.back().subject.pair = "the pair";
    }
  }
  return scans;
}

/// Bars that grow paler by the week, and a corner that no scanner saw.
inline wear::PreparedRecord worn_bars(const wear::PreparedInfo& info, std::int64_t height_px, std::int64_t width_px) {
  wear::PreparedRecord record;
  record.info = info;
  record.info.source_sha256 = std::string(64 - record.info.id.size(), '0') + record.info.id;
  const int shift = static_cast<int>(info.subject.shoe.size());
  for (std::int64_t y = 0; y < height_px; ++y) {
    for (std::int64_t x = 0; x < width_px; ++x) {
      const bool is_bar = (y + shift) / 4 % 2 == 0;
      const bool is_known = y >= 4 || x >= 4;
      record.pixels.push_back(is_bar && is_known ? static_cast<std::uint8_t>(20 + 3 * info.subject.week) : 255);
      record.support.push_back(is_known ? 255 : 0);
    }
  }
  return record;
}

/// Writes the scans as bars of wear, some to a unit. One rank.
inline void write_prepared(const std::filesystem::path& path, std::span<const wear::PreparedInfo> scans,
                           std::int64_t height_px = 32, std::int64_t width_px = 40) {
  constexpr std::size_t kUnitScans = 5;
  const auto units = static_cast<std::int64_t>((scans.size() + kUnitScans - 1) / kUnitScans);
  store::StoreWriter writer(path, {wear::kPreparedSchema, wear::kPreparedVersion, {{"dpi", 40.0}}}, units, true);
  for (std::int64_t unit = 0; unit < units; ++unit) {
    const std::size_t first = static_cast<std::size_t>(unit) * kUnitScans;
    std::vector<wear::PreparedRecord> records;
    for (std::size_t i = first; i < std::min(first + kUnitScans, scans.size()); ++i) {
      records.push_back(worn_bars(scans[i], height_px, width_px));
    }
    writer.write_unit(unit, wear::prepared_columns(records, height_px, width_px));
  }
  writer.finish();
}

}  // namespace outsole::testing
