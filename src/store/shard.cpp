#include "store/shard.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "store/seal.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

constexpr ElementType kCount{ElementKind::kInt64, 8};

std::string json_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

fs::path shards_folder(const fs::path& view) { return fs::path(view).replace_extension(".shards"); }

std::vector<fs::path> names_of_view(const fs::path& view) {
  constexpr std::size_t kMostLinks = 40;  // as the system has it
  std::vector<fs::path> names{view};
  std::error_code error;
  while (names.size() <= kMostLinks && fs::is_symlink(fs::symlink_status(names.back(), error))) {
    const fs::path target = fs::read_symlink(names.back(), error);
    if (error) break;
    names.push_back(names.back().parent_path() / target);  // an absolute one takes the place of all
  }
  return names;
}

fs::path find_shards_folder(const fs::path& view, const std::string& name, std::int64_t size_bytes) {
  const std::vector<fs::path> names = names_of_view(view);
  if (names.size() == 1) return shards_folder(view);
  std::error_code error;
  for (const fs::path& one : names) {
    const auto size = fs::file_size(shards_folder(one) / name, error);
    if (!error && std::cmp_equal(size, size_bytes)) return shards_folder(one);
  }
  for (const fs::path& one : names) {
    if (fs::exists(shards_folder(one), error)) return shards_folder(one);
  }
  return shards_folder(view);
}

void remove_shards(const fs::path& view) {
  const fs::path folder = shards_folder(view);
  std::error_code ignored;
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    const fs::path& file = entry->path();
    const bool is_ours = file.extension() == ".h5" || file.extension() == ".part" || file.filename() == "stamps";
    if (is_ours) files.push_back(file);
  }
  for (const fs::path& file : files) fs::remove(file, ignored);
  ::rmdir(folder.c_str());  // which leaves a link, and a folder with other things in it
}

std::string shard_name(std::int64_t unit) {
  const std::string number = std::to_string(unit);
  return std::string(number.size() < 5 ? 5 - number.size() : 0, '0') + number + ".h5";
}

std::string length_name(const std::string& dataset) { return dataset + "_length"; }

std::string offset_name(const std::string& dataset) { return dataset + "_offset"; }

std::int64_t sum_lengths(const std::vector<std::int64_t>& lengths, std::size_t end, const std::string& where) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < end; ++i) {
    if (lengths[i] < 0 || lengths[i] > std::numeric_limits<std::int64_t>::max() - sum) {
      throw DataError(where + ": row " + std::to_string(i) + " has an impossible length");
    }
    sum += lengths[i];
  }
  return sum;
}

void write_header(File& file, const StoreHeader& header, std::int64_t units) {
  file.write_attribute("schema", header.schema);
  file.write_attribute("version", header.version);
  file.write_attribute("parameters", json_text(header.parameters));
  file.write_attribute("units", units);
}

StoreHeader read_header(const File& file) {
  const std::string schema = file.text_attribute("schema");
  const std::int64_t version = file.integer_attribute("version");
  find_schema(schema, version, file.path().string());
  auto parameters = parse_json(file.text_attribute("parameters"));
  if (parameters.is_discarded()) {
    throw DataError(file.path().string() + ": attribute 'parameters' is not JSON, or is nested too deep");
  }
  return {schema, static_cast<std::int32_t>(version), std::move(parameters)};
}

std::string header_difference(const StoreHeader& there, const StoreHeader& here) {
  const auto named = [](const StoreHeader& header) { return header.schema + " v" + std::to_string(header.version); };
  if (named(there) != named(here)) return "schema is " + named(there) + " there and " + named(here) + " here";
  const auto before = nlohmann::json::parse(json_text(there.parameters)),
             now = nlohmann::json::parse(json_text(here.parameters));
  if (before == now) return "";
  const std::string path = nlohmann::json::diff(before, now).front().at("path");
  const nlohmann::json::json_pointer pointer(path);
  const auto value = [&](const nlohmann::json& json) {
    return json.contains(pointer) ? json_text(json.at(pointer)) : "absent";
  };
  return "parameter '" + path + "' is " + value(before) + " there and " + value(now) + " here";
}

