#include "store/view.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "store/hdf5_file.h"
#include "store/seal.h"
#include "store/shard.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

constexpr ElementType kCount{ElementKind::kInt64, 8};

/// NAME.shards/00000.h5 as the view's virtual data sets name it.
std::string relative_name(const fs::path& view, const ShardEntry& shard) {
  return shards_folder(view).filename().string() + "/" + shard.name;
}

/// The shards as they lie in the folder, checked against each other, with what the view needs to know of them.
struct Inventory {
  std::vector<ShardEntry> shards;
  Layout layout;  // over all rows
  Symbols symbols;
  std::map<std::string, std::vector<std::int64_t>> row_lengths;     // of ragged data sets, over all rows
  std::map<std::string, std::vector<std::int64_t>> shard_elements;  // of ragged data sets, by shard
};

void require_shard(const fs::path& path) {
  if (!fs::exists(path)) throw DataError(path.string() + ": this shard is missing; run the job again to make it");
}

void add_shard(Inventory& inventory, const fs::path& path, const StoreHeader& header, std::int64_t unit,
               std::int64_t units, const std::string& sha256, const Schema& schema) {
  require_shard(path);
  const Shard shard = open_shard(path);
  if (const std::string difference = header_difference(shard.header, header); !difference.empty()) {
    throw DataError(path.string() + ": belongs to another run: " + difference);
  }
  // Units may have been added to a store of fewer.
  if (shard.unit != unit || shard.units > units || shard.unit >= shard.units) {
    throw DataError(path.string() + ": is unit " + std::to_string(shard.unit) + " of " + std::to_string(shard.units));
  }
  std::int64_t rows = 0;
  Symbols symbols = inventory.symbols;
  symbols.erase(schema.rows);
  std::string complaint = misfit(schema, Part::kRows, shard.layout, symbols);
  for (const auto& [name, dataset] : shard.layout) {
    rows = dataset.shape[0];
    const auto [known, is_new] = inventory.layout.try_emplace(name, dataset);
    if (unit == 0) continue;
    if (is_new || known->second.type != dataset.type)
      complaint = "data set '" + name + "' is not like that of the other shards";
    known->second.shape[0] += rows;
  }
  if (inventory.layout.size() != shard.layout.size()) complaint = "it lacks data sets that other shards have";
  if (!complaint.empty()) throw DataError(path.string() + ": does not fit the other shards: " + complaint);
  inventory.symbols = symbols;

  for (const auto& [name, dataset] : shard.layout) {
    if (!schema.find(name)->ragged) continue;
    const auto lengths = read_integers(shard.file, length_name(name));
    const std::int64_t elements = shard.file.info(name).shape[0];
    if (sum_lengths(lengths, lengths.size(), path.string() + ": '" + name + "'") != elements) {
      throw DataError(path.string() + ": '" + name + "': its row lengths do not sum to its elements");
    }
    auto& all = inventory.row_lengths[name];
    all.insert(all.end(), lengths.begin(), lengths.end());
    inventory.shard_elements[name].push_back(elements);
  }
  inventory.shards.push_back({path.filename().string(), static_cast<std::int64_t>(fs::file_size(path)), sha256, rows});
}

std::vector<std::int64_t> offsets_of(const std::vector<std::int64_t>& lengths) {
  std::vector<std::int64_t> offsets(lengths.size());
  std::exclusive_scan(lengths.begin(), lengths.end(), offsets.begin(), std::int64_t{0});
  return offsets;
}

void write_row_dataset(File& file, const fs::path& view, const Inventory& inventory, const DatasetSchema& schema) {
  const auto sources_of = [&](const std::string& dataset, auto length) {
    std::vector<VirtualSource> sources;
    for (std::size_t i = 0; i < inventory.shards.size(); ++i) {
      sources.push_back({relative_name(view, inventory.shards[i]), dataset, length(i)});
    }
    return sources;
  };
  const auto shard_rows = [&](std::size_t i) { return inventory.shards[i].rows; };
  const DatasetLayout& layout = inventory.layout.at(schema.name);
  if (!schema.ragged) {
    file.write_virtual(schema.name, layout.type, layout.shape, sources_of(schema.name, shard_rows));
    return describe_dataset(file, schema, schema.name);
  }

  const auto& elements = inventory.shard_elements.at(schema.name);
  const std::int64_t total = std::accumulate(elements.begin(), elements.end(), std::int64_t{0});
  const auto shard_elements = [&](std::size_t i) { return elements[i]; };
  const std::string lengths = length_name(schema.name);
  file.write_virtual(schema.name, layout.type, {total}, sources_of(schema.name, shard_elements));
  file.write_virtual(lengths, kCount, {layout.shape[0]}, sources_of(lengths, shard_rows));
  const auto offsets = offsets_of(inventory.row_lengths.at(schema.name));
  file.write(offset_name(schema.name), kCount, {std::ssize(offsets)}, std::as_bytes(std::span(offsets)));
  for (const std::string& name : {schema.name, lengths, offset_name(schema.name)}) describe_dataset(file, schema, name);
}

