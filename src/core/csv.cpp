#include "core/csv.h"

#include <algorithm>
#include <set>
#include <utility>

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

namespace {

constexpr std::size_t kMostColumns = 4096;

/// Takes records as they are read: the first is the header, the others are its rows. A broken file is refused at the
/// first record that tells, not when all of it has been taken into memory.
class TableBuilder {
 public:
  explicit TableBuilder(const std::filesystem::path& path) : table_{path, {}, {}, {}} {}

  [[noreturn]] void refuse(std::size_t line, const std::string& complaint) const {
    throw DataError(table_.path.string() + ", line " + std::to_string(line) + ": " + complaint);
  }

  void add(std::vector<std::string> record, std::size_t line) {
    const bool is_blank = record.size() == 1 && record[0].empty();
    if (is_blank) return;
    if (table_.columns.empty()) {
      std::set<std::string_view> seen;
      for (const std::string& column : record) {
        if (!seen.insert(column).second) refuse(line, "column '" + column + "' appears twice");
      }
      table_.columns = std::move(record);
      return;
    }
    if (record.size() != table_.columns.size()) {
      refuse(line,
             std::to_string(record.size()) + " fields where the header has " + std::to_string(table_.columns.size()));
    }
    table_.rows.push_back(std::move(record));
    table_.lines.push_back(line);
  }

  CsvTable finish() {
    if (table_.columns.empty()) throw DataError(table_.path.string() + ": empty; expected a header line and rows");
    return std::move(table_);
  }

 private:
  CsvTable table_;
};

}  // namespace

CsvTable read_csv(const std::filesystem::path& path) {
  std::string text = read_text_file(path);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.find('\0') != std::string::npos)
    throw DataError(path.string() + ": holds NUL bytes, so it is not a CSV file");

  TableBuilder table(path);
  std::vector<std::string> record;
  std::string field;
  bool is_quoted = false, was_quoted = false;  // inside of quotes; the field began with one
  std::size_t line = 1, record_line = 1;
  const auto end_field = [&] {
    if (record.size() == kMostColumns)
      table.refuse(record_line, "more than " + std::to_string(kMostColumns) + " fields");
    record.push_back(std::move(field));
    field.clear();
    was_quoted = false;
  };
  const auto end_record = [&] {
    end_field();
    table.add(std::move(record), record_line);
    record.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (c == '\n') ++line;
    if (is_quoted) {
      if (c != '"') {
        field += c;
      } else if (next == '"') {
        field += '"';
        ++i;
      } else {
        is_quoted = false;
      }
    } else if (c == ',') {
      end_field();
    } else if (c == '\n') {
      end_record();
      record_line = line;
    } else if (c == '\r') {
      if (next != '\n' && i + 1 < text.size()) table.refuse(line, "a carriage return that ends no line");
    } else if (was_quoted) {
      table.refuse(line, "text behind the quotes of a field");
    } else if (c == '"' && field.empty()) {
      is_quoted = was_quoted = true;
    } else {
      field += c;
    }
  }
  if (is_quoted) table.refuse(record_line, "a quoted field never ends");
  if (!field.empty() || was_quoted || !record.empty()) end_record();
  return table.finish();
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace outsole
