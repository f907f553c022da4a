#include "core/csv.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/errors.h"
#include "core/files.h"
#include "core/folded.h"
#include "core/text.h"

namespace outsole {

std::optional<std::size_t> CsvTable::find_column(std::string_view name) const {
  const auto exact = std::find(columns.begin(), columns.end(), name);
  if (exact != columns.end()) return static_cast<std::size_t>(exact - columns.begin());
  const auto is_meant = [wanted = folded(name)](const std::string& column) { return folded(column) == wanted; };
  const auto found = std::find_if(columns.begin(), columns.end(), is_meant);
  if (found == columns.end()) return std::nullopt;
  const auto other = std::find_if(found + 1, columns.end(), is_meant);
  if (other != columns.end()) {
    throw DataError(path.string() + ": columns '" + *found + "' and '" + *other + "' are both '" + std::string(name) +
                    "' but for case; rename one");
  }
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

// --- The text -------------------------------------------------------------------------------------------------------

/// Throws DataError for halves of pairs that stand alone, and for a half unit at the end.
std::string from_utf16(std::string_view bytes, bool is_big_endian, const std::filesystem::path& path) {
  const auto refuse = [&] { throw DataError(path.string() + ": broken UTF-16; save it as UTF-8"); };
  if (bytes.size() % 2 != 0) refuse();
  const auto unit_at = [&](std::size_t i) -> char32_t {
    const auto first = static_cast<unsigned char>(bytes[i]), second = static_cast<unsigned char>(bytes[i + 1]);
    return is_big_endian ? char32_t{first} << 8 | second : char32_t{second} << 8 | first;
  };
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    char32_t character = unit_at(i);
    if (character >= 0xD800 && character < 0xE000) {
      const char32_t next = character < 0xDC00 && i + 2 < bytes.size() ? unit_at(i + 2) : 0;
      if (next < 0xDC00 || next >= 0xE000) refuse();
      character = 0x10000 + (character - 0xD800) * 0x400 + (next - 0xDC00);
      i += 2;
    }
    append_utf8(text, character);
  }
  return text;
}

/// The file as UTF-8 without a byte order mark, its lines ended by newlines.
std::string table_text(const std::filesystem::path& path) {
  using namespace std::literals;
  std::string text = read_text_file(path);
  if (text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv)) {
    throw DataError(path.string() + ": is UTF-32; save it as UTF-8");
  }
  // Without its mark UTF-16 is told by the first letter of the header.
  const bool is_marked = text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF");
  const bool is_bare = text.size() >= 2 && (text[0] == '\0') != (text[1] == '\0');
  if (is_marked || is_bare) {
    const bool is_big_endian = is_marked ? text[0] == '\xFE' : text[0] == '\0';
    text = from_utf16(std::string_view(text).substr(is_marked ? 2 : 0), is_big_endian, path);
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.find('\0') != std::string::npos)
    throw DataError(path.string() + ": holds NUL bytes, so it is not a CSV file");
  if (text.find('\n') == std::string::npos) std::replace(text.begin(), text.end(), '\r', '\n');  // of an old Mac
  return text;
}

/// Takes the line "sep=;" off that Excel puts before the header.
char take_separator_line(std::string& text) {
  const std::size_t end = text.starts_with("sep=") ? text.find('\n') : std::string::npos;
  const std::string_view line = trimmed(std::string_view(text).substr(0, end == std::string::npos ? 0 : end));
  const bool is_tab = line == "sep=" && text.starts_with("sep=\t");
  if (!is_tab && (line.size() != 5 || (line[4] != ';' && line[4] != ','))) return '\0';
  const char separator = is_tab ? '\t' : line[4];
  text.erase(0, end);  // its line end stays, so that lines are counted as in the file
  return separator;
}

