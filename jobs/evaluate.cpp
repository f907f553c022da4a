#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <filesystem>
#include <optional>

#include "core/files.h"
#include "core/provenance.h"
#include "core/text.h"
#include "evaluate_comparison.h"
#include "evaluate_wear.h"
#include "job.h"
#include "other_run.h"
#include "plan.h"
#include "report/calibration_figures.h"
#include "report/candidates.h"
#include "report/cmc_figure.h"
#include "report/comparison_figure.h"
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
  // Of retrieval.
  bool calibrates = false;
  retrieval::CalibrateOptions calibrate;
  std::optional<fs::path> tippett_figure, ece_figure, calibration_figure;
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
  options
      .add_switch("calibrate", own.calibrates,
                  "measure what the scores mean as likelihood ratios (results with --all-scores), for `outsole report`")
      .only_with("what", {"retrieval"})
      .only_with("labels");
  options
      .add("groups", "CSV", own.calibrate.groups,
           "exemplar,group: exemplars of the same tread, which are no wrong ones for each other and stay in one fold")
      .only_with("calibrate");
  options.add("folds", "N", own.calibrate.folds, "of the cross-validation (default: 10, or half as many as treads)")
      .at_least(3)
      .at_most(1000)
      .only_with("calibrate");
  options.add("figure-tippett", "NAME.svg", own.tippett_figure, "draw how often which ratio is given")
      .only_with("calibrate");
  options.add("figure-ece", "NAME.svg", own.ece_figure, "draw the empirical cross-entropy over the prior odds")
      .only_with("calibrate");
  options
      .add("figure-calibration", "NAME.svg", own.calibration_figure,
           "draw the ratios that are given against those that the pairs bear out")
      .only_with("calibrate");
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

/// "43.9 to 100.0", or a dash where there is none.
std::string interval_cell(const ordered_json& json, const std::string& key) {
  const ordered_json::json_pointer pointer("/interval_95/" + key);
  if (!json.contains(pointer) || json.at(pointer).is_null()) return "-";
  const ordered_json& interval = json.at(pointer);
  return fmt::format("{:.1f} to {:.1f}", interval.at(0).get<double>(), interval.at(1).get<double>());
}

std::string row(const char* name, const ordered_json& json, const std::string& key, int decimals) {
  return fmt::format("  {:<24} {:>8} {:>16} {:>16} {:>8}\n", name, cell(json, ("/" + key).c_str(), decimals),
                     cell(json, ("/standard_error/" + key).c_str(), decimals), interval_cell(json, key),
                     cell(json, ("/chance/" + key).c_str(), decimals));
}

/// A line a group: found first, with its interval, and within the first percent.
std::string group_table(const ordered_json& json) {
  if (!json.contains("groups")) return "";
  std::string text;
  for (const auto& [column, values] : json["groups"].items()) {
    text += fmt::format("By {}:\n  {:<24} {:>8} {:>8} {:>16} {:>12} {:>16} {:>8} {:>16}\n", printable(column), "",
                        "marks", "top 1", "95% interval", "top 1% (%)", "95% interval", "mAP", "standard error");
    for (const auto& [value, part] : values.items()) {
      text += fmt::format("  {:<24} {:>8} {:>8} {:>16} {:>12} {:>16} {:>8} {:>16}\n", printable(value),
                          part["marks"].get<std::int64_t>(), cell(part, "/top_k/1", 1), interval_cell(part, "top_k/1"),
                          cell(part, "/top_percent/1", 1), interval_cell(part, "top_percent/1"),
                          cell(part, "/mean_average_precision", 3),
                          cell(part, "/standard_error/mean_average_precision", 3));
    }
  }
  return text;
}

std::string worst_text(const ordered_json& json) {
  if (!json.contains("worst_first") || json["worst_first"].empty()) return "";
  std::string text = "  Worst first:";
  constexpr std::size_t kShown = 5;
  for (std::size_t i = 0; i < json["worst_first"].size() && i < kShown; ++i) {
    const ordered_json& one = json["worst_first"][i];
    text +=
        fmt::format("{} {} ({})", i == 0 ? "" : ",", printable(one["mark"].get<std::string>()),
                    one["rank"].is_null() ? "not found" : "rank " + std::to_string(one["rank"].get<std::int64_t>()));
  }
  return text + "\n";
}

