#include "report/evaluation_page.h"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <cmath>
#include <map>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/provenance.h"
#include "report/calibration_figures.h"
#include "report/cmc_figure.h"
#include "report/comparison_figure.h"
#include "report/page_text.h"

namespace outsole::report {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct EvaluationFigure {
  const char* file;
  const char* words;  // what it shows
  const char* needs;  // where the evaluation holds its curves
  std::string (*draw)(const nlohmann::ordered_json& evaluation);
};

constexpr std::int64_t kLongList = 100;  // whose head is seen on a logarithmic axis only

constexpr std::array kEvaluationFigures = {
    EvaluationFigure{"cmc.svg", "Cumulative match characteristic: the share of marks found within the first k", "/cmc",
                     [](const nlohmann::ordered_json& evaluation) {
                       return cmc_figure(evaluation, std::ssize(evaluation.at("cmc")) > kLongList);
                     }},
    EvaluationFigure{"precision-recall.svg",
                     "Precision over recall: for each length of the list, how much of it is true, and how much of what "
                     "is true it holds",
                     "/precision_recall",
                     [](const nlohmann::ordered_json& evaluation) { return precision_recall_figure(evaluation); }},
    EvaluationFigure{
        "tippett.svg", "Tippett plot: how often at least which ratio is given, to true exemplars and to others",
        "/calibration/tippett",
        [](const nlohmann::ordered_json& evaluation) { return tippett_figure(evaluation.at("calibration")); }},
    EvaluationFigure{"ece.svg", "Empirical cross-entropy: what the ratios leave unknown, over the odds before them",
                     "/calibration/ece",
                     [](const nlohmann::ordered_json& evaluation) { return ece_figure(evaluation.at("calibration")); }},
    EvaluationFigure{"calibration.svg", "Calibration: the ratios that are given against those that the pairs bear out",
                     "/calibration/pav", [](const nlohmann::ordered_json& evaluation) {
                       return calibration_figure(evaluation.at("calibration"));
                     }}};

/// Runs `use`, which reads the evaluation; what is not there, or of another type, is the file's fault.
template <typename Use>
auto of_evaluation(const PageInputs& inputs, Use use) {
  try {
    return use();
  } catch (const json::exception& error) {
    throw DataError(inputs.options.evaluation.string() +
                    ": is not as `outsole evaluate retrieval` writes it: " + error.what());
  }
}

// --- Numbers as text ------------------------------------------------------------------------------------------------

std::string measured(const json& part, const std::string& pointer, int decimals, const char* unit = "") {
  const json::json_pointer at(pointer);
  if (!part.contains(at) || !part.at(at).is_number()) return "–";
  return fmt::format("{:.{}f}{}", part.at(at).get<double>(), decimals, unit);
}

std::string measured_interval(const json& part, const std::string& key) {
  const std::string low = measured(part, "/interval_95/" + key + "/0", 1),
                    high = measured(part, "/interval_95/" + key + "/1", 1);
  return low == "–" || high == "–" ? "–" : low + " to " + high;
}

std::string counted(const json& part, const char* key) {
  return part.contains(key) && part[key].is_number() ? part[key].dump() : "?";
}

// --- The page's facts -----------------------------------------------------------------------------------------------

/// The SHA-256 of the results that the evaluation is of, as its record tells; empty: not known.
std::string evaluated_sha256(const PageInputs& inputs) {
  const fs::path path = provenance_path(inputs.options.evaluation);
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return "";
  const json record = parse_json(read_text_file(path));
  const json::json_pointer at("/details/results_sha256");
  return record.contains(at) && record.at(at).is_string() ? record.at(at).get<std::string>() : "";
}

json notes_of(const PageInputs& inputs, bool is_of_these) {
  const json& evaluation = inputs.evaluation;
  json notes = json::array();
  notes.push_back("Measured on " + counted(evaluation, "marks") + " marks whose true exemplars are known, among " +
                  counted(evaluation, "exemplars") +
                  " exemplars. This says how often the method ranks the true exemplar high, not how probable it is "
                  "that a candidate of one mark is the true one.");
  notes.push_back(is_of_these ? "It is of the results that this report shows."
                              : "It is of other results than this report shows, or which ones is not known: marks that "
                                "are named here are not linked to pages.");
  if (const json::json_pointer ties("/ties/marks"); evaluation.contains(ties) && evaluation.at(ties).is_number()) {
    notes.push_back("Exemplars of equal score count at the worst place; a true one has such a tie for " +
                    evaluation.at(ties).dump() + " marks.");
  }
  if (evaluation.value("known_to_rank", json()) != evaluation.value("exemplars", json())) {
    notes.push_back("The results keep the first " + counted(evaluation, "known_to_rank") +
                    " candidates of each mark; what lies beyond is not known (search with --all-scores).");
  }
  return notes;
}

json figures_in(const fs::path& folder) {
  json figures = json::array();
  for (const EvaluationFigure& figure : kEvaluationFigures) {
    if (fs::exists(folder / "figures" / figure.file))
      figures.push_back({{"file", figure.file}, {"words", figure.words}});
  }
  return figures;
}

json groups_of(const json& evaluation) {
  json groups = json::array();
  if (!evaluation.contains("groups")) return groups;
  for (const auto& [column, values] : evaluation["groups"].items()) {
    json rows = json::array();
    for (const auto& [value, part] : values.items()) {
      rows.push_back({{"value", value},
                      {"marks", counted(part, "marks")},
                      {"top_1", measured(part, "/top_k/1", 1, "%")},
                      {"interval_of_top_1", measured_interval(part, "top_k/1")},
                      {"top_percent", measured(part, "/top_percent/1", 1, "%")},
                      {"interval_of_top_percent", measured_interval(part, "top_percent/1")},
                      {"precision", measured(part, "/mean_average_precision", 3)},
                      {"error_of_precision", measured(part, "/standard_error/mean_average_precision", 3)}});
    }
    groups.push_back({{"column", column}, {"rows", std::move(rows)}});
  }
  return groups;
}

json calibration_facts(const json& evaluation) {
  if (!evaluation.contains("calibration")) return nullptr;
  const json& c = evaluation["calibration"];
  const auto number = [&](const char* pointer) { return c.at(json::json_pointer(pointer)).get<double>(); };
  const auto count = [&](const char* pointer) { return c.at(json::json_pointer(pointer)).get<std::int64_t>(); };
  json rows = json::array();
  const auto add = [&](const char* name, const std::string& value) {
    rows.push_back({{"name", name}, {"value", value}});
  };
  add("Measured on", fmt::format("{} marks of {} treads among {} exemplars, {} folds of the cross-validation",
                                 count("/marks"), count("/treads"), count("/exemplars"), count("/folds")));
  add("Cllr", fmt::format("{:.3f} (standard error {:.3f}); 0 is perfect, 1 tells nothing", number("/cllr"),
                          number("/cllr_standard_error")));
  add("Cllr_min", fmt::format("{:.3f}: what the order alone would allow", number("/cllr_min")));
  add("True exemplars with a ratio below 1",
      fmt::format("{} of {}, {:.1f}% (95%: {:.1f} to {:.1f})", count("/misleading/matches_below_1/count"),
                  count("/misleading/matches_below_1/of"), number("/misleading/matches_below_1/percent"),
                  number("/misleading/matches_below_1/interval_95/0"),
                  number("/misleading/matches_below_1/interval_95/1")));
  add("Others with a ratio above 1",
      fmt::format("{:.1f}% of {} pairs (standard error {:.1f})", number("/misleading/non_matches_above_1/percent"),
                  count("/misleading/non_matches_above_1/of"),
                  number("/misleading/non_matches_above_1/standard_error")));
  add("Ratios that the set supports", fmt::format("{:.2g} to {:.3g}", std::pow(10, number("/bounds/least_log10_lr")),
                                                  std::pow(10, number("/bounds/most_log10_lr"))));
  add("First proposition", c.at("propositions").at("first").get<std::string>());
  add("Alternative", c.at("propositions").at("alternative").get<std::string>());
  return {{"rows", rows}, {"remark", c.at("remark").get<std::string>()}};
}

/// The marks whose true exemplar came last, those first; linked to their pages where they have one.
json worst_of(const PageInputs& inputs, bool is_of_these, const fs::path& folder) {
  std::map<std::string, std::int64_t> row_of_id;
  for (std::int64_t row = 0; is_of_these && row < inputs.marks(); ++row)
    row_of_id.emplace(inputs.lists.mark_ids[static_cast<std::size_t>(row)], row);
  json worst = json::array();
  if (!inputs.evaluation.contains("worst_first")) return worst;
  for (const json& one : inputs.evaluation["worst_first"]) {
    const auto id = one.at("mark").get<std::string>();
    const json& rank = one.at("rank");
    json facts = {{"id", id},
                  {"page", ""},
                  {"thumb", false},
                  {"best_id", ""},
                  {"best_thumb", false},
                  {"rank", rank.is_null() ? "not found" : std::to_string(rank.get<std::int64_t>())}};
    if (const auto found = row_of_id.find(id); found != row_of_id.end()) {
      const std::string name = page_name(found->second + 1);
      facts["page"] = name;
      facts["thumb"] = fs::exists(folder / "pictures" / name / "thumb.jpg");
      if (const std::vector<ListEntry> list = inputs.list(found->second); !list.empty()) {
        const auto best = static_cast<std::size_t>(list[0].exemplar);
        facts["best_id"] = inputs.lists.exemplar_ids[best];
        facts["best_name"] = page_name(list[0].exemplar);
        facts["best_thumb"] = inputs.places[best] >= 0;
      }
    }
    worst.push_back(std::move(facts));
  }
  return worst;
}

}  // namespace

