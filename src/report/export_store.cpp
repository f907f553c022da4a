#include "report/export_store.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <opencv2/core.hpp>
#include <optional>
#include <set>

#include "core/checked.h"
#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/text.h"
#include "image/image.h"
#include "image/write_png.h"
#include "store/schema.h"
#include "store/store.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

using store::DatasetSchema;
using store::Store;

// --- What there is --------------------------------------------------------------------------------------------------

const store::Schema& schema_of(const Store& store) {
  return store::find_schema(store.header().schema, store.header().version, store.path().string());
}

bool is_number(const std::string& length) { return length.find_first_not_of("0123456789") == std::string::npos; }

bool is_image(const DatasetSchema& dataset) {
  if (!dataset.by_row || dataset.types.front().kind != store::ElementKind::kUint8) return false;
  return (dataset.ragged && dataset.name == "pixels") ||
         (dataset.shape.size() == 3 && dataset.shape[1] == "height" && dataset.shape[2] == "width");
}

/// SHA-256 as bytes: one value in hexadecimal digits.
bool is_digest(const DatasetSchema& dataset) {
  return dataset.shape.size() == 2 && is_number(dataset.shape[1]) &&
         dataset.types.front().kind == store::ElementKind::kUint8;
}

/// The name of the table that the data set is a column of; empty: of none.
std::string table_of(const DatasetSchema& dataset) {
  if (dataset.types.front().kind == store::ElementKind::kFloat16 || dataset.types.size() > 1) return "";
  if (dataset.shape.size() == 1 || is_digest(dataset) || (dataset.ragged && dataset.name == "metadata")) {
    return dataset.shape[0];
  }
  return dataset.shape.size() == 2 && dataset.by_row && !dataset.ragged ? dataset.shape[0] + "_" + dataset.shape[1]
                                                                        : "";
}

std::optional<std::string> id_dataset(const Store& store) {
  for (const char* name : {"id", "mark_id", "input_id"}) {
    const DatasetSchema* dataset = schema_of(store).find(name);
    if (dataset != nullptr && dataset->by_row && store.has(name)) return name;
  }
  return std::nullopt;
}

/// The rows that are wanted.
std::vector<std::int64_t> chosen_rows(const Store& store, const std::vector<std::string>& wanted) {
  std::vector<std::int64_t> rows;
  const auto name = id_dataset(store);
  if (wanted.empty()) {
    for (std::int64_t row = 0; row < store.rows(); ++row) rows.push_back(row);
    return rows;
  }
  if (!name) throw UsageError(store.path().string() + ": its rows have no `ids`");
  const auto ids = std::get<std::vector<std::string>>(store.read(*name).values);
  for (const std::string& id : wanted) {
    if (std::ranges::find(ids, id) == ids.end()) throw UsageError(store.path().string() + ": holds no '" + id + "'");
  }
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (std::ranges::find(wanted, ids[row]) != wanted.end()) rows.push_back(static_cast<std::int64_t>(row));
  }
  return rows;
}

// --- Tables ---------------------------------------------------------------------------------------------------------

std::string text_of(const std::string& value) { return value; }

template <typename Number>
std::string text_of(Number value) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) return "";
  }
  return fmt::format("{}", value);
}

std::string element_text(const store::Values& values, std::int64_t i) {
  return std::visit([&](const auto& elements) { return text_of(elements.at(static_cast<std::size_t>(i))); }, values);
}

/// A file that appears whole or not at all.
class TableFile {
 public:
  explicit TableFile(fs::path path) : path_(std::move(path)), stream_(path_.string() + ".part", std::ios::binary) {}
  void line(const std::vector<std::string>& fields) {
    for (std::size_t i = 0; i < fields.size(); ++i) stream_ << (i > 0 ? "," : "") << csv_field(fields[i]);
    stream_ << "\n";
  }
  void finish() {
    stream_.close();
    if (!stream_) throw EnvironmentError(path_.string() + ": cannot be written");
    publish_file(path_.string() + ".part", path_);
  }

 private:
  fs::path path_;
  std::ofstream stream_;
};

/// The columns of one table, rows of which are read together.
class TableReader {
 public:
  TableReader(const Store& store, std::vector<const DatasetSchema*> datasets)
      : store_(store), datasets_(std::move(datasets)) {
    for (const DatasetSchema* dataset : datasets_) {
      const std::string whose = dataset->name.substr(dataset->name.rfind('_') + 1) + "_id";
      const DatasetSchema* ids = schema_of(store_).find(whose);
      const bool is_place = dataset->types.front().kind == store::ElementKind::kInt32 && ids != nullptr &&
                            !ids->by_row && ids->name != dataset->name && store_.has(whose);
      names_.push_back(is_place ? std::get<std::vector<std::string>>(store_.read(whose).values)
                                : std::vector<std::string>());
    }
  }

