#include "retrieval/evaluate_retrieval.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <span>

#include "core/errors.h"
#include "core/progress.h"
#include "core/sha256.h"

namespace outsole::retrieval {

using measure::MarkRanks;
using nlohmann::ordered_json;

namespace {

constexpr std::array<std::int64_t, 4> kTopPercents{1, 5, 10, 20};
constexpr std::array<std::int64_t, 2> kTopKs{1, 10};
constexpr std::int64_t kBlockBytes = std::int64_t{64} << 20;

template <typename T>
std::vector<T> read_values(const store::Store& store, const std::string& dataset, std::int64_t first = 0,
                           std::int64_t count = -1) {
  return std::get<std::vector<T>>(store.read(dataset, first, count).values);
}

/// Ranks by the score matrix: the rows of `marks`, a bounded block of rows at a time. Exemplars that a first pass has
/// left out have no score, and so no rank; ranks are known as far as every mark has scores. Nor have those excluded.
void rank_by_scores(const store::Store& results, const Truth& truth, RetrievalRanks& ranks) {
  const std::int64_t columns = results.shape("exemplar_id").at(0);
  const std::int64_t bytes_of_row = columns * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t rows_of_block = std::max<std::int64_t>(1, kBlockBytes / bytes_of_row);
  constexpr float kNoCandidate = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> block;
  std::int64_t block_begin = 0, block_end = 0;
  for (std::size_t i = 0; i < ranks.mark_rows.size(); ++i) {
    const std::int64_t row = ranks.mark_rows[i];
    if (row >= block_end) {
      block_begin = row;
      block_end = std::min(row + rows_of_block, results.rows());
      block = read_values<float>(results, "score", block_begin, block_end - block_begin);
    }
    const auto scores = std::span<float>(block).subspan(static_cast<std::size_t>((row - block_begin) * columns),
                                                        static_cast<std::size_t>(columns));
    const auto& excluded = truth.excluded[static_cast<std::size_t>(row)];
    for (const std::int64_t exemplar : excluded) scores[static_cast<std::size_t>(exemplar)] = kNoCandidate;
    const auto has_score = [](float score) { return !std::isnan(score); };
    const std::int64_t scored = std::ranges::count_if(scores, has_score);
    if (scored < columns - std::ssize(excluded)) ranks.known_to_rank = std::min(ranks.known_to_rank, scored);
    measure::WorstRanks worst = measure::worst_ranks_of(scores, truth.exemplars[static_cast<std::size_t>(row)]);
    ranks.ranks[i].ranks = std::move(worst.ranks);
    ranks.ranks[i].is_tied = worst.is_tied;
  }
}

/// Ranks by the stored lists of the best exemplars.
void rank_by_lists(const store::Store& results, const Truth& truth, RetrievalRanks& ranks) {
  const std::int64_t length = results.shape("top_exemplar").at(1);
  const auto listed = read_values<std::int32_t>(results, "top_exemplar");
  const auto listed_scores = read_values<float>(results, "top_score");
  ranks.known_to_rank = std::min(length, ranks.exemplars);
  for (std::size_t i = 0; i < ranks.mark_rows.size(); ++i) {
    const std::int64_t row = ranks.mark_rows[i];
    const auto begin = static_cast<std::size_t>(row * length), count = static_cast<std::size_t>(ranks.known_to_rank);
    const auto list = std::span<const std::int32_t>(listed).subspan(begin, count);
    const auto scores = std::span<const float>(listed_scores).subspan(begin, count);
    std::vector<std::int64_t> places;  // in the list
    for (const std::int64_t exemplar : truth.exemplars[static_cast<std::size_t>(row)]) {
      const auto found = std::find(list.begin(), list.end(), exemplar);
      if (found != list.end()) places.push_back(found - list.begin());
    }
    measure::WorstRanks worst = measure::worst_ranks_of(scores, places, ranks.known_to_rank < ranks.exemplars);
    ranks.ranks[i].ranks = std::move(worst.ranks);
    ranks.ranks[i].is_tied = worst.is_tied;
  }
}

/// Shares within fixed ranks: the value at each k that is known, null beyond.
template <typename Keys, typename RankOf, typename ValueAt>
ordered_json at_ranks(const Keys& keys, std::int64_t known_to_rank, RankOf rank_of_key, ValueAt value_at) {
  ordered_json values = ordered_json::object();
  for (const std::int64_t key : keys) {
    const std::int64_t k = rank_of_key(key);
    values[std::to_string(key)] = k <= known_to_rank ? ordered_json(value_at(k)) : ordered_json(nullptr);
  }
  return values;
}

/// The marks whose best true exemplar came last in the list, of which an examiner learns most: mark and rank, null
/// where it was not found.
ordered_json worst_first(const RetrievalRanks& ranks, const std::vector<std::string>& mark_ids) {
  constexpr std::size_t kShown = 100;
  constexpr std::int64_t kNotFound = std::numeric_limits<std::int64_t>::max();
  std::vector<std::pair<std::int64_t, std::int64_t>> order;  // rank and row
  for (std::size_t i = 0; i < ranks.mark_rows.size(); ++i) {
    const auto& found = ranks.ranks[i].ranks;
    order.emplace_back(found.empty() ? kNotFound : found.front(), ranks.mark_rows[i]);
  }
  std::ranges::stable_sort(order, std::ranges::greater{}, &std::pair<std::int64_t, std::int64_t>::first);
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < std::min(kShown, order.size()); ++i) {
    const auto [rank, row] = order[i];
    list.push_back({{"mark", mark_ids[static_cast<std::size_t>(row)]},
                    {"rank", rank == kNotFound ? ordered_json(nullptr) : ordered_json(rank)}});
  }
  return list;
}

}  // namespace

