#include "core/csv.h"

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"

namespace outsole {

std::optional<std::size_t> CsvTable::find_column(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

std::size_t CsvTable::column(std::string_view name) const {
  if (const auto index = find_column(name)) return *index;
  std::string known;
  for (const std::string& column : columns) known += (known.empty() ? "" : ", ") + column;
  throw DataError(path.string() + ": no column '" + std::string(name) + "'; it has: " + known);
}

CsvTable read_csv(const std::filesystem::path& path) {
  std::string text = read_text_file(path);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.find('\0') != std::string::npos)
    throw DataError(path.string() + ": holds NUL bytes, so it is not a CSV file");

  std::vector<std::vector<std::string>> records;
  std::vector<std::size_t> record_lines;
  std::vector<std::string> record;
  std::string field;
  bool quoted = false;
  std::size_t line = 1, record_line = 1;
  const auto end_record = [&] {
    record.push_back(std::move(field));
    field.clear();
    const bool blank = record.size() == 1 && record[0].empty();
    if (!blank) {
      records.push_back(record);
      record_lines.push_back(record_line);
    }
    record.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += '"';
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"' && field.empty()) {
      quoted = true;
    } else if (c == ',') {
      record.push_back(std::move(field));
      field.clear();
    } else if (c == '\n') {
      end_record();
      record_line = line;
    } else if (c != '\r') {
      field += c;
    }
  }
  if (quoted) throw DataError(path.string() + ", line " + std::to_string(record_line) + ": a quoted field never ends");
  if (!field.empty() || !record.empty()) end_record();

  if (records.empty()) throw DataError(path.string() + ": empty; expected a header line and rows");
  CsvTable table{path, records.front(), {}};
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (std::find(table.columns.begin() + i + 1, table.columns.end(), table.columns[i]) != table.columns.end()) {
      throw DataError(path.string() + ": column '" + table.columns[i] + "' appears twice");
    }
  }
  for (std::size_t i = 1; i < records.size(); ++i) {
    if (records[i].size() != table.columns.size()) {
      throw DataError(path.string() + ", line " + std::to_string(record_lines[i]) + ": " +
                      std::to_string(records[i].size()) + " fields where the header has " +
                      std::to_string(table.columns.size()));
    }
    table.rows.push_back(std::move(records[i]));
  }
  return table;
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace outsole
