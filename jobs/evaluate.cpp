#include <cstdio>
#include <filesystem>
#include <optional>

#include "core/errors.h"
#include "core/files.h"
#include "core/provenance.h"
#include "evaluate_wear.h"
#include "job.h"
#include "plan.h"
#include "retrieval/evaluate_retrieval.h"
#include "report/candidates.h"
#include "report/cmc_figure.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

void add_options(po::options_description& options) {
  options.add_options()                                                                                      //
      ("what", po::value<std::string>()->value_name("retrieval|wear")->required(), "what to evaluate")       //
      ("results", po::value<std::string>()->value_name("NAME.h5"), "what search wrote")                      //
      ("labels", po::value<std::string>()->value_name("CSV"), "true exemplars: mark,exemplar or query,ref")  //
      ("group-column", po::value<std::vector<std::string>>()->multitoken()->value_name("NAME..."),
       "columns of the labels: evaluate each of their values apart, too")              //
      ("output", po::value<std::string>()->value_name("NAME.json"), "the evaluation")  //
      ("figure", po::value<std::string>()->value_name("NAME.svg"),
       "draw the cumulative match characteristic; wear: SSIM and PSNR by elapsed time")                           //
      ("log-rank", po::bool_switch(), "logarithmic ranks in the figure")                                          //
      ("candidates", po::value<std::string>()->value_name("DIR"), "picture each mark with its first candidates")  //
      ("exemplars", po::value<std::string>()->value_name("NAME.h5"), "the ingested exemplars, for --candidates")  //
      ("marks", po::value<std::vector<std::string>>()->multitoken()->value_name("FILE|DIR..."),
       "the marks that were searched, for --candidates");
  add_wear_options(options);
}

/// Casework has no labels: then pictures of the candidates are all there is to make.
void check(const po::variables_map& options) {
  const bool has_pictures = options.count("candidates") > 0, has_labels = options.count("labels") > 0;
  if (options.count("results") == 0) throw UsageError("evaluate retrieval needs --results");
  for (const char* name : {"output", "figure", "group-column"}) {
    if (options.count(name) > 0 && !has_labels) {
      throw UsageError(std::string("--") + name + " needs --labels, the true exemplars to compare with");
    }
  }
  if (!has_labels && !has_pictures) throw UsageError("evaluate retrieval needs --labels, or --candidates, or both");
  if (has_labels && options.count("output") == 0) throw UsageError("evaluate retrieval needs --output");
  if (has_pictures && (options.count("exemplars") == 0 || options.count("marks") == 0)) {
    throw UsageError("--candidates needs --exemplars (the ingested store) and --marks (the images that were searched)");
  }
}

retrieval::EvaluateRetrievalOptions results_of(const po::variables_map& options) {
  retrieval::EvaluateRetrievalOptions evaluate;
  evaluate.results = options["results"].as<std::string>();
  evaluate.labels = options["labels"].as<std::string>();
  if (options.count("group-column") > 0) {
    evaluate.group_columns = options["group-column"].as<std::vector<std::string>>();
  }
  return evaluate;
}

/// A cell of the table: the value at `path`, with `decimals`, or a dash where it is not known.
std::string cell(const ordered_json& json, const char* pointer, int decimals) {
  const auto& value = json.at(ordered_json::json_pointer(pointer));
  if (value.is_null()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value.get<double>());
  return text;
}

void print_row(const char* name, const ordered_json& json, const std::string& key, int decimals) {
  std::printf("  %-24s %8s %16s %8s\n", name, cell(json, ("/" + key).c_str(), decimals).c_str(),
              cell(json, ("/standard_error/" + key).c_str(), decimals).c_str(),
              cell(json, ("/chance/" + key).c_str(), decimals).c_str());
}

