#pragma once
// Exemplars as a kind of image to ingest.

#include "ingest/ingest.h"

namespace outsole::ingest {

/// Rows of schema outsole.exemplars. The manifest's column `mirror`, if there is one, holds 0 or 1;
/// `dpi`, where it is not empty, the resolution, whatever the file says of it.
IngestKind exemplar_kind();

}  // namespace outsole::ingest