  void read(std::int64_t first, std::int64_t count) {
    columns_.clear();
    for (const DatasetSchema* dataset : datasets_) {
      columns_.push_back(dataset->by_row ? store_.read(dataset->name, first, count) : store_.read(dataset->name));
    }
  }

  /// How many there are of a row.
  std::int64_t width() const { return columns_.front().shape.size() > 1 ? columns_.front().shape[1] : 1; }

  /// Row `row` of those that were read, the rows of a ragged data set one after another; `place` in it.
  std::string text(std::size_t column, std::int64_t row, std::int64_t place) const {
    const DatasetSchema& dataset = *datasets_[column];
    const store::Column& values = columns_[column];
    if (dataset.ragged) return ragged_text(column, row);
    if (is_digest(dataset)) {
      std::string digits;
      const auto& bytes = std::get<std::vector<std::uint8_t>>(values.values);
      for (std::int64_t i = row * values.shape[1]; i < (row + 1) * values.shape[1]; ++i) {
        digits += fmt::format("{:02x}", bytes.at(static_cast<std::size_t>(i)));
      }
      return digits;
    }
    const std::int64_t per_row = values.shape.size() > 1 ? values.shape[1] : 1;
    const std::string text = element_text(values.values, row * per_row + place);
    if (names_[column].empty()) return text;
    const auto named = static_cast<std::size_t>(
        std::get<std::vector<std::int32_t>>(values.values)[static_cast<std::size_t>(row * per_row + place)]);
    return named < names_[column].size() ? names_[column][named] : "";
  }

  std::vector<std::string> headings() const {
    std::vector<std::string> all;
    for (const DatasetSchema* dataset : datasets_) all.push_back(dataset->name);
    return all;
  }

 private:
  std::string ragged_text(std::size_t column, std::int64_t row) const {
    const auto& bytes = std::get<std::vector<std::uint8_t>>(columns_[column].values);
    const auto& lengths = columns_[column].row_lengths;
    const auto begin = bytes.begin() + std::accumulate(lengths.begin(), lengths.begin() + row, std::int64_t{0});
    return {begin, begin + lengths[static_cast<std::size_t>(row)]};
  }

  const Store& store_;
  std::vector<const DatasetSchema*> datasets_;
  std::vector<std::vector<std::string>> names_;  // that the numbers of a column are places in
  std::vector<store::Column> columns_;
};

using Tables = std::map<std::string, std::vector<const DatasetSchema*>>;

/// One line a row.
void write_plain(const Store& store, const std::vector<const DatasetSchema*>& datasets,
                 const std::vector<std::int64_t>& rows, const fs::path& file) {
  TableReader reader(store, datasets);
  TableFile table(file);
  table.line(reader.headings());
  const auto write_lines = [&](std::int64_t first, std::int64_t lines) {
    reader.read(first, lines);
    for (std::int64_t i = 0; i < lines; ++i) {
      std::vector<std::string> fields;
      for (std::size_t column = 0; column < datasets.size(); ++column) fields.push_back(reader.text(column, i, 0));
      table.line(fields);
    }
  };
  if (!datasets.front()->by_row) {
    write_lines(0, store.shape(datasets.front()->name)[0]);
    return table.finish();
  }
  constexpr std::size_t kAtATime = 256;
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    end = begin + 1;  // rows that follow each other are read together
    while (end < rows.size() && end - begin < kAtATime && rows[end] == rows[end - 1] + 1) ++end;
    write_lines(rows[begin], static_cast<std::int64_t>(end - begin));
  }
  table.finish();
}

/// One line a row and place in it, which has a name where the store names such places.
void write_long(const Store& store, const std::vector<const DatasetSchema*>& datasets,
                const std::vector<std::int64_t>& rows, const fs::path& file) {
  const std::string& symbol = datasets.front()->shape[1];
  const auto own_id = id_dataset(store);
  std::vector<std::string> places;
  std::string heading = symbol;
  for (const DatasetSchema& other : schema_of(store).datasets) {
    const bool names_places = !other.by_row && other.shape.size() == 1 && other.shape[0] == symbol &&
                              other.types.front().kind == store::ElementKind::kText && store.has(other.name);
    if (!names_places || !places.empty()) continue;
    places = std::get<std::vector<std::string>>(store.read(other.name).values);
    heading = other.name;
  }
  TableReader reader(store, datasets);
  TableFile table(file);
  std::vector<std::string> headings{own_id.value_or("row"), heading};
  for (const std::string& name : reader.headings()) headings.push_back(name);
  table.line(headings);
  for (const std::int64_t row : rows) {
    reader.read(row, 1);
    const std::string id = own_id ? element_text(store.read(*own_id, row, 1).values, 0) : std::to_string(row);
    for (std::int64_t place = 0; place < reader.width(); ++place) {
      const bool is_named = place < std::ssize(places);
      std::vector<std::string> fields{id,
                                      is_named ? places[static_cast<std::size_t>(place)] : std::to_string(place + 1)};
      for (std::size_t column = 0; column < datasets.size(); ++column) fields.push_back(reader.text(column, 0, place));
      table.line(fields);
    }
  }
  table.finish();
}

