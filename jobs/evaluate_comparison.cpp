#include "evaluate_comparison.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "core/files.h"
#include "core/provenance.h"
#include "core/text.h"
#include "other_run.h"
#include "report/comparison_figure.h"

namespace outsole::jobs {

namespace {

using nlohmann::ordered_json;

/// A column of the tables: its heading, where its value stands in the JSON of a method, and decimals.
struct Measure {
  const char* heading;
  const char* pointer;
  int decimals;
};
constexpr std::array<Measure, 6> kMeasures{{{"top 1 (%)", "/top_k/1", 1},
                                            {"top 1% (%)", "/top_percent/1", 1},
                                            {"top 5% (%)", "/top_percent/5", 1},
                                            {"top 10% (%)", "/top_percent/10", 1},
                                            {"top 20% (%)", "/top_percent/20", 1},
                                            {"mAP", "/mean_average_precision", 3}}};

const ordered_json& at(const ordered_json& json, const std::string& pointer) {
  return json.at(ordered_json::json_pointer(pointer));
}

/// "72.5 (57.2-83.9)", a share with its 95% interval, "0.773 +- 0.061", a mean with its standard error, or a dash where
/// it is not known.
std::string value_cell(const ordered_json& method, const Measure& measure) {
  const ordered_json& value = at(method, measure.pointer);
  if (value.is_null()) return "-";
  const std::string text = fmt::format("{:.{}f}", value.get<double>(), measure.decimals);
  const ordered_json::json_pointer interval(std::string("/interval_95") + measure.pointer);
  if (method.contains(interval)) {
    return text + fmt::format(" ({:.1f}-{:.1f})", method.at(interval).at(0).get<double>(),
                              method.at(interval).at(1).get<double>());
  }
  return text + fmt::format(" +- {:.{}f}", at(method, std::string("/standard_error") + measure.pointer).get<double>(),
                            measure.decimals);
}

std::string chance_cell(const ordered_json& method, const Measure& measure) {
  return fmt::format("{:.{}f}", at(method, std::string("/chance") + measure.pointer).get<double>(), measure.decimals);
}

/// "+3 -1 p 0.63": found by this method alone, by the first alone; of a mean its difference.
std::string difference_cell(const ordered_json& method, const Measure& measure) {
  const ordered_json& difference = at(method, std::string("/against_first") + measure.pointer);
  if (difference.is_null()) return "-";
  const std::string p = fmt::format("p {:.2g}", difference["p_value"].get<double>());
  if (difference.contains("difference")) return fmt::format("{:+.3f} {}", difference["difference"].get<double>(), p);
  return fmt::format("+{} -{} {}", difference["only_this"].get<std::int64_t>(),
                     difference["only_first"].get<std::int64_t>(), p);
}

template <typename Cell>
std::string line(const std::string& name, std::size_t width, Cell cell) {
  std::string text = fmt::format("  {:<{}}", name, width);
  for (const Measure& measure : kMeasures) text += fmt::format(" {:>18}", cell(measure));
  return text + "\n";
}

std::string comparison_table(const ordered_json& json) {
  const ordered_json& methods = json["methods"];
  const std::string chance = "chance", first = printable(methods[0]["name"].get<std::string>());
  std::size_t width = chance.size();
  for (const auto& method : methods) width = std::max(width, printable(method["name"].get<std::string>()).size());

  std::string text =
      fmt::format("{} marks, {} exemplars\n", json["marks"].get<std::int64_t>(), json["exemplars"].get<std::int64_t>());
  text += line("", width, [](const Measure& measure) { return std::string(measure.heading); });
  for (const auto& method : methods) {
    text += line(printable(method["name"].get<std::string>()), width,
                 [&](const Measure& measure) { return value_cell(method, measure); });
  }
  text += line(chance, width, [&](const Measure& measure) { return chance_cell(methods[0], measure); });
  for (const auto& method : methods) {
    if (const auto tied = method["ties"]["marks"].get<std::int64_t>(); tied > 0) {
      text += fmt::format("  {}: of {} marks a true exemplar has the score of others, and counts at the worst place\n",
                          printable(method["name"].get<std::string>()), tied);
    }
  }
  text += "  In brackets: 95% intervals (Wilson); mAP: standard error.\n";
  if (methods.size() == 1) return text;
  text += fmt::format(
      "  Against {}: marks that only the one, only the other finds; McNemar's exact test; mAP: sign flips\n", first);
  for (std::size_t i = 1; i < methods.size(); ++i) {
    text += line(printable(methods[i]["name"].get<std::string>()), width,
                 [&](const Measure& measure) { return difference_cell(methods[i], measure); });
  }
  return text;
}

std::string comparison_tables(const ordered_json& json) {
  std::string text = comparison_table(json);
  if (json["left_out"] > 0) {
    text += fmt::format("  {} marks that not all results hold are left out.\n", json["left_out"].get<std::int64_t>());
  }
  if (!json.contains("groups")) return text;
  for (const auto& [column, values] : json["groups"].items()) {
    for (const auto& [value, part] : values.items()) {
      text += fmt::format("{} {}: ", printable(column), printable(value)) + comparison_table(part);
    }
  }
  return text;
}

}  // namespace

void declare_comparison(ComparisonEvaluation& own, Options& options) {
  options
      .add("names", "NAME...", own.compare.names,
           "comparison: the methods' names, in the order of the results; one word is cut at commas")
      .only_with("what", {"comparison"});
  options
      .add("figure-precision-recall", "NAME.svg", own.precision_recall_figure,
           "draw precision over recall: a curve a method, or a group")
      .only_with("what", {"retrieval", "comparison"})
      .only_with("labels");
}

std::string evaluate_comparison(const ComparisonEvaluation& own, const std::filesystem::path& output,
                                const std::optional<std::filesystem::path>& figure, bool log_rank,
                                const JobContext& context) {
  retrieval::CompareOptions compare = own.compare;
  if (compare.names.size() == 1 && compare.results.size() > 1) {
    const std::string names = compare.names[0] + ",";
    compare.names.clear();
    for (std::size_t begin = 0; begin < names.size(); begin = names.find(',', begin) + 1) {
      compare.names.push_back(names.substr(begin, names.find(',', begin) - begin));
    }
  }
  const retrieval::Comparison comparison = retrieval::compare_results(compare);
  const ordered_json& json = comparison.json;
  refuse_other_run(output, comparison.inputs);
  if (figure) write_file_atomically(*figure, report::comparison_figure(json, log_rank));
  if (own.precision_recall_figure) {
    write_file_atomically(*own.precision_recall_figure, report::precision_recall_figure(json));
  }
  write_file_atomically(output, json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  write_provenance(output, context.command_line, context.comm.size(), comparison.inputs);
  return comparison_tables(json);
}

}  // namespace outsole::jobs
