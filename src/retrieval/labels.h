#pragma once
// Which exemplar a mark truly belongs to: labels.csv, and how its ids are matched with those of a search.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/id_lookup.h"

namespace outsole::retrieval {

/// One row of labels.csv.
struct Label {
  std::string mark;
  std::string exemplar;
  std::vector<std::string> groups;  // one value for each group column
  std::size_t line = 0;             // of the file, for messages
};

struct Labels {
  std::filesystem::path path;
  std::vector<std::string> group_columns;
  std::vector<Label> rows;
};

/// Reads a table with the columns `mark,exemplar` or `query,ref`, and `group_columns`. A mark may have several rows,
/// one for each true exemplar. Throws DataError naming file and line for a missing column or an empty id.
Labels read_labels(const std::filesystem::path& path, const std::vector<std::string>& group_columns = {});

/// Labels as positions in the lists of a search.
struct Truth {
  std::vector<std::vector<std::int64_t>> exemplars;  // of each mark, ascending; empty: the mark has no label
  std::vector<std::vector<std::string>> groups;      // of each mark: a value for each group column; empty without label
  std::vector<std::vector<std::int64_t>> excluded;   // of each mark: exemplars that are not in the database for it
  std::int64_t marks_without_label = 0;
  std::int64_t labels_without_mark = 0;  // rows whose mark was not searched
};

/// Matches labels with the marks and exemplars of a search. Rows of marks that were not searched are only counted.
/// Throws DataError naming the line when a searched mark's exemplar is unknown, an id is ambiguous, or two rows of a
/// mark disagree on its group.
Truth resolve_labels(const Labels& labels, const std::vector<std::string>& mark_ids,
                     const std::vector<std::string>& exemplar_ids);

/// Takes the exemplars that rows name out of the database for the rows' marks, such as the print that a partial print
/// was cut from: they are no true exemplars, and no candidates. Rows of marks or exemplars that were not searched
/// change nothing. Returns how many rows did. Throws DataError naming the line when an id is ambiguous.
std::int64_t exclude(const Labels& rows, const std::vector<std::string>& mark_ids,
                     const std::vector<std::string>& exemplar_ids, Truth& truth);

}  // namespace outsole::retrieval
