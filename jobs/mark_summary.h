#pragma once
// What a job says, when it ends, of how marks were searched.

#include <string>

#include "retrieval/mark_account.h"

namespace outsole::jobs {

/// Masks, marks that were shrunk, and best poses at the end of the angles. Lines, each ended; none where there is
/// nothing to say.
std::string marks_text(const retrieval::MarkAccount& account);

}  // namespace outsole::jobs
