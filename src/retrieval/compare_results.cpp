#include "retrieval/compare_results.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "measure/significance.h"
#include "retrieval/evaluate_retrieval.h"
#include "retrieval/labels.h"
#include "store/store.h"

namespace outsole::retrieval {

using measure::MarkRanks;
using nlohmann::ordered_json;

namespace {

constexpr std::int64_t kSignFlips = 99'999;
constexpr std::uint64_t kSignFlipSeed = 1;

// --- Two methods ----------------------------------------------------------------------------------------------------

bool is_found(const MarkRanks& mark, std::int64_t k) { return !mark.ranks.empty() && mark.ranks.front() <= k; }

/// How many marks only one of the two finds within the first k.
ordered_json found_difference(const Method& method, const Method& first, std::int64_t k) {
  if (k > std::min(method.known_to_rank, first.known_to_rank)) return nullptr;
  std::int64_t only_this = 0, only_first = 0;
  for (std::size_t i = 0; i < method.ranks.size(); ++i) {
    const bool here = is_found(method.ranks[i], k), there = is_found(first.ranks[i], k);
    only_this += here && !there;
    only_first += there && !here;
  }
  return {{"only_this", only_this},
          {"only_first", only_first},
          {"p_value", measure::mcnemar_p_value(only_this, only_first)}};
}

ordered_json precision_difference(const Method& method, const Method& first) {
  if (!measure::all_found(method.ranks) || !measure::all_found(first.ranks)) return nullptr;
  std::vector<double> differences;
  double sum = 0;
  for (std::size_t i = 0; i < method.ranks.size(); ++i) {
    differences.push_back(measure::average_precision(method.ranks[i]) - measure::average_precision(first.ranks[i]));
    sum += differences.back();
  }
  return {{"difference", sum / static_cast<double>(differences.size())},
          {"p_value", measure::sign_flip_p_value(differences, kSignFlips, kSignFlipSeed)}};
}

/// `evaluation` says which ranks are reported.
ordered_json differences(const Method& method, const Method& first, std::int64_t exemplars,
                         const ordered_json& evaluation) {
  ordered_json json;
  for (const auto& [key, value] : evaluation["top_percent"].items()) {
    const std::int64_t k = measure::rank_of_top_percent(std::stoll(key), exemplars);
    json["top_percent"][key] = found_difference(method, first, k);
  }
  for (const auto& [key, value] : evaluation["top_k"].items()) {
    json["top_k"][key] = found_difference(method, first, std::min<std::int64_t>(std::stoll(key), exemplars));
  }
  json["mean_average_precision"] = precision_difference(method, first);
  return json;
}

// --- What methods made of the marks that all of them hold -----------------------------------------------------------

/// One of the results, before marks are matched.
struct Source {
  Method method;
  std::vector<std::string> mark_ids;                     // of method.ranks
  std::vector<std::vector<std::string>> groups;          // of each mark; of published ranks: none
  std::optional<std::vector<std::string>> exemplar_ids;  // sorted; of published ranks: unknown
  std::int64_t exemplars = 0;
};

Source read_search(const store::Store& results, const Labels& labels, const std::optional<Labels>& excluded) {
  const Truth truth = find_truth(results, labels, excluded);
  const auto ids = read_ids(results, "mark_id");
  RetrievalRanks ranks = rank_true_exemplars(results, truth);
  Source source;
  for (const std::int64_t row : ranks.mark_rows) {
    source.mark_ids.push_back(ids[static_cast<std::size_t>(row)]);
    source.groups.push_back(truth.groups[static_cast<std::size_t>(row)]);
  }
  source.method = {{}, std::move(ranks.ranks), ranks.known_to_rank};
  source.exemplar_ids = read_ids(results, "exemplar_id");
  std::ranges::sort(*source.exemplar_ids);
  source.exemplars = ranks.exemplars;
  return source;
}

/// Ranks that somebody published: how many true exemplars a mark has is not known yet.
Source read_published_ranks(const std::filesystem::path& path) {
  const CsvTable table = read_csv(path);
  const std::size_t mark_column = table.column(table.find_column("mark") ? "mark" : "query");
  const std::size_t rank_column = table.column("rank");
  Source source;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::string& word = table.rows[row][rank_column];
    std::int64_t rank = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), rank);
    if (error != std::errc() || end != word.data() + word.size() || rank < 1) {
      throw DataError(fmt::format("{}, line {}: '{}' is no rank", path.string(), table.lines[row], word));
    }
    source.mark_ids.push_back(table.rows[row][mark_column]);
    source.method.ranks.push_back({{rank}, 1});
  }
  return source;
}

/// Published ranks become those of a method that was given the same marks and exemplars as `search`.
void complete_published_ranks(Source& source, const Source& search, const std::filesystem::path& path) {
  source.exemplars = search.exemplars;
  source.method.known_to_rank = search.exemplars;
  const IdLookup searched(search.mark_ids, "mark");
  for (std::size_t i = 0; i < source.mark_ids.size(); ++i) {
    const auto mark = searched.find(source.mark_ids[i]);
    if (!mark) continue;
    MarkRanks& ranks = source.method.ranks[i];
    if (ranks.ranks.front() > search.exemplars) {
      throw DataError(fmt::format("{}: mark '{}' has rank {}, of {} exemplars", path.string(), source.mark_ids[i],
                                  ranks.ranks.front(), search.exemplars));
    }
    const MarkRanks& same = search.method.ranks[static_cast<std::size_t>(*mark)];
    ranks.relevant = same.relevant;
    ranks.excluded = same.excluded;
  }
}