void write_shard_table(File& file, const std::vector<ShardEntry>& shards) {
  std::vector<std::string> names, hashes;
  std::vector<std::int64_t> sizes, rows;
  for (const ShardEntry& shard : shards) {
    names.push_back(shard.name);
    hashes.push_back(shard.sha256);
    sizes.push_back(shard.size_bytes);
    rows.push_back(shard.rows);
  }
  const ElementType text{ElementKind::kText, 64};
  const std::vector<std::int64_t> shape{std::ssize(shards)};
  std::vector<std::byte> fields;
  file.create_group("shards");
  file.write("shards/name", text, shape, file_bytes(names, text, fields));
  file.write("shards/sha256", text, shape, file_bytes(hashes, text, fields));
  file.write("shards/size_bytes", kCount, shape, std::as_bytes(std::span(sizes)));
  file.write("shards/rows", kCount, shape, std::as_bytes(std::span(rows)));
  file.describe("shards/name", "the shard's file, in the folder NAME.shards beside this file NAME.h5", "", {"shards"});
  file.describe("shards/sha256", "of the shard's file", "", {"shards"});
  file.describe("shards/size_bytes", "of the shard's file", "byte", {"shards"});
  file.describe("shards/rows", "rows of the shard", "", {"shards"});
}

/// Names come from the file: only those that write_view gives are taken, so none leads out of the folder.
std::vector<ShardEntry> read_shard_table(const File& file, std::int64_t units) {
  file.names("shards");  // refuses links that lead out of the file
  const std::string where = file.path().string() + ": the table of shards ";
  for (const char* column : {"shards/name", "shards/sha256", "shards/size_bytes", "shards/rows"}) {
    if (file.info(column).shape != std::vector{units}) {
      throw DataError(where + "does not list " + std::to_string(units) + " shards");
    }
  }
  const auto names = read_texts(file, "shards/name"), hashes = read_texts(file, "shards/sha256");
  const auto sizes = read_integers(file, "shards/size_bytes"), rows = read_integers(file, "shards/rows");
  std::vector<ShardEntry> shards;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != shard_name(static_cast<std::int64_t>(i)))
      throw DataError(where + "names a shard '" + names[i] + "'");
    if (rows[i] < 0 || rows[i] > std::numeric_limits<std::int64_t>::max() - total)
      throw DataError(where + "has impossible rows");
    total += rows[i];
    shards.push_back({names[i], sizes[i], hashes[i], rows[i]});
  }
  return shards;
}

/// Whether `file` is named like NAME.shards/00000.h5, which cannot lead out of the view's folder.
bool is_shard_of_some_view(const std::string& file) {
  const std::size_t slash = file.find('/');
  if (slash == std::string::npos || !file.substr(0, slash).ends_with(".shards")) return false;
  const std::string_view name = std::string_view(file).substr(slash + 1);
  return name.ends_with(".h5") && name.find_first_not_of("0123456789") == name.size() - 3;
}

/// Other programs read the virtual data sets: a crafted one must not show them files from elsewhere.
void check_sources(const File& file, const std::string& dataset) {
  for (const VirtualSource& source : file.virtual_sources(dataset)) {
    if (is_shard_of_some_view(source.file)) continue;
    throw DataError(file.path().string() + ": '" + dataset + "' takes its rows from '" + source.file +
                    "', which is no shard; the store was crafted");
  }
}

/// The objects of the view that are no data set of the schema's own names or take their rows from elsewhere.
void check_view_names(const File& file, const Schema& schema) {
  for (const std::string& name : file.names()) {
    const auto derived = [&](const DatasetSchema& dataset) {
      return dataset.ragged && (name == length_name(dataset.name) || name == offset_name(dataset.name));
    };
    const bool known =
        name == "shards" || schema.find(name) != nullptr || std::ranges::any_of(schema.datasets, derived);
    if (!known)
      throw DataError(file.path().string() + ": '" + name + "' does not belong there by schema '" + schema.name + "'");
    if (name != "shards") check_sources(file, name);
  }
}

}  // namespace