ordered_json evaluate_marks(std::span<const MarkRanks> marks, std::int64_t exemplars, std::int64_t known_to_rank) {
  const std::int64_t count = std::ssize(marks);
  const auto k_of_percent = [&](std::int64_t percent) { return measure::rank_of_top_percent(percent, exemplars); };
  const auto k_of_k = [&](std::int64_t k) { return std::min(k, exemplars); };
  const auto found = [&](std::int64_t k) { return measure::found_percent(marks, k); };
  const auto error = [&](std::int64_t k) { return measure::standard_error_percent(found(k), count); };
  const auto chance = [&](std::int64_t k) { return measure::chance_found_percent(marks, exemplars, k); };
  const auto interval = [&](std::int64_t k) {
    const auto shares =
        measure::wilson_interval_percent(std::llround(found(k) / 100 * static_cast<double>(count)), count);
    return ordered_json{shares.low, shares.high};
  };
  const auto precision = measure::mean_average_precision(marks);
  const auto curve = measure::precision_recall(marks, known_to_rank);
  const auto if_all_found = [&](double value) {
    return measure::all_found(marks) ? ordered_json(value) : ordered_json(nullptr);
  };

  ordered_json json;
  json["marks"] = count;
  json["exemplars"] = exemplars;
  json["known_to_rank"] = known_to_rank;
  json["ties"] = {{"counted_at", "worst"}, {"marks", std::ranges::count_if(marks, &MarkRanks::is_tied)}};
  json["top_percent"] = at_ranks(kTopPercents, known_to_rank, k_of_percent, found);
  json["top_k"] = at_ranks(kTopKs, known_to_rank, k_of_k, found);
  json["mean_average_precision"] = if_all_found(precision.mean);
  json["standard_error"] = {{"top_percent", at_ranks(kTopPercents, known_to_rank, k_of_percent, error)},
                            {"top_k", at_ranks(kTopKs, known_to_rank, k_of_k, error)},
                            {"mean_average_precision", if_all_found(precision.standard_error)}};
  json["interval_95"] = {{"top_percent", at_ranks(kTopPercents, known_to_rank, k_of_percent, interval)},
                         {"top_k", at_ranks(kTopKs, known_to_rank, k_of_k, interval)}};
  json["chance"] = {{"top_percent", at_ranks(kTopPercents, exemplars, k_of_percent, chance)},
                    {"top_k", at_ranks(kTopKs, exemplars, k_of_k, chance)},
                    {"mean_average_precision", measure::chance_mean_average_precision(marks, exemplars)}};
  json["cmc"] = measure::cumulative_match_percent(marks, known_to_rank);
  json["precision_recall"] = {{"precision_percent", curve.precision_percent}, {"recall_percent", curve.recall_percent}};
  return json;
}

std::vector<std::string> read_ids(const store::Store& store, const std::string& dataset) {
  return read_values<std::string>(store, dataset);
}

RetrievalRanks rank_true_exemplars(const store::Store& results, const Truth& truth) {
  RetrievalRanks ranks;
  for (std::size_t row = 0; row < truth.exemplars.size(); ++row) {
    if (truth.exemplars[row].empty()) continue;
    ranks.mark_rows.push_back(static_cast<std::int64_t>(row));
    ranks.ranks.push_back({{}, std::ssize(truth.exemplars[row]), std::ssize(truth.excluded[row])});
  }
  if (ranks.mark_rows.empty()) throw DataError(results.path().string() + ": none of its marks has a label");
  // Ranks and numbers of exemplars are those of the mark with the most candidates; `excluded` is what others lack.
  const std::int64_t fewest = std::ranges::min(ranks.ranks, {}, &MarkRanks::excluded).excluded;
  for (MarkRanks& mark : ranks.ranks) mark.excluded -= fewest;
  ranks.exemplars = results.shape("exemplar_id").at(0) - fewest;
  ranks.known_to_rank = ranks.exemplars;

  if (results.has("score")) {
    rank_by_scores(results, truth, ranks);
  } else if (std::ranges::any_of(truth.excluded, [](const auto& of_mark) { return !of_mark.empty(); })) {
    throw DataError(results.path().string() +
                    ": keeps only the first candidates, from which none can be taken: search with --all-scores");
  } else {
    rank_by_lists(results, truth, ranks);
  }
  for (MarkRanks& mark : ranks.ranks) std::sort(mark.ranks.begin(), mark.ranks.end());
  return ranks;
}

