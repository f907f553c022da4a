#pragma once
// How well a search found the true exemplars: its results store against labels, as JSON.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "machine/plan.h"
#include "measure/retrieval.h"
#include "retrieval/calibrate_scores.h"
#include "retrieval/labels.h"
#include "store/store.h"

namespace outsole::retrieval {

/// The true exemplars' ranks of every labelled mark of a results store, among those that are not excluded for it.
struct RetrievalRanks {
  std::vector<std::int64_t> mark_rows;    // rows of the store, ascending: the labelled marks
  std::vector<measure::MarkRanks> ranks;  // of these marks
  std::int64_t exemplars = 0;             // that a mark is compared with: of the one that has the most
  std::int64_t known_to_rank = 0;         // `exemplars` with the full score matrix, else the length of the stored lists
};

/// The texts of a data set of ids, such as mark_id or exemplar_id.
std::vector<std::string> read_ids(const store::Store& store, const std::string& dataset);

/// Ranks, of equal scores the worst (measure::worst_ranks_of), from the score matrix where the store has one (streamed,
/// a block of marks at a time), else from the stored top lists, in which an exemplar beyond the end is not found. One
/// rank calls it. Throws DataError when no mark has a label, the store's lists are inconsistent, or exemplars are
/// excluded and there is no score matrix.
RetrievalRanks rank_true_exemplars(const store::Store& results, const Truth& truth);

/// The measures of some marks, as evaluate_retrieval has them. Throws Bug without marks.
nlohmann::ordered_json evaluate_marks(std::span<const measure::MarkRanks> marks, std::int64_t exemplars,
                                      std::int64_t known_to_rank);

/// The evaluation: marks, exemplars, known_to_rank, ties (that they are counted at the worst place, and how many marks
/// have one), cmc, top_percent, top_k, mean_average_precision, standard_error,
/// chance, precision_recall, and the same under `groups` by column and value. Shares are in percent. What lies beyond
/// `known_to_rank` is null: a top-p% whose k is larger, and average precision when a true exemplar was not found.
nlohmann::ordered_json evaluate_retrieval(const RetrievalRanks& ranks, const Truth& truth,
                                          const std::vector<std::string>& group_columns);

struct EvaluateRetrievalOptions {
  std::filesystem::path results;              // what search wrote
  std::filesystem::path labels;               // CSV, see read_labels
  std::filesystem::path exclude;              // CSV of the same form: see retrieval::exclude; empty: nothing
  std::vector<std::string> group_columns;     // of the labels, each of whose values is evaluated apart, too
  std::optional<CalibrateOptions> calibrate;  // where the scores' meaning is measured, too
};

/// A results store against a table of labels.
struct RetrievalEvaluation {
  Labels labels;
  nlohmann::ordered_json json;  // evaluate_retrieval's, and `calibration` where it was asked for
  nlohmann::json inputs;        // SHA-256 of the results and of the labels, for provenance
};

/// A results store's marks and exemplars matched with labels and, where they are given, with exclusions. Warns of
/// labels without mark and of marks without label, which are left out. Throws DataError.
Truth find_truth(const store::Store& results, const Labels& labels, const std::optional<Labels>& excluded);

/// Reads both and evaluates; warns of labels without mark and of marks without label, which are left out. One rank.
/// Throws DataError.
RetrievalEvaluation evaluate_results(const EvaluateRetrievalOptions& options);

/// What evaluating these results would take; tables of published ranks (.csv) weigh nothing. Not collective. Throws
/// DataError for a broken store.
machine::Plan evaluation_plan(const std::vector<std::filesystem::path>& results);

}  // namespace outsole::retrieval
