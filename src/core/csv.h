#pragma once
// CSV files as people and spreadsheets write them (RFC 4180): quoted fields, CRLF, a byte order mark.

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

  /// The index of a column, or nothing.
  std::optional<std::size_t> find_column(std::string_view name) const;
  /// The index of a column; throws DataError that names the file and the columns it has.
  std::size_t column(std::string_view name) const;
};

/// Reads a table; throws DataError naming file and line for a missing header, a repeated column, a ragged row, more
/// than 4096 columns, an open quote, text behind a closing one, a lone carriage return or a NUL byte.
CsvTable read_csv(const std::filesystem::path& path);

/// One field, quoted where it must be.
std::string csv_field(std::string_view text);

}  // namespace outsole
