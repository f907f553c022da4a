#pragma once
// evaluation.html: how well the search finds true exemplars, as it was measured where these are known.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "report/page_inputs.h"

namespace outsole::report {

/// How many marks are found within the first 1, 10, 1%, ...: `name`, `value`, `interval`, `error` and `chance` as text.
nlohmann::json shares_found(const nlohmann::json& evaluation);

/// Draws figures/*.svg in `folder`: of the evaluation that was given, those that it holds the curves of. Throws
/// DataError naming its file where they are not what `evaluate retrieval` writes. One rank.
void write_evaluation_figures(const PageInputs& inputs, const std::filesystem::path& folder);

/// The text of evaluation.html. `folder` holds figures and pictures, of which the page shows those that are there. The
/// marks that were found last are linked to their pages where the evaluation is of the results that the report is of.
/// Throws as write_evaluation_figures. One rank.
std::string evaluation_page(const PageInputs& inputs, const std::filesystem::path& folder);

}  // namespace outsole::report
