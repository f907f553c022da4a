#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "core/files.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "evaluate_wear.h"
#include "job.h"
#include "report/candidates.h"
#include "report/cmc_figure.h"
#include "retrieval/evaluate_retrieval.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct EvaluateJob {
  std::string what;
  fs::path output;
  std::optional<fs::path> figure;
  // Of retrieval.
  fs::path results, labels;
  std::vector<std::string> group_columns;
  bool log_rank = false;
  report::CandidatePicturesOptions candidates;
  // Of wear.
  WearEvaluation wear;
};

void declare(EvaluateJob& own, Options& options) {
  options.add("what", "retrieval|wear", own.what, "what to evaluate").one_of({"retrieval", "wear"}).required();
  options.add("results", "NAME.h5", own.results, "what search wrote").only_with("what", {"retrieval"}).required();
  options.add("labels", "CSV", own.labels, "true exemplars: mark,exemplar or query,ref")
      .only_with("what", {"retrieval"})
      .required();
  options
      .add("group-column", "NAME...", own.group_columns,
           "columns of the labels: evaluate each of their values apart, too")
      .only_with("what", {"retrieval"});
  options.add("output", "NAME.json", own.output, "the evaluation").required();
  options.add("figure", "NAME.svg", own.figure,
              "draw the cumulative match characteristic; wear: SSIM and PSNR by elapsed time");
  options.add_switch("log-rank", own.log_rank, "logarithmic ranks in the figure")
      .only_with("what", {"retrieval"})
      .only_with("figure");
  options.add("candidates", "DIR", own.candidates.output, "picture each mark with its first candidates")
      .only_with("what", {"retrieval"});
  options.add("exemplars", "NAME.h5", own.candidates.exemplars, "the ingested exemplars, for --candidates")
      .only_with("candidates")
      .required();
  options.add("marks", "FILE|DIR...", own.candidates.marks, "the marks that were searched, for --candidates")
      .only_with("candidates")
      .required();
  declare_wear(own.wear, options);
}

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
  text += row("mean average precision", json, "mean_average_precision", 3);
  if (json["known_to_rank"] != json["exemplars"]) {
    text += fmt::format(
        "  The results keep the first {} candidates of each mark; ranks beyond are unknown (-). Search with\n"
        "  --all-scores to know them.\n",
        json["known_to_rank"].get<std::int64_t>());
  }
  return text;
}

std::string figure_of(const ordered_json& json, bool log_rank) {
  std::vector<report::CmcCurve> curves;
  const auto add = [&](const std::string& name, const ordered_json& part) {
    curves.push_back({name + " (" + std::to_string(part["marks"].get<std::int64_t>()) + ")", part["cmc"]});
  };
  add("all marks", json);
  if (json.contains("groups")) {
    for (const auto& [column, values] : json["groups"].items()) {
      for (const auto& [value, part] : values.items()) add(column + " " + value, part);
    }
  }
  const std::string title = std::to_string(json["marks"].get<std::int64_t>()) + " marks among " +
                            std::to_string(json["exemplars"].get<std::int64_t>()) + " exemplars";
  return report::cmc_figure(curves, {title, log_rank});
}

/// On rank 0.
std::string evaluate_retrieval(const EvaluateJob& own, const JobContext& context) {
  const retrieval::Labels labels = retrieval::read_labels(own.labels, own.group_columns);
  const store::Store results(own.results, "outsole.results");
  const retrieval::Truth truth = retrieval::resolve_labels(labels, retrieval::read_ids(results, "mark_id"),
                                                           retrieval::read_ids(results, "exemplar_id"));
  if (truth.labels_without_mark > 0) {
    spdlog::warn("{}: {} rows name marks that were not searched", labels.path.string(), truth.labels_without_mark);
  }
  if (truth.marks_without_label > 0) {
    spdlog::warn("{}: {} marks have no label and are left out", own.results.string(), truth.marks_without_label);
  }
  const ordered_json json =
      retrieval::evaluate_retrieval(retrieval::rank_true_exemplars(results, truth), truth, own.group_columns);

  if (!own.candidates.output.empty()) {
    report::CandidatePicturesOptions pictures = own.candidates;
    pictures.results = own.results;
    report::write_candidate_pictures(pictures, labels);
  }
  if (own.figure) write_file_atomically(*own.figure, figure_of(json, own.log_rank));
  write_file_atomically(own.output, json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  write_provenance(own.output, context.command_line, context.comm.size(),
                   {{"results_sha256", results.sha256()}, {"labels_sha256", sha256_of_file(labels.path)}});
  return table(json);
}

/// An evaluation must not take the place of the results it is about.
void check_output(const fs::path& output) {
  if (output.extension() != ".json") throw UsageError("`output` " + output.string() + ": its name must end in .json");
}

Report run(EvaluateJob& own, const JobContext& context) {
  context.comm.together([&] { check_output(own.output); });
  if (own.what == "wear") return evaluate_wear(own.wear, own.output, own.figure, context);
  if (context.common.plan) return [] { return std::string("evaluates on one rank, in seconds\n"); };
  return [=] { return evaluate_retrieval(own, context); };
}

}  // namespace

Job evaluate_job() {
  return make_job(
      {"evaluate", "measure results against ground truth", "what",
       "Examples:\n"
       "  outsole evaluate retrieval --results results.h5 --labels labels.csv --output evaluation.json \\\n"
       "      --figure cmc.svg --candidates pictures --exemplars exemplars.h5 --marks marks/\n"
       "  outsole evaluate wear --model run/model.h5 --scans prepared.h5 --output wear.json --figure wear.svg\n"
       "Shares are in percent; top p% is the first ceil(p N) of N exemplars. An all-digit id in the labels matches\n"
       "numerically (1 is 00001). The figure and JSON hold each group of --group-column, too.\n"},
      declare, run);
}

}  // namespace outsole::jobs
