#include <spdlog/fmt/fmt.h>

#include <filesystem>
#include <optional>

#include "core/files.h"
#include "core/provenance.h"
#include "evaluate_comparison.h"
#include "evaluate_wear.h"
#include "job.h"
#include "plan.h"
#include "report/candidates.h"
#include "report/cmc_figure.h"
#include "report/relevance_pictures.h"
#include "retrieval/evaluate_retrieval.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct EvaluateJob {
  std::string what;
  fs::path output;
  std::optional<fs::path> figure;
  // Of retrieval and comparison.
  std::vector<fs::path> results;
  retrieval::EvaluateRetrievalOptions retrieval;
  bool log_rank = false;
  report::CandidatePicturesOptions candidates;
  report::RelevancePicturesOptions relevance;
  // Of comparison.
  ComparisonEvaluation comparison;
  // Of wear.
  WearEvaluation wear;
};

void declare_evaluate(EvaluateJob& own, Options& options) {
  options.add("what", "retrieval|comparison|wear", own.what, "what to evaluate")
      .one_of({"retrieval", "comparison", "wear"})
      .required();
  options
      .add("results", "NAME.h5...", own.results,
           "what search wrote; comparison: one of each method, or published ranks as CSV: mark,rank or query,rank")
      .only_with("what", {"retrieval", "comparison"})
      .required();
  options.add("labels", "CSV", own.retrieval.labels, "true exemplars: mark,exemplar or query,ref")
      .only_with("what", {"retrieval", "comparison"})
      .required_with("what", {"comparison"});
  options
      .add("exclude", "CSV", own.retrieval.exclude,
           "exemplars that are not in the database for a mark, such as the print it was cut from: mark,exemplar")
      .only_with("labels");
  options
      .add("group-column", "NAME...", own.retrieval.group_columns,
           "columns of the labels: evaluate each of their values apart, too")
      .only_with("labels");
  options.add("output", "NAME.json", own.output, "the evaluation")
      .required_with("what", {"comparison", "wear"})
      .required_with("labels");
  options.add("figure", "NAME.svg", own.figure,
              "draw the cumulative match characteristic; wear: SSIM and PSNR by elapsed time");
  options.add_switch("log-rank", own.log_rank, "logarithmic ranks in the figure")
      .only_with("what", {"retrieval", "comparison"})
      .only_with("figure");
  options.add("candidates", "DIR", own.candidates.output, "picture each mark with its first candidates")
      .only_with("what", {"retrieval"});
  options
      .add("relevance", "DIR", own.relevance.output,
           "picture which parts of each mark and of its first candidate (with labels: of its true exemplar) make them "
           "alike, by plain correlation and by MCNCC: four pictures a mark")
      .only_with("what", {"retrieval"});
  options.add("index", "NAME.h5", own.relevance.index, "the index that was searched, for --relevance")
      .only_with("relevance")
      .required();
  options.add("weights", "FILE.safetensors", own.relevance.weights_path, "the weights the index was made with")
      .only_with("relevance");
  options
      .add("exemplars", "NAME.h5", own.candidates.exemplars, "the ingested exemplars, for --candidates and --relevance")
      .only_with("what", {"retrieval"})
      .required_with("candidates")
      .required_with("relevance");
  options
      .add("marks", "FILE|DIR...", own.candidates.marks,
           "the marks that were searched, for --candidates and --relevance")
      .only_with("what", {"retrieval"})
      .required_with("candidates")
      .required_with("relevance");
  declare_comparison(own.comparison, options);
  declare_wear(own.wear, options);
}

bool has_labels(const EvaluateJob& own) { return !own.retrieval.labels.empty(); }

/// A cell of the table: the value at `path`, with `decimals`, or a dash where it is not known.
std::string cell(const ordered_json& json, const char* pointer, int decimals) {
  const auto& value = json.at(ordered_json::json_pointer(pointer));
  if (value.is_null()) return "-";
  return fmt::format("{:.{}f}", value.get<double>(), decimals);
}

std::string row(const char* name, const ordered_json& json, const std::string& key, int decimals) {
  return fmt::format("  {:<24} {:>8} {:>16} {:>8}\n", name, cell(json, ("/" + key).c_str(), decimals),
                     cell(json, ("/standard_error/" + key).c_str(), decimals),
                     cell(json, ("/chance/" + key).c_str(), decimals));
}

std::string table(const ordered_json& json) {
  std::string text =
      fmt::format("{} marks, {} exemplars\n", json["marks"].get<std::int64_t>(), json["exemplars"].get<std::int64_t>());
  text += fmt::format("  {:<24} {:>8} {:>16} {:>8}\n", "", "", "standard error", "chance");
  text += row("top 1 (%)", json, "top_k/1", 1);
  text += row("top 10 (%)", json, "top_k/10", 1);
  text += row("top 1% (%)", json, "top_percent/1", 1);
  text += row("top 5% (%)", json, "top_percent/5", 1);
  text += row("top 10% (%)", json, "top_percent/10", 1);
  text += row("top 20% (%)", json, "top_percent/20", 1);
  text += row("mean average precision", json, "mean_average_precision", 3);
  text += fmt::format("  Exemplars of equal score count at the worst place; of {} marks a true one has such a tie.\n",
                      json["ties"]["marks"].get<std::int64_t>());
  if (json["known_to_rank"] != json["exemplars"]) {
    text += fmt::format(
        "  The results keep the first {} candidates of each mark; ranks beyond are unknown (-). Search with\n"
        "  --all-scores to know them.\n",
        json["known_to_rank"].get<std::int64_t>());
  }
  return text;
}

