#pragma once
// Outsole scans as a kind of image to ingest.

#include <string>

#include "ingest/ingest.h"

namespace outsole::ingest {

/// Rows of schema outsole.scans. The manifest must have the columns shoe, pair, foot (L, R, left or right) and
/// `week_column` (a number, not negative); `dpi`, where it has one, counts for more than what the file says. With
/// `may_lack_weeks` a manifest without `week_column` has its weeks from a column of dates (weeks_of_dates), or without
/// one is of one visit: week 0.
IngestKind scan_kind(const std::string& week_column = "week", bool may_lack_weeks = false);

}  // namespace outsole::ingest