json shares_found(const json& evaluation) {
  json rows = json::array();
  for (const auto& [key, name] :
       {std::pair{"top_k/1", "1"}, std::pair{"top_k/10", "10"}, std::pair{"top_percent/1", "1%"},
        std::pair{"top_percent/5", "5%"}, std::pair{"top_percent/10", "10%"}, std::pair{"top_percent/20", "20%"}}) {
    rows.push_back({{"name", name},
                    {"value", measured(evaluation, std::string("/") + key, 1, "%")},
                    {"interval", measured_interval(evaluation, key)},
                    {"error", measured(evaluation, std::string("/standard_error/") + key, 1)},
                    {"chance", measured(evaluation, std::string("/chance/") + key, 1, "%")}});
  }
  return rows;
}

void write_evaluation_figures(const PageInputs& inputs, const fs::path& folder) {
  if (inputs.evaluation.is_null()) return;
  std::error_code error;
  fs::create_directories(folder / "figures", error);
  if (error) throw EnvironmentError((folder / "figures").string() + ": cannot be created: " + error.message());
  of_evaluation(inputs, [&] {
    const nlohmann::ordered_json evaluation = inputs.evaluation;
    for (const EvaluationFigure& figure : kEvaluationFigures) {
      const nlohmann::ordered_json::json_pointer curves(figure.needs);
      if (!evaluation.contains(curves) || evaluation.at(curves).empty()) continue;
      write_file_atomically(folder / "figures" / figure.file, figure.draw(evaluation));
    }
  });
}

std::string evaluation_page(const PageInputs& inputs, const fs::path& folder) {
  return of_evaluation(inputs, [&] {
    const bool is_of_these = evaluated_sha256(inputs) == inputs.results.sha256();
    const json& evaluation = inputs.evaluation;
    const json worst = worst_of(inputs, is_of_these, folder), groups = groups_of(evaluation);
    const json facts = {{"notes", notes_of(inputs, is_of_these)},
                        {"rows", shares_found(evaluation)},
                        {"precision", measured(evaluation, "/mean_average_precision", 3)},
                        {"error_of_precision", measured(evaluation, "/standard_error/mean_average_precision", 3)},
                        {"chance_of_precision", measured(evaluation, "/chance/mean_average_precision", 3)},
                        {"figures", figures_in(folder)},
                        {"groups", groups},
                        {"calibration", calibration_facts(evaluation)},
                        {"has_worst", !worst.empty()},
                        {"is_of_these", is_of_these},
                        {"worst", worst},
                        {"versions", inputs.options.versions}};
    return page_of(Page::kEvaluation, facts);
  });
}

}  // namespace outsole::report