Layout read_layout(const File& file, const Schema& schema, Part part) {
  std::vector<std::string> names = file.names();
  const auto take = [&names](const std::string& name) { return std::erase(names, name) > 0; };
  Layout layout;
  for (const DatasetSchema& dataset : schema.datasets) {
    if (dataset.by_row != (part == Part::kRows) || !take(dataset.name)) continue;
    const DatasetInfo info = file.info(dataset.name);
    if (info.is_compressed && !dataset.compress) {
      throw DataError(file.path().string() + ": '" + dataset.name + "' is compressed, which by its schema it is not");
    }
    layout[dataset.name] = {info.type, info.shape};
    if (!dataset.ragged) continue;
    const std::string lengths = length_name(dataset.name);
    const bool has_lengths = take(lengths);
    const DatasetInfo length_info = has_lengths ? file.info(lengths) : DatasetInfo{};
    if (!has_lengths || length_info.type != kCount || length_info.shape.size() != 1 || info.shape.size() != 1) {
      throw DataError(file.path().string() + ": ragged data set '" + dataset.name + "' lacks proper row lengths");
    }
    layout[dataset.name].shape = {length_info.shape[0], -1};
  }
  return layout;
}

Layout layout_of(const Schema& schema, const Columns& columns) {
  Layout layout;
  for (const auto& [name, column] : columns) {
    const std::string where = "data set '" + name + "': ";
    const DatasetSchema* dataset = schema.find(name);
    ensure(dataset != nullptr, where + "not in schema '" + schema.name + "'");
    const auto type = std::find_if(dataset->types.begin(), dataset->types.end(),
                                   [&](const ElementType& candidate) { return carries(column.values, candidate); });
    ensure(type != dataset->types.end(), where + "its values have a type that the schema does not allow");
    ensure(!column.shape.empty(), where + "it has no shape");
    layout[name] = {*type, column.shape};
    if (dataset->ragged) {
      ensure(column.shape.size() == 1 && std::ssize(column.row_lengths) == column.shape[0],
             where + "one length a row is wanted");
      ensure(std::ranges::all_of(column.row_lengths, [](std::int64_t length) { return length >= 0; }),
             where + "a negative length");
      ensure(std::accumulate(column.row_lengths.begin(), column.row_lengths.end(), std::int64_t{0}) ==
                 element_count(column.values),
             where + "row lengths do not sum to the elements");
      layout[name].shape.push_back(-1);
    } else {
      std::int64_t elements = 1;
      for (const std::int64_t length : column.shape)
        elements = checked_product({elements, length}, where + "its shape");
      ensure(elements == element_count(column.values), where + "its values do not fill its shape");
    }
  }
  return layout;
}

void describe_dataset(File& file, const DatasetSchema& schema, const std::string& dataset) {
  const std::string& rows = schema.shape.front();
  if (dataset == length_name(schema.name)) {
    file.describe(dataset, "elements of each row of '" + schema.name + "'", "", {rows});
  } else if (dataset == offset_name(schema.name)) {
    file.describe(dataset, "first element of each row of '" + schema.name + "'", "", {rows});
  } else if (schema.ragged) {
    file.describe(dataset, schema.description + " (rows of different lengths, one after another)", schema.unit,
                  {"elements"});
  } else {
    file.describe(dataset, schema.description, schema.unit, schema.shape);
  }
}

void write_column(File& file, const DatasetSchema& schema, const DatasetLayout& layout, const Column& column) {
  std::vector<std::byte> text_fields;
  const auto bytes = file_bytes(column.values, layout.type, text_fields);
  const std::vector<std::int64_t> stored = schema.ragged ? std::vector{element_count(column.values)} : layout.shape;
  file.write(schema.name, layout.type, stored, bytes, schema.compress);
  describe_dataset(file, schema, schema.name);
  if (!schema.ragged) return;
  const std::string lengths = length_name(schema.name);
  file.write(lengths, kCount, column.shape, std::as_bytes(std::span(column.row_lengths)));
  describe_dataset(file, schema, lengths);
}

