#pragma once
// The same marks under several methods: what each finds, and which differences are more than chance.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "measure/retrieval.h"

namespace outsole::retrieval {

/// What one method made of some marks.
struct Method {
  std::string name;
  std::vector<measure::MarkRanks> ranks;  // of each mark
  std::int64_t known_to_rank = 0;
};

/// `marks`, `exemplars` and `methods`: of each its name, the measures of evaluate_marks and, but of the first,
/// `against_first`: for each share of marks found how many only this and only the first method finds, with
/// measure::mcnemar_p_value; for mean average precision the difference, with measure::sign_flip_p_value (99,999 flips,
/// seed 1). What one of the two does not know is null. Throws Bug unless all methods have the same marks, and some.
nlohmann::ordered_json compare_methods(std::span<const Method> methods, std::int64_t exemplars);

struct CompareOptions {
  /// What search wrote, or published ranks: a CSV with the columns `mark,rank` (or `query,rank`), the rank of the first
  /// true exemplar of each mark.
  std::vector<std::filesystem::path> results;
  std::vector<std::string> names;          // of each method; empty: the files' ids
  std::filesystem::path labels;            // CSV, see read_labels
  std::filesystem::path exclude;           // CSV of the same form: see retrieval::exclude; empty: nothing
  std::vector<std::string> group_columns;  // of the labels, each of whose values is compared apart, too
};

struct Comparison {
  nlohmann::ordered_json json;  // compare_methods' of the marks that all results hold; `left_out`: how many others are
                                // labelled in some; `groups` by column and value
  nlohmann::json inputs;        // SHA-256 of what was read, for provenance
};

/// Reads and compares. One rank. Throws DataError when results were searched against other exemplars, no mark is in all
/// of them, or a rank is none; UsageError when there is no search among the results, or names are not as many.
Comparison compare_results(const CompareOptions& options);

}  // namespace outsole::retrieval