// --- Images ---------------------------------------------------------------------------------------------------------

/// Row `row` of a data set of one value a row.
double number_at(const Store& store, const std::string& dataset, std::int64_t row) {
  return std::visit(
      [](const auto& values) {
        if constexpr (std::is_arithmetic_v<typename std::decay_t<decltype(values)>::value_type>) {
          return static_cast<double>(values.at(0));
        } else {
          return 0.0;
        }
      },
      store.read(dataset, row, 1).values);
}

double resolution_of(const Store& store, std::int64_t row) {
  const double dpi = store.has("dpi") ? number_at(store, "dpi", row)
                     : store.header().parameters.is_object() && store.header().parameters.contains("dpi") &&
                             store.header().parameters["dpi"].is_number()
                         ? store.header().parameters["dpi"].get<double>()
                         : 0;
  return dpi >= image::kLeastDpi && dpi <= 1e5 ? dpi : 0;
}

cv::Mat image_of(const Store& store, const DatasetSchema& dataset, std::int64_t row) {
  const store::Column column = store.read(dataset.name, row, 1);
  const auto& bytes = std::get<std::vector<std::uint8_t>>(column.values);
  const bool is_deep = dataset.ragged && store.has("bit_depth") && number_at(store, "bit_depth", row) == 16;
  const double height = dataset.ragged ? number_at(store, "height_px", row) : static_cast<double>(column.shape[1]);
  const double width = dataset.ragged ? number_at(store, "width_px", row) : static_cast<double>(column.shape[2]);
  if (!(height >= 1 && width >= 1) || height * width * (is_deep ? 2 : 1) != static_cast<double>(bytes.size())) {
    throw DataError(fmt::format("{}: row {} of '{}' has {} bytes, not {} x {} pixels", store.path().string(), row,
                                dataset.name, bytes.size(), height, width));
  }
  cv::Mat result(static_cast<int>(height), static_cast<int>(width), is_deep ? CV_16UC1 : CV_8UC1);
  std::memcpy(result.data, bytes.data(), bytes.size());
  return result;
}

/// Names of files: ids are a store's word, and must not lead out of the folder.
std::vector<std::string> file_names(const Store& store, const std::vector<std::int64_t>& rows) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  const auto own_id = id_dataset(store);
  for (const std::int64_t row : rows) {
    std::string name = own_id ? element_text(store.read(*own_id, row, 1).values, 0) : "";
    std::ranges::replace_if(
        name, [](unsigned char c) { return c < 0x20 || c == '/' || c == 0x7F; }, '_');
    if (name.empty() || name == "." || name == "..") name = "row";
    if (store.has("weeks") && schema_of(store).find("weeks")->by_row) {
      name += fmt::format(".weeks_{:g}", number_at(store, "weeks", row));
    }
    if (!taken.insert(name).second) name += fmt::format(".row_{}", row);
    taken.insert(name);
    names.push_back(name);
  }
  return names;
}

void write_one(const fs::path& stem, const cv::Mat& picture, double dpi, ExportFormat format) {
  if (format == ExportFormat::kPng) return image::write_png(stem.string() + ".png", picture, dpi);
  const fs::path path = stem.string() + ".tiff";
  const cv::Mat levels = picture.depth() == CV_8U ? picture : cv::Mat(image::to_8_bit(picture));
  dpi > 0 ? image::write_tiff(path, levels, dpi) : image::write_image(path, levels);
}

}  // namespace

ExportSummary export_store(const ExportOptions& options) {
  const Store store(options.store, "", store::Origin::kForeign);
  const std::vector<std::int64_t> rows = chosen_rows(store, options.ids);
  ExportSummary summary;
  Tables tables;
  std::vector<const DatasetSchema*> images;
  for (const DatasetSchema& dataset : schema_of(store).datasets) {
    if (!store.has(dataset.name)) continue;
    const std::string table = table_of(dataset);
    if (is_image(dataset)) {
      images.push_back(&dataset);
    } else if (table.empty()) {
      summary.left_out.push_back(dataset.name);
    } else {
      tables[table].push_back(&dataset);
    }
  }
  for (const auto& [name, datasets] : tables) {
    const fs::path file = options.folder / (name + ".csv");
    const bool is_long = name != datasets.front()->shape[0];
    is_long ? write_long(store, datasets, rows, file) : write_plain(store, datasets, rows, file);
    summary.tables.push_back(file.filename().string());
  }
  if (images.empty()) return summary;
  const std::vector<std::string> names = file_names(store, rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const DatasetSchema* dataset : images) {
      const std::string ending = dataset->name == "pixels" ? "" : "." + dataset->name;
      write_one(options.folder / (names[i] + ending), image_of(store, *dataset, rows[i]), resolution_of(store, rows[i]),
                options.format);
      ++summary.images;
    }
  }
  return summary;
}

}  // namespace outsole::report