void write_shard(const fs::path& path, const Schema& schema, const StoreHeader& header, std::int64_t unit,
                 std::int64_t units, const Columns& columns) {
  const Layout layout = layout_of(schema, columns);
  Symbols symbols;
  const std::string complaint = misfit(schema, Part::kRows, layout, symbols);
  ensure(complaint.empty(), "a unit breaks schema '" + schema.name + "': " + complaint);

  const fs::path temporary = path.string() + ".part";
  try {
    File file = File::create(temporary, kSealBytes);
    write_header(file, header, units);
    file.write_attribute("unit", unit);
    for (const auto& [name, column] : columns) write_column(file, *schema.find(name), layout.at(name), column);
    file.close();
    write_seal(temporary, Sealed::kShard);
    publish_file(temporary, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

Shard open_shard(const fs::path& path) {
  Shard shard{.file = File::open(path), .unit = 0, .units = 0, .header = {}, .layout = {}};
  shard.header = read_header(shard.file);
  shard.unit = shard.file.integer_attribute("unit");
  shard.units = shard.file.integer_attribute("units");
  const Schema& schema = find_schema(shard.header.schema, shard.header.version, path.string());
  shard.layout = read_layout(shard.file, schema, Part::kRows);
  Symbols symbols;
  if (const std::string complaint = misfit(schema, Part::kRows, shard.layout, symbols); !complaint.empty()) {
    throw DataError(path.string() + ": " + complaint);
  }
  return shard;
}

std::vector<std::int64_t> read_lengths(const File& file, const std::string& dataset, std::int64_t first,
                                       std::int64_t count) {
  const std::string where = file.path().string() + ": '" + dataset + "'";
  const auto lengths = read_integers(file, length_name(dataset));
  ensure(first >= 0 && count >= 0 && first <= std::ssize(lengths) && count <= std::ssize(lengths) - first,
         "rows outside of " + where);
  if (sum_lengths(lengths, static_cast<std::size_t>(first + count), where) > file.info(dataset).shape[0]) {
    throw DataError(where + ": its row lengths exceed its elements");
  }
  return {lengths.begin() + first, lengths.begin() + first + count};
}

Column read_column(const File& file, const std::string& dataset, bool ragged, std::int64_t first, std::int64_t count) {
  const std::string where = file.path().string() + ": '" + dataset + "'";
  const DatasetInfo info = file.info(dataset);
  Column column;
  std::int64_t first_element = first, elements_or_rows = count;
  if (ragged) {
    const auto lengths = read_integers(file, length_name(dataset));
    ensure(first + count <= std::ssize(lengths), "rows outside of " + where);
    const std::int64_t end = sum_lengths(lengths, static_cast<std::size_t>(first + count), where);
    if (end > info.shape[0]) throw DataError(where + ": its row lengths exceed its elements");
    first_element = sum_lengths(lengths, static_cast<std::size_t>(first), where);
    elements_or_rows = end - first_element;
    column.row_lengths.assign(lengths.begin() + first, lengths.begin() + first + count);
  }
  column.shape = info.shape;
  column.shape[0] = elements_or_rows;
  std::int64_t elements = 1;
  for (const std::int64_t length : column.shape) elements = checked_product({elements, length}, where);
  column.values = values_from_file(
      info.type, elements,
      [&](std::span<std::byte> bytes) { file.read(dataset, info, first_element, elements_or_rows, bytes); }, where);
  if (ragged) column.shape = {count};
  return column;
}

Values read_elements(const File& file, const std::string& dataset, std::int64_t row, std::int64_t first,
                     std::int64_t count) {
  const std::string where = file.path().string() + ": '" + dataset + "'";
  const DatasetInfo info = file.info(dataset);
  const auto lengths = read_integers(file, length_name(dataset));
  ensure(row >= 0 && row < std::ssize(lengths), "a row outside of " + where);
  const std::int64_t begin = sum_lengths(lengths, static_cast<std::size_t>(row), where);
  const std::int64_t length = lengths[static_cast<std::size_t>(row)];
  if (length < 0 || begin > info.shape[0] || length > info.shape[0] - begin) {
    throw DataError(where + ": its row lengths exceed its elements");
  }
  if (first < 0 || count < 0 || first > length || count > length - first) {
    throw DataError(where + ": row " + std::to_string(row) + " ends before the elements that are wanted");
  }
  return values_from_file(
      info.type, count, [&](std::span<std::byte> bytes) { file.read(dataset, info, begin + first, count, bytes); },
      where);
}

Values read_lines(const File& file, const std::string& dataset, std::int64_t row, std::int64_t first,
                  std::int64_t count) {
  const std::string where = file.path().string() + ": '" + dataset + "'";
  const DatasetInfo info = file.info(dataset);
  std::int64_t elements = count;
  for (std::size_t axis = 2; axis < info.shape.size(); ++axis) {
    elements = checked_product({elements, info.shape[axis]}, where);
  }
  return values_from_file(
      info.type, elements,
      [&](std::span<std::byte> bytes) { file.read_lines(dataset, info, row, first, count, bytes); }, where);
}

}  // namespace outsole::store
