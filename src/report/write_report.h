#pragma once
// The report that an examiner opens in a browser: a folder of pages and pictures, made over ranks.

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "machine/plan.h"
#include "report/page_inputs.h"

namespace outsole::report {

struct ReportSummary {
  std::int64_t marks = 0, exemplars = 0, files = 0, bytes = 0;
  std::string manifest_sha256;  // empty where it was finished before
  bool was_finished = false;
  bool is_partial = false;         // the search is not finished
  std::vector<std::string> lacks;  // in words
};

/// Writes it: index.html, page.css, page.js, a page and pictures of each mark, pictures of the exemplars in the lists,
/// evaluation.html and its figures where an evaluation is given, manifest.json and report.provenance.json. The same
/// bytes on any number of ranks, but for the provenance. The folder appears whole or not at all; what an interrupted
/// run has made is kept. Throws as open_page_inputs and ReportFolder do, and StopRequested after a signal. Collective;
/// the summary is rank 0's.
ReportSummary write_report(const comm::Communicator& comm, const ReportOptions& options);

/// What it would take. Collective.
machine::Plan report_plan(const comm::Communicator& comm, const ReportOptions& options);

}  // namespace outsole::report
