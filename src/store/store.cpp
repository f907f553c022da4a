// Store: reading what StoreWriter wrote, straight from the shards.

#include "store/store.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "comm/communicator.h"
#include "comm/from_root.h"
#include "comm/same_files.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "store/child.h"
#include "store/io_thread.h"
#include "store/shard.h"
#include "store/view.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kValidatePieceBytes = 64 << 20;
constexpr std::chrono::milliseconds kProbeLimit{60'000};
constexpr std::int64_t kSlowestBytesPerMillisecond = 5'000;  // a busy network disk

std::int64_t shard_bytes(const fs::path& view) {
  std::int64_t bytes = 0;
  for (const fs::path& name : names_of_view(view)) {
    std::error_code error;
    for (fs::directory_iterator entry(shards_folder(name), error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->is_regular_file(error)) bytes += static_cast<std::int64_t>(entry->file_size(error));
    }
  }
  return bytes;
}

/// What a child may take to look at a store. Rows are as large as the shards let them be, but for compressed images.
ChildLimits probe_limits(const fs::path& view) {
  constexpr std::int64_t kLargestImages = std::int64_t{4} << 30;
  return {kProbeLimit, kLargestImages + 2 * shard_bytes(view)};
}

/// The same for validating, which reads every byte twice.
ChildLimits validation_limits(const fs::path& view) {
  ChildLimits limits = probe_limits(view);
  limits.time += std::chrono::milliseconds(2 * shard_bytes(view) / kSlowestBytesPerMillisecond);
  return limits;
}

// --- What rank 0 tells of a view ------------------------------------------------------------------------------------

nlohmann::json json_of(const Layout& layout) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, dataset] : layout) json[name] = {type_name(dataset.type), dataset.shape};
  return json;
}

Layout layout_from(const nlohmann::json& json) {
  Layout layout;
  for (const auto& [name, dataset] : json.items()) {
    layout[name] = {element_type(dataset[0].get<std::string>()), dataset[1].get<std::vector<std::int64_t>>()};
  }
  return layout;
}

nlohmann::json json_of(const View& view) {
  nlohmann::json shards = nlohmann::json::array();
  for (const ShardEntry& shard : view.shards) {
    shards.push_back({shard.name, shard.size_bytes, shard.sha256, shard.rows});
  }
  return {{"schema", view.header.schema},
          {"version", view.header.version},
          {"parameters", view.header.parameters},
          {"shards", shards},
          {"rows", view.rows},
          {"row_layout", json_of(view.row_layout)},
          {"whole_layout", json_of(view.whole_layout)},
          {"sha256", view.sha256},
          {"size_bytes", view.size_bytes}};
}

View view_from(const nlohmann::json& json) {
  View view{{json.at("schema"), json.at("version"), json.at("parameters")},
            {},
            json.at("rows"),
            layout_from(json.at("row_layout")),
            layout_from(json.at("whole_layout")),
            json.at("sha256"),
            json.at("size_bytes")};
  for (const auto& shard : json.at("shards")) view.shards.push_back({shard[0], shard[1], shard[2], shard[3]});
  return view;
}

/// A column that rank 0 has, on every rank. Collective.
Column column_from_root(const comm::Communicator& comm, const ElementType& type, Column own) {
  std::vector<std::byte> fields;
  const nlohmann::json sizes = comm::json_from_root(comm, [&] {
    return nlohmann::json{
        {"shape", own.shape}, {"row_lengths", own.row_lengths}, {"elements", element_count(own.values)}};
  });
  const std::string bytes = comm::from_root(comm, [&] {
    const auto values = file_bytes(own.values, type, fields);
    return std::string(reinterpret_cast<const char*>(values.data()), values.size());
  });
  if (comm.is_root()) return own;
  const auto copy = [&](std::span<std::byte> values) { std::memcpy(values.data(), bytes.data(), values.size()); };
  return {sizes.at("shape"), values_from_file(type, sizes.at("elements"), copy, "what rank 0 told"),
          sizes.at("row_lengths")};
}

}  // namespace

struct Store::State {
  struct OpenShard {
    std::int64_t unit;
    File file;
  };

  fs::path path;
  View view;
  fs::path folder;                      // of the shards
  std::vector<std::int64_t> first_row;  // of each unit, and the end
  std::optional<OpenShard> open_shard;  // the last one read; I/O thread only
  Columns told;                         // by rank 0; only changed while nobody reads

  explicit State(const fs::path& view_path) : State(view_path, read_view(view_path)) {}

