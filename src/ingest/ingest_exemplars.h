#pragma once
// Exemplars as a kind of image to ingest.

#include "ingest/ingest.h"

namespace outsole::ingest {

/// Rows of schema outsole.exemplars. The manifest's column `mirror`, if there is one, holds 0 or 1.
IngestKind exemplar_kind();

}  // namespace outsole::ingest
