#include <ATen/Version.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/api/include/torch/version.h>

#include <opencv2/core/version.hpp>

#include "core/progress.h"
#include "core/text.h"
#include "job.h"
#include "plan.h"
#include "report/report_folder.h"
#include "report/wear_page.h"
#include "report/write_report.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct ReportJob {
  report::ReportOptions report;
  report::WearReportOptions wear;  // instead, where its evaluation is given
  fs::path verified;               // the folder that is checked; empty: none
};

void declare_report(ReportJob& own, Options& options) {
  report::ReportOptions& report = own.report;
  options.add("results", "NAME.h5", report.results, "what search wrote, or what it has written so far")
      .not_with("wear-evaluation");
  options
      .add("exemplars", "NAME.h5...", report.exemplars,
           "the ingested exemplars: one store, or those of all indexes that were searched as one database")
      .not_with("wear-evaluation");
  options.add("marks", "FILE|DIR...", report.marks, "the marks that were searched").not_with("wear-evaluation");
  options
      .add("index", "NAME.h5...", report.indexes,
           "the index that was searched, or all of them: shows marks as searched, and the part that was compared")
      .not_with("wear-evaluation");
  options.add("weights", "FILE.safetensors", report.weights_path, "the weights the index was made with")
      .only_with("index")
      .not_with("verify");
  options.add("labels", "CSV", report.labels, "true exemplars, where they are known: mark,exemplar")
      .not_with("verify")
      .not_with("wear-evaluation");
  options.add("groups", "CSV", report.groups, "exemplars that show the same tread: exemplar,group")
      .not_with("verify")
      .not_with("wear-evaluation");
  options.add("evaluation", "JSON", report.evaluation, "what evaluate retrieval wrote of this method")
      .not_with("verify")
      .not_with("wear-evaluation");
  options
      .add("title", "TEXT", report.title, "heading of the list, such as the case's number (default: the results' name)")
      .not_with("verify");
  options.add("candidates", "N", report.candidates, "candidates shown of each mark, at most")
      .at_least(1)
      .not_with("verify")
      .not_with("wear-evaluation");
  options
      .add("relevance", "N", report.relevance,
           "with --index: of so many candidates of each mark, what makes them alike")
      .at_least(0)
      .only_with("index")
      .not_with("verify");
  options.add("picture-px", "N", report.picture_px, "longest side of a picture; larger ones are reduced")
      .at_least(256)
      .at_most(16384)
      .in("px")
      .not_with("verify")
      .not_with("wear-evaluation");
  options
      .add("wear-evaluation", "JSON", own.wear.evaluation,
           "what evaluate wear wrote: pages of a model of wear, instead of a search's")
      .not_with("verify");
  options
      .add("wear-pictures", "DIR", own.wear.pictures,
           "the strips that evaluate wear --pictures drew, to be shown with it")
      .only_with("wear-evaluation");
  options.add("output", "DIR", report.output, "folder of index.html and its pictures").not_with("verify");
  options.add("verify", "DIR", own.verified,
              "check a finished report against its manifest, and the stores and marks it was made of against both; "
              "--results, --exemplars, --index and --marks say where these are now, if they were moved");
}

std::string versions() {
  return fmt::format("outsole {}, LibTorch {}, OpenCV {}", OUTSOLE_VERSION, TORCH_VERSION, CV_VERSION);
}

void require_given(const ReportJob& own) {
  const report::ReportOptions& report = own.report;
  const auto require = [](bool is_given, const char* option) {
    if (!is_given) throw UsageError(std::string("outsole report needs `") + option + "`");
  };
  if (!own.verified.empty()) return;
  if (!own.wear.evaluation.empty()) return require(!report.output.empty(), "output");
  require(!report.results.empty(), "results");
  require(!report.exemplars.empty(), "exemplars");
  require(!report.marks.empty(), "marks");
  require(!report.output.empty(), "output");
}

