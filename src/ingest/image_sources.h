#pragma once
// The image files that a job takes, and what the manifest says of them.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/input_files.h"

namespace outsole::ingest {

/// Keeps the rows of a manifest whose `column` holds exactly `value`, or one of several that commas part in it. Filters
/// of one column are alternatives, too.
struct ColumnFilter {
  std::string column;
  std::string value;
};

struct SourceOptions {
  std::vector<std::filesystem::path> inputs = {};  // image files, or folders of them
  bool recursive = false;                          // with the folders below
  std::optional<std::filesystem::path> manifest = {};
  std::vector<ColumnFilter> where = {};   // of each column one must hold
  std::vector<std::string> columns = {};  // of the manifest, those that mean something, besides file and id
  bool lenient = false;                   // goes on where the manifest says something that cannot be applied
};

struct ImageSource {
  std::filesystem::path file;
  std::string id;
  std::int64_t file_bytes = 0;                         // 0 when unknown: reading the file will say why
  nlohmann::json metadata = nlohmann::json::object();  // the manifest's columns but file and id, as text
  std::string manifest_row;                            // "manifest.csv, row 7", for messages; empty: it has none
};

struct SourceList {
  std::vector<ImageSource> sources;  // in the order of the inputs
  std::vector<NotRead> not_read;     // what lies among the inputs besides
  /// Rows of the manifest without a file, and files without a row: one sentence each.
  std::vector<std::string> rows_without_file, files_without_row;
  std::vector<std::string> assumptions;  // how the manifest was understood where it did not say it: one sentence each
};

/// Lists the images that the inputs name (see find_inputs) and joins the manifest to them: a table with a column `file`
/// (relative to the manifest's folder or to one of the input folders) or a column `id`. Files of folders below are
/// taken where a row names them. Names are the same but for case and Unicode normal form, and an all-digit id matches
/// numerically (107 is 00107). A file without a row is kept unless rows are filtered. One rank calls it. Throws
/// DataError naming files, rows or columns for no image at all, ids that are equal (but for case and Unicode normal
/// form), longer than 128 bytes, not UTF-8 or with control characters, two rows of one file, an ambiguous row; and,
/// unless lenient, for a row without a file and a column whose name is nearly one of `columns` that is not there.
/// UsageError for a filter without a manifest.
SourceList list_image_sources(const SourceOptions& options);

}  // namespace outsole::ingest
