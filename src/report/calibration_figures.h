#pragma once
// What scores mean, as pictures: self-contained SVG, of the `calibration` of retrieval::calibrate_scores.

#include <nlohmann/json.hpp>
#include <string>

namespace outsole::report {

/// Which share of the matches, and of the non-matches, has at least a ratio: the Tippett plot.
std::string tippett_figure(const nlohmann::ordered_json& calibration);

/// Empirical cross-entropy over the prior odds: as given, after the best monotonous map, and of a ratio of always 1.
std::string ece_figure(const nlohmann::ordered_json& calibration);

/// The ratios that the pairs of equal rank bear out (PAV) over the ratios that the calibration gives, with its bounds:
/// on the diagonal where it is right.
std::string calibration_figure(const nlohmann::ordered_json& calibration);

}  // namespace outsole::report
