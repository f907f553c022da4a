#pragma once
// What a store holds as files for other programs: images, and tables.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace outsole::report {

enum class ExportFormat { kPng, kTiff };

struct ExportOptions {
  std::filesystem::path store;   // of any schema
  std::filesystem::path folder;  // exists
  ExportFormat format = ExportFormat::kPng;
  std::vector<std::string> ids;  // of the rows; empty: all
};

struct ExportSummary {
  std::int64_t images = 0;
  std::vector<std::string> tables;    // names of files
  std::vector<std::string> left_out;  // data sets that are neither
};

/// Writes the images of the rows as ID.png (or .tiff, 8 bit), with their resolution where it is known: `pixels`, and
/// likewise `support` and `filled` as ID.support.png; a row's `weeks` or, of ids that repeat, its number go into the
/// name. Numbers and texts become tables: ROWS.csv of what there is one of a row; ROWS_COLUMNS.csv, a line for each row
/// and column, of what there are several of; COLUMNS.csv of what belongs to no row. NaN and what is not known are
/// empty. Feature maps and the like are left out. One rank. Throws DataError, EnvironmentError; UsageError for an id
/// that is not there.
ExportSummary export_store(const ExportOptions& options);

}  // namespace outsole::report
