#pragma once
// Several methods on the same marks as pictures: self-contained SVG.

#include <nlohmann/json.hpp>
#include <string>

namespace outsole::report {

/// The methods' cumulative match characteristics, of what retrieval::compare_methods gives. Names may hold any bytes.
std::string comparison_figure(const nlohmann::ordered_json& comparison, bool log_rank);

/// Their precision over their recall; of what retrieval::evaluate_retrieval gives, those of all marks and of each
/// group.
std::string precision_recall_figure(const nlohmann::ordered_json& comparison_or_evaluation);

}  // namespace outsole::report
