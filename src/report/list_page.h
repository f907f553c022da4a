#pragma once
// index.html: all marks, what was asked, and what it rests on.

#include <filesystem>
#include <string>
#include <vector>

#include "report/page_inputs.h"

namespace outsole::report {

/// The search in words: what was compared with what, and how, with its source. `index` where it is known.
std::vector<std::string> protocol_in_words(const nlohmann::json& parameters,
                                           const std::optional<retrieval::IndexParameters>& index);

/// The text of index.html. `folder` holds the pictures, of which the list shows those that are there. One rank.
std::string list_page(const PageInputs& inputs, const std::filesystem::path& folder);

}  // namespace outsole::report
