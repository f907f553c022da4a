#pragma once
// What a job says, when it ends, of the resolutions of marks.

#include <string>
#include <vector>

#include "retrieval/search.h"

namespace outsole::jobs {

/// What became of marks whose resolution is not the exemplars', and what had to be assumed; 0: not known. Lines, each
/// ended.
std::string resolutions_text(double exemplar_dpi, const std::vector<retrieval::MarkResolution>& resolutions);

}  // namespace outsole::jobs
