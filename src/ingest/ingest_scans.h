#pragma once
// Outsole scans as a kind of image to ingest.

#include <string>

#include "ingest/ingest.h"

namespace outsole::ingest {

/// Rows of schema outsole.scans. The manifest must have the columns shoe, pair, foot (L, R, left or right) and
/// `week_column` (a number, not negative); `dpi`, where it has one, counts for more than what the file says.
IngestKind scan_kind(const std::string& week_column = "week");

}  // namespace outsole::ingest