  State(fs::path view_path, View read) : path(std::move(view_path)), view(std::move(read)) {
    folder = view.shards.empty() ? shards_folder(path)
                                 : find_shards_folder(path, view.shards.front().name, view.shards.front().size_bytes);
    first_row.push_back(0);
    for (const ShardEntry& shard : view.shards) first_row.push_back(first_row.back() + shard.rows);
  }

  fs::path shard_path(std::size_t unit) const { return folder / view.shards[unit].name; }

  /// What is wrong with the shard as far as the folder shows; empty if nothing.
  std::string presence_complaint(std::size_t unit) const {
    const fs::path shard = shard_path(unit);
    std::error_code error;
    const fs::file_status status = fs::status(shard, error);
    if (!fs::exists(status) && !fs::exists(folder, error)) {
      return folder.string() + ": is missing, with what " + path.string() +
             " shows: a store's NAME.h5 and NAME.shards are copied, moved and renamed together";
    }
    if (!fs::exists(status)) return shard.string() + ": this shard is missing";
    if (!fs::is_regular_file(status)) return shard.string() + ": is not a regular file";
    const auto size = static_cast<std::int64_t>(fs::file_size(shard, error));
    const std::int64_t listed = view.shards[unit].size_bytes;
    if (size == listed) return "";
    return shard.string() + ": has " + std::to_string(size) + " bytes instead of " + std::to_string(listed) +
           (size < listed ? ": it was truncated" : "");
  }

  void require_shards() const {
    for (std::size_t unit = 0; unit < view.shards.size(); ++unit) {
      const std::string complaint = presence_complaint(unit);
      if (!complaint.empty())
        throw DataError(complaint + ". Restore it from a copy, or remove the store and make it again");
    }
  }

  const DatasetLayout& layout(const std::string& dataset) const {
    for (const Layout* part : {&view.row_layout, &view.whole_layout}) {
      if (const auto found = part->find(dataset); found != part->end()) return found->second;
    }
    throw DataError(path.string() + ": has no data set '" + dataset + "'");
  }

  bool is_ragged(const std::string& dataset) const { return layout(dataset).shape.back() == -1; }

  /// The shard's file, opened and checked against the view.
  const File& shard_file(std::size_t unit) {
    const auto wanted = static_cast<std::int64_t>(unit);
    if (open_shard && open_shard->unit == wanted) return open_shard->file;
    open_shard.reset();
    const fs::path file = shard_path(unit);
    // Rank 0 has looked for all of them as it opened the store; this rank may be on another machine.
    if (const std::string complaint = presence_complaint(unit); !complaint.empty()) throw DataError(complaint);
    Shard shard = store::open_shard(file);
    Layout expected = view.row_layout;
    for (auto& [name, dataset] : expected) dataset.shape[0] = view.shards[unit].rows;
    const bool same = header_difference(shard.header, view.header).empty() && shard.unit == wanted &&
                      wanted < shard.units && std::cmp_less_equal(shard.units, view.shards.size()) &&
                      shard.layout == expected;
    if (!same) throw DataError(file.string() + ": is not the shard that " + path.string() + " lists");
    open_shard = OpenShard{wanted, std::move(shard.file)};
    return open_shard->file;
  }

  /// The unit of a row: behind units without rows, which begin where it begins.
  std::size_t unit_of(std::int64_t row) const {
    return static_cast<std::size_t>(std::upper_bound(first_row.begin(), first_row.end() - 1, row) - first_row.begin() -
                                    1);
  }

  Column read_rows(const std::string& dataset, std::int64_t first, std::int64_t count) {
    Column column;
    const bool ragged = is_ragged(dataset);
    std::size_t unit = unit_of(first);
    const std::int64_t end = first + count;
    for (bool begun = false; !begun || first < end; ++unit) {
      const std::int64_t here = std::min(end, first_row[unit + 1]) - first;
      Column piece = read_column(shard_file(unit), dataset, ragged, first - first_row[unit], here);
      first += here;
      if (!begun) {
        column = std::move(piece);
        begun = true;
        continue;
      }
      column.shape[0] += piece.shape[0];
      append(column.values, std::move(piece.values));
      column.row_lengths.insert(column.row_lengths.end(), piece.row_lengths.begin(), piece.row_lengths.end());
    }
    return column;
  }

  Column read(const std::string& dataset, std::int64_t first, std::int64_t count) {
    if (!view.whole_layout.contains(dataset)) return read_rows(dataset, first, count);
    return read_column(File::open(path), dataset, false, first, count);
  }

