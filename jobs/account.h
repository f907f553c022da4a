#pragma once
// What a job says, when it ends, of the files that it was pointed at.

#include <cstdint>
#include <string>
#include <vector>

#include "core/input_files.h"

namespace outsole::jobs {

/// How many image files there were and what lay among them that is not read, by reason, the first few by name. Lines,
/// each ended.
std::string account_text(std::int64_t image_files, const std::vector<NotRead>& not_read);

}  // namespace outsole::jobs
