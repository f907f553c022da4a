#pragma once
// What the rows of a manifest of scans must say of one another.

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

}  // namespace outsole::ingest
