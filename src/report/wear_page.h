#pragma once
// The report of a wear model's evaluation: index.html with quality by elapsed time, the baselines beside the model, and
// strips.

#include <filesystem>
#include <string>
#include <vector>

#include "report/write_report.h"

namespace outsole::report {

struct WearReportOptions {
  std::filesystem::path evaluation;  // JSON of evaluate_wear
  std::filesystem::path pictures;    // folder of its pictures; empty: not given
  std::filesystem::path output;      // folder
  std::string title;                 // empty: the evaluation's name
  std::vector<std::string> command_line;
  std::string versions;
};

/// Writes it: index.html, page.css, figures/*.svg, strips/*.png, manifest.json, and report.provenance.json with the
/// number of `ranks`. The folder appears whole or not at all. Throws DataError naming the evaluation where it is not as
/// evaluate_wear gives it, and as ReportFolder does. One rank.
ReportSummary write_wear_report(const WearReportOptions& options, int ranks);

}  // namespace outsole::report