  /// Fills in the end of an open range and checks that it lies in the data set.
  std::int64_t checked_count(const std::string& dataset, std::int64_t first, std::int64_t count) const {
    const std::int64_t rows = layout(dataset).shape[0];
    if (count < 0) count = rows - first;
    ensure(first >= 0 && count >= 0 && first <= rows && count <= rows - first,
           "rows outside of data set '" + dataset + "'");
    ensure(!view.whole_layout.contains(dataset) || count == rows, "'" + dataset + "' is only read whole");
    return count;
  }

  /// Reads all of a shard so that every checksum is verified; throws DataError at the first thing wrong.
  void read_whole_shard(std::size_t unit, std::map<std::string, std::vector<std::int64_t>>& row_lengths) {
    const fs::path file = shard_path(unit);
    if (const std::string complaint = presence_complaint(unit); !complaint.empty()) throw DataError(complaint);
    if (sha256_of_file(file) != view.shards[unit].sha256) {
      throw DataError(file.string() + ": was altered or swapped since it was written (its SHA-256 differs)");
    }
    for (const auto& [name, dataset] : view.row_layout) {
      const File& shard = shard_file(unit);
      const std::int64_t rows = view.shards[unit].rows;
      std::int64_t stored_bytes = dataset.type.bytes;
      for (const std::int64_t length : shard.info(name).shape)
        stored_bytes = checked_product({stored_bytes, length}, file.string());
      const std::int64_t pieces =
          std::max<std::int64_t>(1, std::min(rows, divide_up(stored_bytes, kValidatePieceBytes)));
      const std::int64_t piece_rows = std::max<std::int64_t>(1, divide_up(rows, pieces));
      std::int64_t elements = 0;
      for (std::int64_t first = 0; first < rows; first += piece_rows) {
        const Column piece = read_column(shard, name, is_ragged(name), first, std::min(piece_rows, rows - first));
        elements += element_count(piece.values);
        if (is_ragged(name))
          row_lengths[name].insert(row_lengths[name].end(), piece.row_lengths.begin(), piece.row_lengths.end());
      }
      if (is_ragged(name) && elements != shard.info(name).shape[0]) {
        throw DataError(file.string() + ": '" + name + "': its row lengths do not sum to its elements");
      }
    }
  }

  std::vector<std::string> validate() {
    std::vector<std::string> complaints;
    std::map<std::string, std::vector<std::int64_t>> row_lengths;
    for (std::size_t unit = 0; unit < view.shards.size(); ++unit) {
      try {
        read_whole_shard(unit, row_lengths);
      } catch (const DataError& error) {
        complaints.emplace_back(error.what());
      }
    }
    if (!complaints.empty()) row_lengths.clear();  // incomplete: offsets cannot be judged
    for (std::string& complaint : check_view_content(path, view, row_lengths))
      complaints.push_back(std::move(complaint));
    return complaints;
  }

  /// Makes HDF5 do with each shard what readers will ask of it.
  void touch() {
    require_shards();
    for (std::size_t unit = 0; unit < view.shards.size(); ++unit) {
      const std::int64_t rows = view.shards[unit].rows;
      const File& shard = shard_file(unit);
      for (const auto& [name, dataset] : view.row_layout) {
        if (rows > 0) read_column(shard, name, is_ragged(name), 0, 1);
        if (rows > 1) read_column(shard, name, is_ragged(name), rows - 1, 1);
      }
    }
    const File file = File::open(path);
    for (const auto& [name, dataset] : view.whole_layout) read_column(file, name, false, 0, dataset.shape[0]);
  }
};

Store::Store(fs::path path, const std::string& schema, Origin origin) {
  if (origin == Origin::kForeign) probe_in_child(path);
  state_ = io_thread().run([&] { return std::make_unique<State>(path); });
  const StoreHeader& header = state_->view.header;
  if (!schema.empty() && header.schema != schema) {
    throw DataError(path.string() + ": is of schema '" + header.schema + "' where '" + schema + "' is wanted");
  }
  state_->require_shards();
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}

Store Store::open_together(const comm::Communicator& comm, const fs::path& path, const std::string& schema,
                           const std::vector<std::string>& told, Origin origin) {
  std::optional<Store> opened;
  const nlohmann::json view = comm::json_from_root(comm, [&] {
    opened.emplace(path, schema, origin);
    return json_of(opened->state_->view);
  });
  comm.together([&] {
    if (!comm.is_root()) opened.emplace(Store(std::make_unique<State>(path, view_from(view))));
  });
  comm::require_same_files(comm, std::span(&path, 1), /*may_be_unseen=*/true);
  for (const std::string& dataset : told) {
    if (!opened->has(dataset)) continue;
    Column column;
    comm.together([&] {
      if (comm.is_root()) column = opened->read(dataset);
    });
    opened->state_->told[dataset] = column_from_root(comm, opened->state_->layout(dataset).type, std::move(column));
  }
  return std::move(*opened);
}