/// On rank 0. Casework has no labels: then pictures of the candidates are all there is to make.
std::string evaluate_retrieval(const EvaluateJob& own, const JobContext& context) {
  std::optional<retrieval::RetrievalEvaluation> evaluation;
  if (has_labels(own)) evaluation = retrieval::evaluate_results(own.retrieval);
  if (!own.candidates.output.empty()) {
    report::CandidatePicturesOptions pictures = own.candidates;
    pictures.results = own.retrieval.results;
    if (evaluation) pictures.labels = evaluation->labels;
    report::write_candidate_pictures(pictures);
  }
  if (!own.relevance.output.empty()) {
    report::RelevancePicturesOptions pictures = own.relevance;
    pictures.results = own.retrieval.results;
    pictures.exemplars = own.candidates.exemplars;
    pictures.marks = own.candidates.marks;
    if (evaluation) pictures.labels = evaluation->labels;
    report::write_relevance_pictures(pictures);
  }
  if (!evaluation) return "";
  const ordered_json& json = evaluation->json;
  if (own.figure) write_file_atomically(*own.figure, report::cmc_figure(json, own.log_rank));
  write_file_atomically(own.output, json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  write_provenance(own.output, context.command_line, context.comm.size(), evaluation->inputs);
  return table(json);
}

/// An evaluation must not take the place of the results it is about.
void check_output(const EvaluateJob& own) {
  if (own.what == "retrieval" && own.results.size() != 1) {
    throw UsageError("evaluate retrieval takes one of `results`; several methods: evaluate comparison");
  }
  const bool makes_pictures = !own.candidates.output.empty() || !own.relevance.output.empty();
  if (own.what == "retrieval" && !own.candidates.exemplars.empty() && !makes_pictures) {
    throw UsageError("`exemplars`: has no effect without `candidates` or `relevance`");
  }
  if (own.what == "retrieval" && !own.candidates.marks.empty() && !makes_pictures) {
    throw UsageError("`marks`: has no effect without `candidates` or `relevance`");
  }
  if (own.what == "retrieval" && !has_labels(own)) {
    if (!makes_pictures) throw UsageError("evaluate retrieval needs `labels`, or `candidates` or `relevance`, or both");
    if (!own.output.empty()) throw UsageError("`output` needs `labels`, the true exemplars to compare with");
    if (own.figure) throw UsageError("`figure` needs `labels`, the true exemplars to compare with");
    return;
  }
  if (own.output.extension() != ".json") {
    throw UsageError("`output` " + own.output.string() + ": its name must end in .json");
  }
}

Report run_evaluate(EvaluateJob& own, const JobContext& context) {
  context.comm.together([&] { check_output(own); });
  if (own.what == "wear") return evaluate_wear(own.wear, own.output, own.figure, context);
  if (context.common.plan) {
    machine::Plan plan;
    context.comm.together([&] { plan = retrieval::evaluation_plan(own.results); });
    return plan_report(plan, context);
  }
  if (own.what == "comparison") {
    own.comparison.compare.results = own.results;
    own.comparison.compare.labels = own.retrieval.labels;
    own.comparison.compare.exclude = own.retrieval.exclude;
    own.comparison.compare.group_columns = own.retrieval.group_columns;
    return [=] { return evaluate_comparison(own.comparison, own.output, own.figure, own.log_rank, context); };
  }
  own.retrieval.results = own.results.front();
  return [=] { return evaluate_retrieval(own, context); };
}

}  // namespace

Job evaluate_job() {
  return make_job(
      {"evaluate", "measure results against ground truth", "what",
       "Examples:\n"
       "  outsole evaluate retrieval --results results.h5 --labels labels.csv --output evaluation.json \\\n"
       "      --figure cmc.svg --candidates pictures --exemplars exemplars.h5 --marks marks/\n"
       "  outsole evaluate comparison --results a.h5 b.h5 --names ours theirs --labels labels.csv --output c.json \\\n"
       "      --figure cmc.svg --figure-precision-recall curves.svg\n"
       "  outsole evaluate wear --model run/model.h5 --scans prepared.h5 --output wear.json --figure wear.svg\n"
       "  outsole evaluate retrieval --results results.h5 --candidates pictures --exemplars exemplars.h5 --marks "
       "marks/\n"
       "Without labels only the pictures are made. Shares are in percent; top p% is the first ceil(p N) of N "
       "exemplars.\n"
       "A true exemplar comes after all others of the same score: a tie is never taken for a find.\n"
       "An all-digit id in the labels matches numerically (1 is 00001). The figure and JSON hold each group of\n"
       "--group-column, too. A comparison is of the marks that all results hold, with paired tests against the "
       "first.\n"},
      declare_evaluate, run_evaluate);
}

}  // namespace outsole::jobs
