// fuse: several searches of the same marks as one.

#include <spdlog/fmt/fmt.h>

#include "core/errors.h"
#include "core/text.h"
#include "job.h"
#include "retrieval/fuse_results.h"

namespace outsole::jobs {

namespace {

void declare_fuse(retrieval::FuseOptions& fuse, Options& options) {
  options
      .add("results", "NAME.h5...", fuse.results, "searches of the same marks in the same exemplars, with all scores")
      .required();
  options.add("shares", "NUMBER...", fuse.shares, "how much each of them counts, as 2 1 1; without: all alike");
  options.add_parsed(
      "by", "level|score", fuse.by, retrieval::fused_by_named, "level",
      "what is averaged: how far a score lies above its mark's median, in the robust spread of the mark's "
      "scores; or the scores themselves, where all searches compare by one similarity");
  options.add("top", "N", fuse.top, "candidates kept for each mark, beside all scores").at_least(1);
  options.add("output", "NAME.h5", fuse.output, "the results to write").required();
  options.add("csv", "NAME.csv", fuse.csv, "the candidates as a table, too");
}

std::string summary_text(const retrieval::FuseSummary& summary, const std::string& output) {
  std::string text;
  if (summary.was_finished) text += fmt::format("{} was complete already\n", printable(output));
  text += fmt::format("{}: {} marks against {} exemplars\n", printable(output), summary.marks, summary.exemplars);
  if (!summary.left_out.empty()) {
    text += fmt::format("{} marks are not in all of the results and were left out:\n", summary.left_out.size());
  }
  for (const std::string& id : summary.left_out) text += fmt::format("  {}\n", printable(id));
  return text;
}

Report run_fuse(retrieval::FuseOptions& fuse, const JobContext& context) {
  if (context.common.plan) throw UsageError("`plan`: fusing takes as long as reading all scores");
  fuse.strict = context.common.strict;
  fuse.command_line = context.command_line;
  const retrieval::FuseSummary summary = retrieval::fuse(context.comm, fuse);
  return [=] { return summary_text(summary, fuse.output.string()); };
}

}  // namespace

Job fuse_job() {
  return make_job(
      {"fuse", "make one ranking of several searches of the same marks", "",
       "Example, two networks' features and marks with and without local contrast:\n"
       "  outsole fuse --results res2b.h5 res2c.h5 contrast.h5 --output fused.h5 --csv fused.csv\n"
       "The output is what a search writes: evaluate, report and export read it. An exemplar's pose is that of the\n"
       "search which puts it highest. The header keeps what the searches share and, under `fused`, how each "
       "differs.\n"},
      declare_fuse, run_fuse);
}

}  // namespace outsole::jobs
