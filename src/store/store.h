#pragma once
// A store is one NAME.h5 (the view) over immutable shards in NAME.shards/. Its layout is a schema of data_schemas/.
//
// Rows (images, blocks, marks) are grouped into units by the data alone; a unit is one shard, NAME.shards/00000.h5 and
// so on. A shard is written beside its final name, synced and renamed, so it exists whole or not at all; after a crash
// the shards that exist are kept. The view comes last: it lists every shard with size and SHA-256 and shows each data
// set of the shards, concatenated along the rows, as a virtual data set by relative path.
//
// All HDF5 calls of the process run on one I/O thread; every function here may be called from any thread.

#include <cstdint>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

namespace outsole::comm {
class Communicator;
}

namespace outsole::store {

/// The elements of a data set, row-major. Text is UTF-8 in fixed-size fields (the schema gives the size).
using Values =
    std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>, std::vector<std::int32_t>,
                 std::vector<std::int64_t>, std::vector<float>, std::vector<double>, std::vector<std::string>>;

/// A data set as it is handed to a shard: shape[0] is the number of rows of the shard. For a ragged data set `values`
/// holds the rows one after another and `row_lengths` the elements of each; shape is then {rows}.
struct Column {
  std::vector<std::int64_t> shape;
  Values values;
  std::vector<std::int64_t> row_lengths;  // ragged only
};

/// 16-bit floats travel as their bits: a column of type float16 holds std::uint16_t values.

using Columns = std::map<std::string, Column>;

/// Adds the rows of `more`, which has the same data sets, after those of `columns`.
void append_rows(Columns& columns, Columns more);

/// What a store says of itself: written as attributes of the view and of every shard (`parameters` as JSON text with
/// sorted keys). Nothing in it may vary between runs (no time, host, rank count).
struct StoreHeader {
  std::string schema;         // "outsole.exemplars"
  std::int32_t version = 1;   // of the schema
  nlohmann::json parameters;  // how it was made: the options that decide its content, SHA-256 of inputs
};

/// Writes a store unit by unit. Any rank writes any unit; exactly one rank (after all units exist) calls finish.
class StoreWriter {
 public:
  /// Prepares NAME.shards/ for `units` units. If shards of an earlier, interrupted run with the same header lie there
  /// they are kept; with another header it throws DataError saying which parameter differs and how to get rid of them.
  /// `path` that already exists as a finished store with the same header: is_finished() is true and nothing needs
  /// doing. Call on every rank, rank 0 first (`create_folder` true there; a barrier; then the others with false, which
  /// do not look at what is there: rank 0 tells them whether the store is finished and which units it has). Two jobs
  /// must not write one store: rank 0 holds NAME.shards/lock (flock) while the writer lives; a second job gets
  /// UsageError. `stamps`, one a unit where they are given, change with what a unit is made from but must not be in its
  /// bytes, such as times of files: an earlier run's shard is kept only if its stamp is the same. They lie in
  /// NAME.shards/stamps until the store is finished. With `adds_units` a finished store of the same header and of fewer
  /// units is no finished one: further units are added after its own, which stay as they are (and need no stamp). Until
  /// finish the store is what it was.
  StoreWriter(std::filesystem::path path, StoreHeader header, std::int64_t units, bool create_folder,
              std::vector<std::string> stamps = {}, bool adds_units = false);
  ~StoreWriter();