ordered_json evaluate_retrieval(const RetrievalRanks& ranks, const Truth& truth,
                                const std::vector<std::string>& group_columns) {
  ordered_json json = evaluate_marks(ranks.ranks, ranks.exemplars, ranks.known_to_rank);
  for (std::size_t column = 0; column < group_columns.size(); ++column) {
    std::map<std::string, std::vector<MarkRanks>> marks_of_group;
    for (std::size_t i = 0; i < ranks.mark_rows.size(); ++i) {
      const auto row = static_cast<std::size_t>(ranks.mark_rows[i]);
      marks_of_group[truth.groups[row][column]].push_back(ranks.ranks[i]);
    }
    for (const auto& [value, marks] : marks_of_group) {
      json["groups"][group_columns[column]][value] = evaluate_marks(marks, ranks.exemplars, ranks.known_to_rank);
    }
  }
  return json;
}

Truth find_truth(const store::Store& results, const Labels& labels, const std::optional<Labels>& excluded) {
  const auto marks = read_ids(results, "mark_id"), exemplars = read_ids(results, "exemplar_id");
  Truth truth = resolve_labels(labels, marks, exemplars);
  if (truth.labels_without_mark > 0) {
    spdlog::warn("{}: {} rows name marks that were not searched", labels.path.string(), truth.labels_without_mark);
  }
  if (truth.marks_without_label > 0) {
    spdlog::warn("{}: {} marks have no label and are left out", results.path().string(), truth.marks_without_label);
  }
  if (!excluded) return truth;
  const std::int64_t rows = exclude(*excluded, marks, exemplars, truth);
  if (rows < std::ssize(excluded->rows)) {
    spdlog::warn("{}: {} of {} rows name a mark or an exemplar that was not searched", excluded->path.string(),
                 std::ssize(excluded->rows) - rows, excluded->rows.size());
  }
  const std::int64_t without = std::ranges::count_if(truth.exemplars, [](const auto& mark) { return mark.empty(); });
  if (without > truth.marks_without_label) {
    spdlog::warn("{}: {} marks have no true exemplar but excluded ones, and are left out", results.path().string(),
                 without - truth.marks_without_label);
  }
  return truth;
}

RetrievalEvaluation evaluate_results(const EvaluateRetrievalOptions& options) {
  RetrievalEvaluation evaluation;
  evaluation.labels = read_labels(options.labels, options.group_columns);
  const store::Store results(options.results, "outsole.results");
  std::optional<Labels> excluded;
  if (!options.exclude.empty()) excluded = read_labels(options.exclude);
  const Truth truth = find_truth(results, evaluation.labels, excluded);
  const RetrievalRanks ranks = rank_true_exemplars(results, truth);
  evaluation.json = evaluate_retrieval(ranks, truth, options.group_columns);
  evaluation.json["worst_first"] = worst_first(ranks, read_ids(results, "mark_id"));
  if (options.calibrate) evaluation.json["calibration"] = calibrate_scores(results, truth, *options.calibrate);
  evaluation.inputs = {{"results_sha256", results.sha256()}, {"labels_sha256", sha256_of_file(options.labels)}};
  if (excluded) evaluation.inputs["exclude_sha256"] = sha256_of_file(options.exclude);
  if (options.calibrate && !options.calibrate->groups.empty()) {
    evaluation.inputs["groups_sha256"] = sha256_of_file(options.calibrate->groups);
  }
  return evaluation;
}

machine::Plan evaluation_plan(const std::vector<std::filesystem::path>& results) {
  constexpr double kBytesASecond = 100e6, kStartS = 2;  // of results, read and sorted
  machine::Plan plan;
  double bytes = 0;
  for (const std::filesystem::path& path : results) {
    if (path.extension() == ".csv") continue;
    const store::Store store(path, "outsole.results");
    bytes += static_cast<double>(store.size_bytes());
    plan.lines.push_back(
        {"marks", fmt::format("{} among {} exemplars", store.rows(), store.shape("exemplar_id").at(0))});
  }
  plan.lines.push_back({"work", fmt::format("{} of results, on one rank", format_bytes(bytes))});
  plan.work.partitions = {{"one rank", 1}};
  plan.work.compute_s = kStartS + bytes / kBytesASecond;
  plan.work.read_bytes = bytes;
  plan.basis = fmt::format("without pictures, at {:.0f} MB a second", 1e-6 * kBytesASecond);
  return plan;
}

}  // namespace outsole::retrieval
