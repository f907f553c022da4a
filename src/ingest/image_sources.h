#pragma once
// The image files that an ingest takes, and what the manifest says of them.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace outsole::ingest {

/// Keeps the rows of a manifest whose `column` holds exactly `value`.
struct ColumnFilter {
  std::string column;
  std::string value;
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
  /// Rows of the manifest without a file, and files without a row: one sentence each.
  std::vector<std::string> rows_without_file, files_without_row;
};

/// Lists the images that `inputs` name (see list_inputs) and joins the manifest to them. The manifest is a CSV file
/// with a column `file` (relative to the manifest's folder or to one of the input folders) or a column `id`. A file
/// without a row is kept unless rows are filtered. One rank calls it. Throws DataError naming files or rows for ids
/// that are equal, longer than 128 bytes, not UTF-8 or with control characters, and for two rows of one file;
/// UsageError for a filter without a manifest.
SourceList list_image_sources(const std::vector<std::filesystem::path>& inputs,
                              const std::optional<std::filesystem::path>& manifest,
                              const std::vector<ColumnFilter>& where);

}  // namespace outsole::ingest