  /// On rank 0 only.
  bool is_finished() const;
  /// True when the unit's shard exists from an earlier run (its header was checked).
  bool has_unit(std::int64_t unit) const;
  /// Checks `columns` against the schema and writes the shard. Throws Bug when they do not fit the schema,
  /// EnvironmentError when the disk refuses. Units without rows are allowed.
  void write_unit(std::int64_t unit, const Columns& columns);
  /// Reads the unit's shard; its SHA-256. DataError when it is missing, or was altered since it was written. On any
  /// rank, once the unit is written.
  std::string check_unit(std::int64_t unit) const;
  /// Writes the view over the shards atomically, which check_unit has found to be in order, `sha256` saying for each
  /// unit what it told, on whatever rank. `whole` holds data sets the schema marks as belonging to the view (not to
  /// rows), e.g. per-channel statistics. One rank, after all units are written and checked.
  void finish(const Columns& whole, const std::vector<std::string>& sha256);
  /// The same, all units checked here.
  void finish(const Columns& whole = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether a store was made here, or comes from elsewhere and may have been crafted to crash HDF5.
enum class Origin { kOurs, kForeign };

/// A finished store, opened for reading. Opening checks schema, version, attribute and data set types and shapes, and
/// the presence and size of every shard (DataError naming file and data set). Shards are read directly, never through
/// the virtual data sets (HDF5 shows a missing shard as fill values). Checksums (fletcher32) are verified by HDF5 on
/// read.
class Store {
 public:
  /// Throws DataError when the file is missing, not HDF5, of another schema than `schema` (empty: any), of an unknown
  /// version, or broken. A foreign one goes through probe_in_child first.
  explicit Store(std::filesystem::path path, const std::string& schema = "", Origin origin = Origin::kOurs);
  ~Store();
  Store(Store&&) noexcept;

  /// The same store on every rank: rank 0 opens it as above (it alone tries a foreign one in a child, hashes the view
  /// and looks for the shards) and tells the others, who touch no file until they read. The data sets `told`, as far as
  /// the store has them, are read by rank 0, too, and kept by all until forget_told(): reading them whole opens no
  /// shard. Collective; throws on every rank.
  static Store open_together(const comm::Communicator& comm, const std::filesystem::path& path,
                             const std::string& schema = "", const std::vector<std::string>& told = {},
                             Origin origin = Origin::kOurs);
  /// Gives the memory of what was told back.
  void forget_told();

  const std::filesystem::path& path() const;
  const StoreHeader& header() const;
  std::int64_t rows() const;
  std::int64_t units() const;
  /// Rows [first, first + count) of the unit.
  std::pair<std::int64_t, std::int64_t> unit_rows(std::int64_t unit) const;
  /// SHA-256 of NAME.h5, which itself holds the SHA-256 of each shard: the identity of the content (and of the name:
  /// the view names the folder of its shards).
  std::string sha256() const;

  bool has(const std::string& dataset) const;
  /// Shape over the whole store (rows first; -1 as the last length for ragged data sets).
  std::vector<std::int64_t> shape(const std::string& dataset) const;
  std::vector<std::string> datasets() const;
  /// The schema's word for the type of the elements: "float16", "text128".
  std::string type(const std::string& dataset) const;
  /// Of NAME.h5 and all shards.
  std::int64_t size_bytes() const;

  /// Rows [first, first + count) of a data set across shards (-1: to the end); of a `whole` data set only everything
  /// (0, -1). DataError when the store has no such data set or the file is damaged; Bug when the rows lie outside.
  Column read(const std::string& dataset, std::int64_t first = 0, std::int64_t count = -1) const;
  /// The same in the background on the I/O thread: for reading the next block while this one computes.
  std::future<Column> read_async(const std::string& dataset, std::int64_t first, std::int64_t count) const;

  /// Elements [first, first + count) of one row of a ragged data set: some of an image's pixels, without reading the
  /// rest. DataError when the row is shorter, or as read; Bug for a row outside.
  Values read_elements(const std::string& dataset, std::int64_t row, std::int64_t first, std::int64_t count) const;

  /// Of one row of a data set of images, [rows, lines, ...], the lines [first, first + count): some rows of an image's
  /// pixels, without reading the chunks that hold only others. DataError as read; Bug for a row or lines outside.
  Values read_lines(const std::string& dataset, std::int64_t row, std::int64_t first, std::int64_t count) const;

  /// Every complaint about the store: shards missing, truncated, swapped or altered (SHA-256), checksums, schema,
  /// inconsistent row lengths. Empty: it is valid. Reads everything.
  std::vector<std::string> validate() const;

  /// Opens a store in a child process and reads the first and last row of every data set of every shard there. Throws
  /// DataError when the child dies, does not end within a minute, or finds the store broken. Any one rank.
  static void probe_in_child(const std::filesystem::path& path);

  /// The complaints about a store that may not even open, found in a child process so that a crafted file cannot take
  /// this one down. Whatever is wrong with the store is a complaint; throws EnvironmentError only.
  static std::vector<std::string> validate_in_child(const std::filesystem::path& path);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// HDF5's version, for `--version`.
std::string hdf5_version();

}  // namespace outsole::store
