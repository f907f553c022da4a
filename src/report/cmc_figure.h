#pragma once
// The cumulative match characteristic as a picture: a self-contained SVG.

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace outsole::report {

/// Share of marks found within the first k, in percent, for k = 1, 2, ...
struct CmcCurve {
  std::string name;
  std::vector<double> percent;
};

struct CmcFigureOptions {
  std::string title;
  bool log_rank = false;  // logarithmic axis of ranks: shows the head of the list
};

/// SVG text of one figure with all curves, axes, grid and legend. Names and title may hold any bytes: markup is
/// escaped, and what XML forbids is replaced. Throws Bug when there is no curve or one without points.
std::string cmc_figure(std::span<const CmcCurve> curves, const CmcFigureOptions& options);

/// The same of what retrieval::evaluate_retrieval gives: a curve for all marks, and one for each group.
std::string cmc_figure(const nlohmann::ordered_json& evaluation, bool log_rank);

}  // namespace outsole::report
