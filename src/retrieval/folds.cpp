#include "retrieval/folds.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "core/csv.h"
#include "core/errors.h"
#include "retrieval/labels.h"

namespace outsole::retrieval {

namespace {

/// Groups that a mark with several true exemplars joins, or exemplars of equal pixels.
class JoinedGroups {
 public:
  explicit JoinedGroups(std::size_t groups) : joined_to_(groups) {
    std::iota(joined_to_.begin(), joined_to_.end(), std::int64_t{0});
  }
  std::int64_t find(std::int64_t group) const {
    while (joined_to_[static_cast<std::size_t>(group)] != group) group = joined_to_[static_cast<std::size_t>(group)];
    return group;
  }
  void join(std::int64_t a, std::int64_t b) {
    const std::int64_t first = std::min(find(a), find(b)), second = std::max(find(a), find(b));
    joined_to_[static_cast<std::size_t>(second)] = first;
  }

 private:
  std::vector<std::int64_t> joined_to_;
};

/// A group and what it holds.
struct Load {
  std::int64_t group = 0, marks = 0, exemplars = 0;
};

/// Largest first, so that the last ones even the folds out.
bool is_dealt_before(const Load& a, const Load& b) {
  if (a.marks != b.marks) return a.marks > b.marks;
  if (a.exemplars != b.exemplars) return a.exemplars > b.exemplars;
  return a.group < b.group;
}

/// The fold of each group: that with the fewest marks so far, of these the one with the fewest exemplars, then the
/// first.
std::map<std::int64_t, std::int32_t> deal_out(std::vector<Load> loads, std::int64_t count) {
  std::ranges::sort(loads, is_dealt_before);
  std::vector<Load> folds(static_cast<std::size_t>(count));
  std::map<std::int64_t, std::int32_t> fold_of;
  for (const Load& load : loads) {
    const bool by_marks = load.marks > 0;
    const auto emptier = [&](const Load& a, const Load& b) {
      if (by_marks && a.marks != b.marks) return a.marks < b.marks;
      return a.exemplars < b.exemplars;
    };
    const auto fold = std::ranges::min_element(folds, emptier);
    fold->marks += load.marks;
    fold->exemplars += load.exemplars;
    fold_of[load.group] = static_cast<std::int32_t>(fold - folds.begin());
  }
  return fold_of;
}

void require_marks(const Folds& folds) {
  for (std::int64_t fold = 0; fold < folds.count; ++fold) {
    const auto marks = std::ranges::count(folds.of_mark, static_cast<std::int32_t>(fold));
    if (marks > 1) continue;
    throw UsageError("`folds` " + std::to_string(folds.count) + ": " + std::to_string(folds.of_mark.size()) +
                     " marks, whose exemplars' groups may not be parted, leave one fold with " +
                     (marks == 0 ? "no mark" : "a single mark") +
                     ", which would judge a metric by one hit or miss; give fewer folds or more marks");
  }
}

}  // namespace

std::vector<std::int64_t> read_exemplar_groups(const std::filesystem::path& csv, const std::vector<std::string>& ids) {
  std::vector<std::int64_t> groups(ids.size());
  std::iota(groups.begin(), groups.end(), std::int64_t{0});
  if (csv.empty()) return groups;
  const CsvTable table = read_csv(csv);
  const std::size_t exemplar_column = table.column("exemplar"), group_column = table.column("group");
  const IdLookup lookup(ids, "exemplar");
  std::map<std::string, std::int64_t> group_numbers;  // a group is numbered by its first exemplar
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::string& id = table.rows[row][exemplar_column];
    const auto exemplar = lookup.find(id);
    if (!exemplar) {
      throw DataError(csv.string() + ", line " + std::to_string(table.lines[row]) + ": exemplar '" + id +
                      "' is not in the index");
    }
    groups[static_cast<std::size_t>(*exemplar)] =
        group_numbers.try_emplace(table.rows[row][group_column], *exemplar).first->second;
  }
  return groups;
}

std::vector<std::int64_t> joined_by_equals(std::vector<std::int64_t> groups, std::span<const std::int32_t> equal_to) {
  if (equal_to.empty()) return groups;
  ensure(equal_to.size() == groups.size(), "each exemplar has a group, and an equal");
  JoinedGroups joined(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    joined.join(groups[i], groups[static_cast<std::size_t>(equal_to[i])]);
  }
  for (std::int64_t& group : groups) group = joined.find(group);
  return groups;
}

std::vector<std::int64_t> joined_by_marks(std::vector<std::int64_t> groups,
                                          const std::vector<std::vector<std::int64_t>>& true_exemplars) {
  JoinedGroups joined(groups.size());
  for (const auto& exemplars : true_exemplars) {
    for (const std::int64_t exemplar : exemplars) {
      joined.join(groups[static_cast<std::size_t>(exemplars.front())], groups[static_cast<std::size_t>(exemplar)]);
    }
  }
  for (std::int64_t& group : groups) group = joined.find(group);
  return groups;
}

Folds make_folds(std::int64_t count, const std::vector<std::vector<std::int64_t>>& true_exemplars,
                 const std::vector<std::int64_t>& exemplar_groups) {
  Folds folds;
  folds.count = count;
  folds.of_mark.assign(true_exemplars.size(), 0);
  folds.of_exemplar.assign(exemplar_groups.size(), 0);
  if (count == 1) return folds;
  const std::vector<std::int64_t> groups = joined_by_marks(exemplar_groups, true_exemplars);
  const auto group_of = [&](std::int64_t exemplar) { return groups[static_cast<std::size_t>(exemplar)]; };
  std::map<std::int64_t, Load> loads;
  for (std::int64_t exemplar = 0; exemplar < std::ssize(groups); ++exemplar) {
    Load& load = loads[group_of(exemplar)];
    load.group = group_of(exemplar);
    ++load.exemplars;
  }
  for (const auto& exemplars : true_exemplars) ++loads[group_of(exemplars.front())].marks;
  std::vector<Load> list;
  for (const auto& [group, load] : loads) list.push_back(load);
  const std::map<std::int64_t, std::int32_t> fold_of = deal_out(std::move(list), count);
  for (std::size_t mark = 0; mark < true_exemplars.size(); ++mark) {
    folds.of_mark[mark] = fold_of.at(group_of(true_exemplars[mark].front()));
  }
  for (std::size_t exemplar = 0; exemplar < groups.size(); ++exemplar) {
    folds.of_exemplar[exemplar] = fold_of.at(group_of(static_cast<std::int64_t>(exemplar)));
  }
  require_marks(folds);
  return folds;
}

}  // namespace outsole::retrieval
