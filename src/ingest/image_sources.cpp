#include "ingest/image_sources.h"

#include <algorithm>
#include <unordered_map>

#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/text.h"
#include "image/image.h"
#include "ingest/exemplars.h"

namespace outsole::ingest {

namespace fs = std::filesystem;

namespace {

void check_id(const ImageSource& source) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  const std::string name = source.file.string();
  if (source.id.size() > kMaxIdBytes) {
    throw DataError(name + ": its name makes an id of more than " + std::to_string(kMaxIdBytes) + " bytes; rename it");
  }
  if (std::any_of(source.id.begin(), source.id.end(), is_control)) {
    throw DataError(name + ": its name holds control characters; rename it");
  }
  if (!is_utf8(source.id)) throw DataError(name + ": its name is not UTF-8; rename it");
}

void check_ids(const std::vector<ImageSource>& sources) {
  std::unordered_map<std::string, const ImageSource*> source_of_id;
  for (const ImageSource& source : sources) {
    check_id(source);
    const auto [other, is_new] = source_of_id.emplace(source.id, &source);
    if (!is_new) {
      throw DataError("id '" + source.id + "' appears twice: " + other->second->file.string() + " and " +
                      source.file.string() + "; an id is the file's name without folder and extension");
    }
  }
}

std::vector<ImageSource> list_files(const std::vector<fs::path>& inputs) {
  std::vector<ImageSource> sources;
  for (const fs::path& file : list_inputs(inputs, image::image_extensions())) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    sources.push_back({file, id_of(file), error ? 0 : static_cast<std::int64_t>(size), nlohmann::json::object(), ""});
  }
  return sources;
}

fs::path comparable(const fs::path& path) { return fs::absolute(path).lexically_normal(); }

/// Finds the source that a row of the manifest means.
class SourceFinder {
 public:
  SourceFinder(const std::vector<ImageSource>& sources, const std::vector<fs::path>& inputs, const fs::path& manifest,
               bool by_file)
      : by_file_(by_file), folders_{manifest.parent_path()} {
    for (const fs::path& input : inputs) {
      if (fs::is_directory(input)) folders_.push_back(input);
    }
    for (std::size_t i = 0; i < sources.size(); ++i) {
      source_of_key_[by_file ? comparable(sources[i].file).string() : sources[i].id] = i;
    }
  }

  std::optional<std::size_t> find(const std::string& key) const {
    if (!by_file_) return find_key(key);
    for (const fs::path& folder : folders_) {
      if (const auto source = find_key(comparable(folder / key).string())) return source;
    }
    return std::nullopt;
  }

 private:
  std::optional<std::size_t> find_key(const std::string& key) const {
    const auto found = source_of_key_.find(key);
    if (found == source_of_key_.end()) return std::nullopt;
    return found->second;
  }

  bool by_file_;
  std::vector<fs::path> folders_;
  std::unordered_map<std::string, std::size_t> source_of_key_;
};

std::string row_name(const CsvTable& table, std::size_t row) {
  return table.path.string() + ", row " + std::to_string(row + 1);
}

bool passes(const CsvTable& table, std::size_t row, const std::vector<ColumnFilter>& where) {
  return std::all_of(where.begin(), where.end(), [&](const ColumnFilter& filter) {
    return table.rows[row][table.column(filter.column)] == filter.value;
  });
}

void apply_row(const CsvTable& table, std::size_t row, ImageSource& source) {
  source.manifest_row = row_name(table, row);
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const std::string &column = table.columns[i], &value = table.rows[row][i];
    if (!is_utf8(column) || !is_utf8(value)) throw DataError(source.manifest_row + ": not UTF-8; save it as UTF-8");
    if (column != "file" && column != "id") source.metadata[column] = value;
  }
}

/// Gives each source its row; drops the sources whose row, or lack of one, fails the filter.
SourceList join_manifest(std::vector<ImageSource> sources, const std::vector<fs::path>& inputs,
                         const fs::path& manifest, const std::vector<ColumnFilter>& where) {
  const CsvTable table = read_csv(manifest);
  const bool by_file = table.find_column("file").has_value();
  if (!by_file && !table.find_column("id")) {
    throw DataError(manifest.string() + ": neither a column 'file' nor a column 'id'");
  }
  for (const ColumnFilter& filter : where) table.column(filter.column);
  const std::size_t key_column = table.column(by_file ? "file" : "id");
  if (!by_file) check_ids(sources);

  const SourceFinder finder(sources, inputs, manifest, by_file);
  std::vector<std::optional<std::size_t>> row_of_source(sources.size());
  SourceList list;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const std::string& key = table.rows[row][key_column];
    const auto source = finder.find(key);
    if (!source) {
      if (passes(table, row, where)) {
        list.rows_without_file.push_back(row_name(table, row) + ": '" + key + "' is not among the inputs");
      }
      continue;
    }
    if (const auto other = row_of_source[*source]) {
      throw DataError(row_name(table, row) + ": '" + key + "' has a row already, row " + std::to_string(*other + 1));
    }
    row_of_source[*source] = row;
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto row = row_of_source[i];
    if (!row) list.files_without_row.push_back(sources[i].file.string() + ": has no row in " + manifest.string());
    if (row ? !passes(table, *row, where) : !where.empty()) continue;
    if (row) apply_row(table, *row, sources[i]);
    list.sources.push_back(std::move(sources[i]));
  }
  return list;
}

}  // namespace

SourceList list_image_sources(const std::vector<fs::path>& inputs, const std::optional<fs::path>& manifest,
                              const std::vector<ColumnFilter>& where) {
  if (inputs.empty()) throw UsageError("no images to ingest; name files or folders by `input`");
  if (!manifest && !where.empty()) throw UsageError("`where` filters the rows of a manifest; name one by `manifest`");
  SourceList list{list_files(inputs), {}, {}};
  if (manifest) list = join_manifest(std::move(list.sources), inputs, *manifest, where);
  if (list.sources.empty()) throw DataError(manifest->string() + ": no row that passes `where` has a file");
  check_ids(list.sources);
  return list;
}

}  // namespace outsole::ingest
