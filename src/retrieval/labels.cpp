#include "retrieval/labels.h"

#include <algorithm>

#include "core/csv.h"
#include "core/errors.h"

namespace outsole::retrieval {

namespace {

std::string place_of(const Labels& labels, const Label& label) {
  return labels.path.string() + ", line " + std::to_string(label.line);
}

/// Adds a number to an ascending list, unless it is there.
void insert(std::vector<std::int64_t>& list, std::int64_t value) {
  const auto place = std::lower_bound(list.begin(), list.end(), value);
  if (place == list.end() || *place != value) list.insert(place, value);
}

/// Adds the row to the truth of mark `mark`.
void add_label(Truth& truth, std::int64_t mark, std::int64_t exemplar, const Label& label) {
  const auto index = static_cast<std::size_t>(mark);
  std::vector<std::int64_t>& exemplars = truth.exemplars[index];
  if (exemplars.empty()) {
    truth.groups[index] = label.groups;
  } else if (truth.groups[index] != label.groups) {
    throw DataError("mark '" + label.mark + "' was put into another group by an earlier row");
  }
  insert(exemplars, exemplar);
}

}  // namespace

Labels read_labels(const std::filesystem::path& path, const std::vector<std::string>& group_columns) {
  const CsvTable table = read_csv(path);
  const bool is_query_ref = !table.find_column("mark") && table.find_column("query");
  const std::size_t mark_column = table.column(is_query_ref ? "query" : "mark");
  const std::size_t exemplar_column = table.column(is_query_ref ? "ref" : "exemplar");
  std::vector<std::size_t> group_indices;
  for (const std::string& name : group_columns) group_indices.push_back(table.column(name));

  Labels labels{path, group_columns, {}};
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::vector<std::string>& fields = table.rows[row];
    Label label{fields[mark_column], fields[exemplar_column], {}, table.lines[row]};
    if (label.mark.empty() || label.exemplar.empty()) throw DataError(place_of(labels, label) + ": an id is empty");
    for (const std::size_t index : group_indices) label.groups.push_back(fields[index]);
    labels.rows.push_back(std::move(label));
  }
  return labels;
}

Truth resolve_labels(const Labels& labels, const std::vector<std::string>& mark_ids,
                     const std::vector<std::string>& exemplar_ids) {
  const IdLookup marks(mark_ids, "mark"), exemplars(exemplar_ids, "exemplar");
  Truth truth;
  truth.exemplars.resize(mark_ids.size());
  truth.groups.resize(mark_ids.size());
  truth.excluded.resize(mark_ids.size());
  for (const Label& label : labels.rows) {
    try {
      const auto mark = marks.find(label.mark);
      if (!mark) {
        ++truth.labels_without_mark;
        continue;
      }
      const auto exemplar = exemplars.find(label.exemplar);
      if (!exemplar) throw DataError("exemplar '" + label.exemplar + "' is not among those searched");
      add_label(truth, *mark, *exemplar, label);
    } catch (const DataError& error) {
      throw DataError(place_of(labels, label) + ": " + error.what());
    }
  }
  truth.marks_without_label = std::count_if(truth.exemplars.begin(), truth.exemplars.end(),
                                            [](const auto& of_mark) { return of_mark.empty(); });
  return truth;
}

std::int64_t exclude(const Labels& rows, const std::vector<std::string>& mark_ids,
                     const std::vector<std::string>& exemplar_ids, Truth& truth) {
  const IdLookup marks(mark_ids, "mark"), exemplars(exemplar_ids, "exemplar");
  std::int64_t excluded = 0;
  for (const Label& row : rows.rows) {
    try {
      const auto mark = marks.find(row.mark), exemplar = exemplars.find(row.exemplar);
      if (!mark || !exemplar) continue;
      const auto index = static_cast<std::size_t>(*mark);
      insert(truth.excluded[index], *exemplar);
      std::erase(truth.exemplars[index], *exemplar);
      ++excluded;
    } catch (const DataError& error) {
      throw DataError(place_of(rows, row) + ": " + error.what());
    }
  }
  return excluded;
}

}  // namespace outsole::retrieval
