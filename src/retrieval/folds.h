#pragma once
// Cross-validation: which marks and exemplars are kept from a metric so that it can be judged by them.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace outsole::retrieval {

/// The group of each exemplar, by a table `exemplar,group` (those that show the same tread): one it does not name, or
/// with an empty path each, is a group of its own. Throws DataError naming the line for an exemplar that is not among
/// `ids`.
std::vector<std::int64_t> read_exemplar_groups(const std::filesystem::path& csv, const std::vector<std::string>& ids);

/// The groups, joined where they hold exemplars of equal pixels: `equal_to` is of each exemplar the first such one, or
/// empty where nobody knows.
std::vector<std::int64_t> joined_by_equals(std::vector<std::int64_t> groups, std::span<const std::int32_t> equal_to);

/// The groups, joined where a mark has true exemplars of several.
std::vector<std::int64_t> joined_by_marks(std::vector<std::int64_t> groups,
                                          const std::vector<std::vector<std::int64_t>>& true_exemplars);

/// Marks and exemplars in folds. The metric of a fold has seen no pair with a mark or an exemplar of that fold.
struct Folds {
  std::int64_t count = 1;  // 1: no fold is kept apart
  std::vector<std::int32_t> of_mark, of_exemplar;

  /// Whether the metric of `fold` may learn from the pair.
  bool may_learn(std::int64_t fold, std::int32_t mark, std::int32_t exemplar) const {
    return count == 1 ||
           (of_mark[static_cast<std::size_t>(mark)] != fold && of_exemplar[static_cast<std::size_t>(exemplar)] != fold);
  }
};

/// Deals out marks, each given by its true exemplars, so that no group of exemplars is shared between folds and folds
/// have about as many marks; then the exemplars that left none of them. Throws UsageError when a fold would have fewer
/// than two marks.
Folds make_folds(std::int64_t count, const std::vector<std::vector<std::int64_t>>& true_exemplars,
                 const std::vector<std::int64_t>& groups);

}  // namespace outsole::retrieval