/// The marks that all sources hold: of each, its position in every source. In the order of the first.
std::vector<std::vector<std::size_t>> common_marks(const std::vector<Source>& sources) {
  std::vector<IdLookup> lookups;
  for (const Source& source : sources) lookups.emplace_back(source.mark_ids, "mark");
  std::vector<std::vector<std::size_t>> marks;
  for (const std::string& id : sources.front().mark_ids) {
    std::vector<std::size_t> positions;
    for (const IdLookup& lookup : lookups) {
      if (const auto position = lookup.find(id)) positions.push_back(static_cast<std::size_t>(*position));
    }
    if (positions.size() == sources.size()) marks.push_back(std::move(positions));
  }
  return marks;
}

std::vector<Method> methods_of(const std::vector<Source>& sources, std::span<const std::vector<std::size_t>> marks) {
  std::vector<Method> methods;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    Method& method = methods.emplace_back(Method{sources[i].method.name, {}, sources[i].method.known_to_rank});
    for (const auto& positions : marks) method.ranks.push_back(sources[i].method.ranks[positions[i]]);
  }
  return methods;
}

std::vector<Source> read_sources(const CompareOptions& options, const Labels& labels,
                                 const std::optional<Labels>& excluded, nlohmann::json& inputs) {
  std::vector<Source> sources;
  for (std::size_t i = 0; i < options.results.size(); ++i) {
    const std::filesystem::path& path = options.results[i];
    if (path.extension() == ".csv") {
      sources.push_back(read_published_ranks(path));
      inputs["results_sha256"].push_back(sha256_of_file(path));
    } else {
      const store::Store results(path, "outsole.results");
      sources.push_back(read_search(results, labels, excluded));
      inputs["results_sha256"].push_back(results.sha256());
    }
    sources.back().method.name = options.names.empty() ? id_of(path) : options.names[i];
  }
  return sources;
}

/// All searches were among the same exemplars. Returns one of them.
const Source& check_exemplars(const std::vector<Source>& sources, const CompareOptions& options) {
  std::size_t first = sources.size();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i].exemplar_ids) continue;
    if (first == sources.size()) first = i;
    if (sources[i].exemplar_ids != sources[first].exemplar_ids || sources[i].exemplars != sources[first].exemplars) {
      throw DataError(options.results[i].string() + " was searched among other exemplars than " +
                      options.results[first].string());
    }
  }
  if (first == sources.size()) throw UsageError("`results` needs a search: published ranks have no exemplars");
  return sources[first];
}

}  // namespace

ordered_json compare_methods(std::span<const Method> methods, std::int64_t exemplars) {
  ensure(!methods.empty() && !methods.front().ranks.empty(), "a comparison needs methods and marks");
  ordered_json json;
  json["marks"] = methods.front().ranks.size();
  json["exemplars"] = exemplars;
  for (const Method& method : methods) {
    ensure(method.ranks.size() == methods.front().ranks.size(), "all methods have the same marks");
    ordered_json evaluation = evaluate_marks(method.ranks, exemplars, method.known_to_rank);
    ordered_json entry = {{"name", method.name}};
    entry.update(evaluation);
    if (&method != &methods.front()) {
      entry["against_first"] = differences(method, methods.front(), exemplars, evaluation);
    }
    json["methods"].push_back(std::move(entry));
  }
  return json;
}

Comparison compare_results(const CompareOptions& options) {
  if (!options.names.empty() && options.names.size() != options.results.size()) {
    throw UsageError(fmt::format("`names` has {} names for {} results", options.names.size(), options.results.size()));
  }
  const Labels labels = read_labels(options.labels, options.group_columns);
  std::optional<Labels> excluded;
  if (!options.exclude.empty()) excluded = read_labels(options.exclude);

  Comparison comparison;
  comparison.inputs["labels_sha256"] = sha256_of_file(options.labels);
  if (excluded) comparison.inputs["exclude_sha256"] = sha256_of_file(options.exclude);
  std::vector<Source> sources = read_sources(options, labels, excluded, comparison.inputs);
  const Source& search = check_exemplars(sources, options);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i].exemplar_ids) complete_published_ranks(sources[i], search, options.results[i]);
  }

  const auto marks = common_marks(sources);
  if (marks.empty()) throw DataError(options.labels.string() + ": no mark that it names is in all results");
  std::size_t most = 0;
  for (const Source& source : sources) {
    if (source.exemplar_ids) most = std::max(most, source.mark_ids.size());
  }
  comparison.json = compare_methods(methods_of(sources, marks), search.exemplars);
  comparison.json["left_out"] = most - marks.size();
  if (most > marks.size()) {
    spdlog::warn("{} marks are compared, which all results hold; {} of others are left out", marks.size(),
                 most - marks.size());
  }

  const std::size_t searched = static_cast<std::size_t>(&search - sources.data());
  for (std::size_t column = 0; column < options.group_columns.size(); ++column) {
    std::map<std::string, std::vector<std::vector<std::size_t>>> marks_of_group;
    for (const auto& positions : marks) {
      marks_of_group[search.groups[positions[searched]][column]].push_back(positions);
    }
    for (const auto& [value, some] : marks_of_group) {
      comparison.json["groups"][options.group_columns[column]][value] =
          compare_methods(methods_of(sources, some), search.exemplars);
    }
  }
  return comparison;
}

}  // namespace outsole::retrieval
