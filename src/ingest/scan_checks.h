#pragma once
// What the rows of a manifest of scans must say of one another.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingest/image_sources.h"
#include "ingest/scans.h"

namespace outsole::ingest {

/// Checks that a shoe has one foot and one pair, that names of shoes and pairs differ by more than case and Unicode
/// normal form, and that a shoe's weeks go forward with its dates where a column holds them (`date`, `scan_date` or
/// `capture_date`, or the only one with the word). `subjects` are those of `sources`. Returns what it assumed of
/// dates, one sentence each. Throws DataError naming two rows that contradict each other.
std::vector<std::string> check_scans(std::span<const ImageSource> sources, std::span<const ScanSubject> subjects);

/// Weeks as a manifest would write them, and the column of dates that they come from.
struct WeeksOfDates {
  std::string column;
  std::vector<std::string> weeks;
};

/// Of each source the weeks since the first scan of its shoe, by the column of dates as check_scans finds it; nothing
/// where there is none. Throws DataError for a field that is no date, and for dates that mean two days (3/4/2021).
std::optional<WeeksOfDates> weeks_of_dates(std::span<const ImageSource> sources);

}  // namespace outsole::ingest