void print_table(const ordered_json& json) {
  std::printf("%lld marks, %lld exemplars\n", json["marks"].get<long long>(), json["exemplars"].get<long long>());
  std::printf("  %-24s %8s %16s %8s\n", "", "", "standard error", "chance");
  print_row("top 1 (%)", json, "top_k/1", 1);
  print_row("top 10 (%)", json, "top_k/10", 1);
  print_row("top 1% (%)", json, "top_percent/1", 1);
  print_row("top 5% (%)", json, "top_percent/5", 1);
  print_row("top 10% (%)", json, "top_percent/10", 1);
  print_row("mean average precision", json, "mean_average_precision", 3);
  if (json["known_to_rank"] != json["exemplars"]) {
    std::printf(
        "  The results keep the first %lld candidates of each mark; ranks beyond are unknown (-). Search with\n"
        "  --all-scores to know them.\n",
        json["known_to_rank"].get<long long>());
  }
}

void write_pictures(const po::variables_map& options, const std::optional<retrieval::Labels>& labels) {
  report::CandidatePicturesOptions pictures;
  pictures.results = options["results"].as<std::string>();
  pictures.exemplars = options["exemplars"].as<std::string>();
  for (const auto& input : options["marks"].as<std::vector<std::string>>()) pictures.marks.emplace_back(input);
  pictures.output = options["candidates"].as<std::string>();
  pictures.labels = labels;
  report::write_candidate_pictures(pictures);
}

void write_evaluation(const retrieval::RetrievalEvaluation& evaluation, const po::variables_map& options,
                      const JobContext& context) {
  const fs::path output = options["output"].as<std::string>();
  if (options.count("figure") > 0) {
    write_file_atomically(options["figure"].as<std::string>(),
                          report::cmc_figure(evaluation.json, options["log-rank"].as<bool>()));
  }
  write_file_atomically(output, evaluation.json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  write_provenance(output, context.command_line, context.comm.size(), evaluation.inputs);
  print_table(evaluation.json);
}

void evaluate_retrieval(const po::variables_map& options, const JobContext& context) {
  std::optional<retrieval::RetrievalEvaluation> evaluation;
  if (options.count("labels") > 0) evaluation = retrieval::evaluate_results(results_of(options));
  if (options.count("candidates") > 0) {
    write_pictures(options, evaluation ? std::optional(evaluation->labels) : std::nullopt);
  }
  if (evaluation) write_evaluation(*evaluation, options, context);
}

/// An evaluation must not take the place of the results it is about.
void check_output(const po::variables_map& options) {
  if (options.count("output") == 0) return;
  const fs::path output = options["output"].as<std::string>();
  if (output.extension() != ".json") throw UsageError("--output " + output.string() + ": its name must end in .json");
}

void run(const po::variables_map& options, const JobContext& context) {
  const auto& what = options["what"].as<std::string>();
  check_output(options);
  if (what == "wear") return evaluate_wear(options, context);
  if (what != "retrieval") throw UsageError("evaluate " + what + ": not one of retrieval, wear");
  check(options);
  if (context.common.plan) {
    return print_plan(context, [&] {
      machine::Plan plan;
      context.comm.together([&] { plan = retrieval::evaluation_plan(options["results"].as<std::string>()); });
      return plan;
    });
  }
  context.comm.together([&] {
    if (context.comm.is_root()) evaluate_retrieval(options, context);
  });
}

}  // namespace

Job evaluate_job() {
  return {"evaluate",
          "measure results against ground truth",
          "what",
          "Examples:\n"
          "  outsole evaluate retrieval --results results.h5 --labels labels.csv --output evaluation.json \\\n"
          "      --figure cmc.svg --candidates pictures --exemplars exemplars.h5 --marks marks/\n"
          "  outsole evaluate retrieval --results results.h5 --candidates pictures --exemplars exemplars.h5 --marks marks/\n"
          "  outsole evaluate wear --model run/model.h5 --scans prepared.h5 --output wear.json --figure wear.svg\n"
          "Without labels only the pictures are made. Shares are in percent; top p% is the first ceil(p N) of N exemplars.\n"
          "An all-digit id in the labels matches numerically (1 is 00001). The figure and JSON hold each group of\n"
          "--group-column, too.\n",
          add_options,
          run};
}

}  // namespace outsole::jobs
