#pragma once
// CSV files as people and spreadsheets write them (RFC 4180): quoted fields, CRLF, a byte order mark, semicolons or
// tabs in place of commas, UTF-16, empty columns and rows at the end, blanks around names and values.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outsole {

/// A table with a header. Every row has as many fields as there are columns.
struct CsvTable {
  std::filesystem::path path;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> lines;  // of the file, from 1, at which each row begins

  /// The index of a column, or nothing: the one of this very name, or else the one that is named so but for case,
  /// Unicode normal form and blanks around it. Throws DataError when two are.
  std::optional<std::size_t> find_column(std::string_view name) const;
  /// The index of a column; throws DataError that names the file and the columns it has.
  std::size_t column(std::string_view name) const;
};

/// Reads a table. Columns are parted by what parts the header into most of them: commas, semicolons or tabs. Blanks
/// around names and values go, and so do empty columns behind the last name and rows without any value; ="00107" is
/// 00107. Throws DataError naming file and line for a missing header, a repeated column, a ragged row, more than 4096
/// columns, an open quote, text behind a closing one, a lone carriage return, a NUL byte or what is neither UTF-8 nor
/// UTF-16.
CsvTable read_csv(const std::filesystem::path& path);

/// One field, quoted where it must be: by whatever the fields are parted.
std::string csv_field(std::string_view text);

}  // namespace outsole