std::string check_shard(const fs::path& path) {
  require_shard(path);
  try {
    return check_seal(path, Sealed::kShard);
  } catch (const DataError& error) {
    throw DataError(error.what() + std::string("; remove it and run the job again"));
  }
}

void write_view(const fs::path& path, const StoreHeader& header, const std::vector<std::string>& sha256,
                const Columns& whole) {
  const std::int64_t units = std::ssize(sha256);
  const Schema& schema = find_schema(header.schema, header.version, path.string());
  Inventory inventory;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    add_shard(inventory, shards_folder(path) / shard_name(unit), header, unit, units,
              sha256[static_cast<std::size_t>(unit)], schema);
  }
  const Layout whole_layout = layout_of(schema, whole);
  const std::string complaint = misfit(schema, Part::kWhole, whole_layout, inventory.symbols);
  ensure(complaint.empty(), "the whole data sets break schema '" + schema.name + "': " + complaint);

  const fs::path temporary = path.string() + ".part";
  try {
    File file = File::create(temporary, kSealBytes);
    write_header(file, header, units);
    write_shard_table(file, inventory.shards);
    for (const auto& [name, layout] : inventory.layout) write_row_dataset(file, path, inventory, *schema.find(name));
    for (const auto& [name, column] : whole) write_column(file, *schema.find(name), whole_layout.at(name), column);
    file.close();
    write_seal(temporary, Sealed::kView);
    publish_file(temporary, path);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

View read_view(const fs::path& path) {
  View view;
  view.sha256 = check_seal(path, Sealed::kView);
  view.size_bytes = static_cast<std::int64_t>(fs::file_size(path));
  const File file = File::open(path);
  view.header = read_header(file);
  const Schema& schema = find_schema(view.header.schema, view.header.version, path.string());
  check_view_names(file, schema);
  view.shards = read_shard_table(file, file.integer_attribute("units"));
  for (const ShardEntry& shard : view.shards) view.rows += shard.rows;

  view.row_layout = read_layout(file, schema, Part::kRows);
  view.whole_layout = read_layout(file, schema, Part::kWhole);
  Symbols symbols{{schema.rows, view.rows}};
  for (const auto& [part, layout] :
       {std::pair{Part::kRows, &view.row_layout}, std::pair{Part::kWhole, &view.whole_layout}}) {
    const std::string complaint = misfit(schema, part, *layout, symbols);
    if (!complaint.empty()) throw DataError(path.string() + ": " + complaint);
  }
  return view;
}

std::vector<std::string> check_view_content(const fs::path& path, const View& view,
                                            const std::map<std::string, std::vector<std::int64_t>>& row_lengths) {
  const File file = File::open(path);
  std::vector<std::string> complaints;
  const auto attempt = [&](const auto& work) {
    try {
      work();
    } catch (const DataError& error) {
      complaints.emplace_back(error.what());
    }
  };
  for (const auto& [name, layout] : view.whole_layout) {
    attempt([&, &name = name, &layout = layout] { read_column(file, name, false, 0, layout.shape[0]); });
  }
  for (const auto& [name, lengths] : row_lengths) {
    attempt([&, &name = name, &lengths = lengths] {
      if (read_integers(file, offset_name(name)) != offsets_of(lengths)) {
        throw DataError(path.string() + ": '" + offset_name(name) + "' contradicts the row lengths");
      }
    });
  }
  std::set<std::string> expected;
  bool is_told = false;  // once: a renamed store has all of its data sets elsewhere
  for (const fs::path& own_name : names_of_view(path)) {
    for (const ShardEntry& shard : view.shards) expected.insert(relative_name(own_name, shard));
  }
  for (const auto& [name, layout] : view.row_layout) {
    attempt([&, &name = name] {
      for (const VirtualSource& source : file.virtual_sources(name)) {
        if (source.dataset == name && expected.contains(source.file)) continue;
        if (std::exchange(is_told, true)) return;
        throw DataError(path.string() + ": other programs would read '" + name + "' from '" + source.file +
                        "': the store was renamed; give it its old name back");
      }
    });
  }
  return complaints;
}

}  // namespace outsole::store