void Store::forget_told() { state_->told.clear(); }

// On the I/O thread, after all reading that was asked for: HDF5 handles die where they live.
Store::~Store() {
  if (state_) io_thread().run([this] { state_.reset(); });
}

Store::Store(Store&&) noexcept = default;

const fs::path& Store::path() const { return state_->path; }

const StoreHeader& Store::header() const { return state_->view.header; }

std::int64_t Store::rows() const { return state_->view.rows; }

std::int64_t Store::units() const { return std::ssize(state_->view.shards); }

std::pair<std::int64_t, std::int64_t> Store::unit_rows(std::int64_t unit) const {
  ensure(unit >= 0 && unit < units(), "no such unit");
  const auto index = static_cast<std::size_t>(unit);
  return {state_->first_row[index], state_->view.shards[index].rows};
}

std::string Store::sha256() const { return state_->view.sha256; }

bool Store::has(const std::string& dataset) const {
  return state_->view.row_layout.contains(dataset) || state_->view.whole_layout.contains(dataset);
}

std::vector<std::int64_t> Store::shape(const std::string& dataset) const { return state_->layout(dataset).shape; }

std::vector<std::string> Store::datasets() const {
  std::vector<std::string> names;
  for (const Layout* part : {&state_->view.row_layout, &state_->view.whole_layout}) {
    for (const auto& [name, dataset] : *part) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string Store::type(const std::string& dataset) const { return type_name(state_->layout(dataset).type); }

std::int64_t Store::size_bytes() const {
  std::int64_t bytes = state_->view.size_bytes;
  for (const ShardEntry& shard : state_->view.shards) bytes += shard.size_bytes;
  return bytes;
}

Column Store::read(const std::string& dataset, std::int64_t first, std::int64_t count) const {
  count = state_->checked_count(dataset, first, count);
  const auto told = state_->told.find(dataset);
  if (told != state_->told.end() && count == state_->layout(dataset).shape[0]) return told->second;
  return io_thread().run([&] { return state_->read(dataset, first, count); });
}

std::future<Column> Store::read_async(const std::string& dataset, std::int64_t first, std::int64_t count) const {
  count = state_->checked_count(dataset, first, count);
  return io_thread().submit(
      [state = state_.get(), dataset, first, count] { return state->read(dataset, first, count); });
}

Values Store::read_elements(const std::string& dataset, std::int64_t row, std::int64_t first,
                            std::int64_t count) const {
  ensure(state_->is_ragged(dataset) && row >= 0 && row < rows(), "a row of a ragged data set");
  return io_thread().run([&] {
    const std::size_t unit = state_->unit_of(row);
    return outsole::store::read_elements(state_->shard_file(unit), dataset, row - state_->first_row[unit], first,
                                         count);
  });
}

Values Store::read_lines(const std::string& dataset, std::int64_t row, std::int64_t first, std::int64_t count) const {
  const std::vector<std::int64_t> shape = state_->layout(dataset).shape;
  ensure(!state_->view.whole_layout.contains(dataset) && shape.size() > 1 && shape[1] >= 0 && row >= 0 && row < rows(),
         "a row of a data set of images");
  ensure(first >= 0 && count >= 0 && first <= shape[1] && count <= shape[1] - first, "lines outside of an image");
  return io_thread().run([&] {
    const std::size_t unit = state_->unit_of(row);
    return outsole::store::read_lines(state_->shard_file(unit), dataset, row - state_->first_row[unit], first, count);
  });
}

std::vector<std::string> Store::validate() const {
  return io_thread().run([&] { return state_->validate(); });
}

std::vector<std::string> Store::validate_in_child(const fs::path& path) {
  const auto work = [&] {
    std::string lines;
    for (const std::string& complaint : State(path).validate()) lines += complaint + '\0';
    return lines;
  };
  std::string lines;
  try {
    lines = run_in_child(path, work, validation_limits(path));
  } catch (const DataError& error) {
    return {error.what()};
  }
  std::vector<std::string> complaints;
  for (std::size_t begin = 0; begin < lines.size(); begin = lines.find('\0', begin) + 1) {
    complaints.emplace_back(lines.c_str() + begin);
  }
  return complaints;
}

void Store::probe_in_child(const fs::path& path) {
  const auto work = [&] {
    State(path).touch();
    return std::string();
  };
  run_in_child(path, work, probe_limits(path));
}

std::string hdf5_version() {
  return io_thread().run([] { return library_version(); });
}

}  // namespace outsole::store