/// The one of , ; and tab that cuts the header into most columns.
char separator_of(std::string_view text) {
  constexpr std::string_view kSeparators = ",;\t";
  std::array<std::size_t, kSeparators.size()> count{};
  bool is_quoted = false;
  for (const char c : text.substr(std::min(text.find_first_not_of("\r\n"), text.size()))) {
    if (c == '"') is_quoted = !is_quoted;
    if (is_quoted) continue;
    if (c == '\n') break;
    if (const std::size_t i = kSeparators.find(c); i != std::string_view::npos) ++count[i];
  }
  return kSeparators[static_cast<std::size_t>(std::ranges::max_element(count) - count.begin())];
}

/// ="00107" is how people keep a spreadsheet from taking zeros away.
std::string_view without_formula(std::string_view value) {
  value = trimmed(value);
  while (value.size() >= 3 && value.starts_with("=\"") && value.ends_with('"')) {
    value = trimmed(value.substr(2, value.size() - 3));
  }
  return value;
}

// --- The table ------------------------------------------------------------------------------------------------------

/// Takes records as they are read: the first is the header, the others are its rows. A broken file is refused at the
/// first record that tells, not when all of it has been taken into memory.
class TableBuilder {
 public:
  TableBuilder(const std::filesystem::path& path, char separator) : table_{path, {}, {}, {}}, separator_(separator) {}

  [[noreturn]] void refuse(std::size_t line, const std::string& complaint) const {
    throw DataError(table_.path.string() + ", line " + std::to_string(line) + ": " + complaint);
  }

  void add(std::vector<std::string> record, std::size_t line) {
    for (std::string& field : record) {
      if (!is_utf8(field)) refuse(line, "not UTF-8; save it as UTF-8");
      field = std::string(without_formula(field));
    }
    const auto last = std::find_if(record.rbegin(), record.rend(), [](const auto& field) { return !field.empty(); });
    const auto used = static_cast<std::size_t>(record.rend() - last);  // fields but for empty ones at the end
    if (used == 0) return;
    if (table_.columns.empty()) {
      record.resize(used);
      set_columns(std::move(record), line);
      return;
    }
    if (record.size() > table_.columns.size()) record.resize(std::max(used, table_.columns.size()));
    if (record.size() != table_.columns.size()) refuse_length(record.size(), line);
    table_.rows.push_back(std::move(record));
    table_.lines.push_back(line);
  }

  CsvTable finish() {
    if (table_.columns.empty()) throw DataError(table_.path.string() + ": empty; expected a header line and rows");
    return std::move(table_);
  }

 private:
  void set_columns(std::vector<std::string> record, std::size_t line) {
    std::set<std::string_view> seen;
    for (const std::string& column : record) {
      if (!seen.insert(column).second) refuse(line, "column '" + column + "' appears twice");
    }
    table_.columns = std::move(record);
  }

  [[noreturn]] void refuse_length(std::size_t fields, std::size_t line) const {
    const std::string by = separator_ == ',' ? "" : separator_ == ';' ? ", cut at semicolons" : ", cut at tabs";
    refuse(line, std::to_string(fields) + " fields where the header has " + std::to_string(table_.columns.size()) + by);
  }

  CsvTable table_;
  char separator_;
};

}  // namespace

CsvTable read_csv(const std::filesystem::path& path) {
  std::string text = table_text(path);
  const char stated = take_separator_line(text);
  const char separator = stated != '\0' ? stated : separator_of(text);

  TableBuilder table(path, separator);
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
    } else if (c == separator) {
      end_field();
    } else if (c == '\n') {
      end_record();
      record_line = line;
    } else if (c == '\r') {
      if (next != '\n' && i + 1 < text.size()) table.refuse(line, "a carriage return that ends no line");
    } else if (was_quoted && (c == ' ' || c == '\t')) {
      continue;
    } else if (was_quoted) {
      table.refuse(line, "text behind the quotes of a field");
    } else if (c == '"' && trimmed(field).empty()) {
      field.clear();
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
  if (text.find_first_of(",;\t\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace outsole