std::string shown_text(const report::ReportSummary& summary) {
  return fmt::format("{} marks{}, {} exemplars pictured", summary.marks,
                     summary.is_partial ? " of a search that is not finished" : "", summary.exemplars);
}

std::string summary_text(const report::ReportSummary& summary, const fs::path& output, const std::string& shown) {
  const std::string page = (output / "index.html").string();
  if (summary.was_finished) return fmt::format("{} was complete already\n", printable(page));
  std::string text = fmt::format("{}: {}, {} files, {}\n", printable(page), shown, summary.files,
                                 format_bytes(static_cast<double>(summary.bytes)));
  text += fmt::format("SHA-256 of its manifest.json: {}\n", summary.manifest_sha256);
  for (const std::string& lack : summary.lacks) text += fmt::format("lacks: {}\n", printable(lack));
  return text;
}

/// What is not as it was is a DataError, so that scripts are told.
std::string verify(const ReportJob& own) {
  const report::ReportOptions& now = own.report;
  const report::Verified verified =
      report::verify_report({own.verified, now.results, now.exemplars, now.indexes, now.marks});
  if (!verified.complaints.empty()) {
    for (const std::string& complaint : verified.complaints) spdlog::error("{}", printable(complaint));
    throw DataError(
        fmt::format("{}: not as it was made: {} complaints", own.verified.string(), verified.complaints.size()));
  }
  return fmt::format("{}: as it was made: {} files, {} stores, {} marks\nSHA-256 of its manifest.json: {}\n",
                     printable(own.verified.string()), verified.files, verified.stores, verified.marks,
                     verified.manifest_sha256);
}

Report report_of_wear(ReportJob& own, const JobContext& context) {
  if (context.common.plan) {
    machine::Plan plan;
    plan.lines = {{"wear", own.wear.evaluation.string()}};
    plan.basis = "a figure and the strips that are there, on one rank: a few seconds";
    return plan_report(plan, context);
  }
  report::WearReportOptions& wear = own.wear;
  wear.output = own.report.output;
  wear.title = own.report.title;
  wear.command_line = context.command_line;
  wear.versions = versions();
  report::ReportSummary summary;  // root's
  context.comm.together([&] {
    if (context.comm.is_root()) summary = report::write_wear_report(wear, context.comm.size());
  });
  return [=] { return summary_text(summary, own.report.output, fmt::format("{} strips", summary.marks)); };
}

Report run_report(ReportJob& own, const JobContext& context) {
  context.comm.together([&] { require_given(own); });
  if (!own.verified.empty()) return [=] { return verify(own); };
  if (!own.wear.evaluation.empty()) return report_of_wear(own, context);
  report::ReportOptions& report = own.report;
  report.strict = context.common.strict;
  report.command_line = context.command_line;
  report.versions = versions();
  if (context.common.plan) return plan_report(report::report_plan(context.comm, report), context);
  const report::ReportSummary summary = report::write_report(context.comm, report);
  return [=] { return summary_text(summary, own.report.output, shown_text(summary)); };
}

}  // namespace

Job report_job() {
  return make_job(
      {"report", "make pages of a search's results for an examiner", "",
       "Examples:\n"
       "  outsole report --results results.h5 --exemplars exemplars.h5 --marks marks/ --index index.h5 \\\n"
       "      --output report      # then open report/index.html in a browser\n"
       "  outsole report --wear-evaluation wear.json --wear-pictures strips/ --output wear_report\n"
       "  outsole report --verify report\n"
       "The folder needs no server and no network. Labels are not needed. Of a search that still runs, or was\n"
       "interrupted, it shows what is there (give --index); make it again for more. A file of the examiner's own in "
       "the\n"
       "folder keeps an older report from being replaced. Keep the manifest's SHA-256 with the case: it stands for all "
       "of it.\n"},
      declare_report, run_report);
}

}  // namespace outsole::jobs