std::string calibration_text(const ordered_json& json) {
  if (!json.contains("calibration")) return "";
  const ordered_json& c = json["calibration"];
  const auto number = [&](const char* pointer) { return c.at(ordered_json::json_pointer(pointer)).get<double>(); };
  std::string text =
      fmt::format("What a score means: {} marks of {} treads, {} folds of the cross-validation\n",
                  c["marks"].get<std::int64_t>(), c["treads"].get<std::int64_t>(), c["folds"].get<std::int64_t>());
  text += fmt::format("  {:<36} {:.3f} +- {:.3f}\n", "Cllr (0 perfect, 1 no information)", number("/cllr"),
                      number("/cllr_standard_error"));
  text += fmt::format("  {:<36} {:.3f}\n", "Cllr_min (the order alone)", number("/cllr_min"));
  const ordered_json& below = c["misleading"]["matches_below_1"];
  text +=
      fmt::format("  {:<36} {} of {}, {:.1f}% (95%: {:.1f} to {:.1f})\n", "true exemplars with a ratio below 1",
                  below["count"].get<std::int64_t>(), below["of"].get<std::int64_t>(), below["percent"].get<double>(),
                  below["interval_95"][0].get<double>(), below["interval_95"][1].get<double>());
  text += fmt::format("  {:<36} {:.1f}% +- {:.1f} of {} pairs\n", "others with a ratio above 1",
                      number("/misleading/non_matches_above_1/percent"),
                      number("/misleading/non_matches_above_1/standard_error"),
                      c["misleading"]["non_matches_above_1"]["of"].get<std::int64_t>());
  text += fmt::format("  {:<36} {:.2g} to {:.3g} (log10: {:.2f} to {:.2f})\n", "ratios that the set supports",
                      std::pow(10, number("/bounds/least_log10_lr")), std::pow(10, number("/bounds/most_log10_lr")),
                      number("/bounds/least_log10_lr"), number("/bounds/most_log10_lr"));
  return text + fmt::format("  Compared: \"{}\" against \"{}\"\n  {}\n", c["propositions"]["first"].get<std::string>(),
                            c["propositions"]["alternative"].get<std::string>(), c["remark"].get<std::string>());
}

std::string table(const ordered_json& json) {
  std::string text =
      fmt::format("{} marks, {} exemplars\n", json["marks"].get<std::int64_t>(), json["exemplars"].get<std::int64_t>());
  text += fmt::format("  {:<24} {:>8} {:>16} {:>16} {:>8}\n", "", "", "standard error", "95% interval", "chance");
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
  return text + worst_text(json) + group_table(json) + calibration_text(json);
}

void draw_figures(const EvaluateJob& own, const ordered_json& json) {
  if (own.figure) write_file_atomically(*own.figure, report::cmc_figure(json, own.log_rank));
  if (own.comparison.precision_recall_figure) {
    write_file_atomically(*own.comparison.precision_recall_figure, report::precision_recall_figure(json));
  }
  if (own.tippett_figure) write_file_atomically(*own.tippett_figure, report::tippett_figure(json["calibration"]));
  if (own.ece_figure) write_file_atomically(*own.ece_figure, report::ece_figure(json["calibration"]));
  if (own.calibration_figure) {
    write_file_atomically(*own.calibration_figure, report::calibration_figure(json["calibration"]));
  }
}

/// On rank 0. Casework has no labels: then pictures of the candidates are all there is to make.
std::string evaluate_retrieval(const EvaluateJob& own, const JobContext& context) {
  std::optional<retrieval::RetrievalEvaluation> evaluation;
  if (has_labels(own)) {
    evaluation = retrieval::evaluate_results(own.retrieval);
    refuse_other_run(own.output, evaluation->inputs);
  }
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
  draw_figures(own, json);
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
  if (own.calibrates) own.retrieval.calibrate = own.calibrate;
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
       "--group-column, too. With --calibrate the JSON says what a score means, as a likelihood ratio.\n"
       "A comparison is of the marks that all results hold, with paired tests against the "
       "first.\n"},
      declare_evaluate, run_evaluate);
}

}  // namespace outsole::jobs
