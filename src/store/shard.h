#pragma once
// One shard file: a unit's rows with a header that says which unit of which store it is.

#include <filesystem>
#include <string>
#include <vector>

#include "store/hdf5_file.h"
#include "store/schema.h"
#include "store/store.h"

namespace outsole::store {

/// NAME.shards of NAME.h5.
std::filesystem::path shards_folder(const std::filesystem::path& view);

/// The names of a view: as given and, where that is a link, what it leads to, link by link. Its shards lie beside one
/// of them: a link may stand where its target's shards do not.
std::vector<std::filesystem::path> names_of_view(const std::filesystem::path& view);

/// Where the shards of a view that exists lie: the first of those folders in which there is a shard `name` of so many
/// bytes, else the first that exists, else NAME.shards.
std::filesystem::path find_shards_folder(const std::filesystem::path& view, const std::string& name,
                                         std::int64_t size_bytes);

/// Removes the shards beside a view, and what jobs leave beside shards. A folder of them that is a link, to a larger
/// disk perhaps, stays.
void remove_shards(const std::filesystem::path& view);

/// "00007.h5".
std::string shard_name(std::int64_t unit);

/// A ragged data set is stored as its elements, named as itself, and the elements of each row, named so.
std::string length_name(const std::string& dataset);

/// In the view also where each row begins.
std::string offset_name(const std::string& dataset);

/// The sum of the first `end` row lengths of a ragged data set; DataError naming `where` for one that is negative or
/// makes the sum overflow.
std::int64_t sum_lengths(const std::vector<std::int64_t>& lengths, std::size_t end, const std::string& where);

/// A shard that is open for reading.
struct Shard {
  File file;
  std::int64_t unit = 0;
  std::int64_t units = 0;
  StoreHeader header;
  Layout layout;
};

/// Header attributes, alike in views and shards.
void write_header(File& file, const StoreHeader& header, std::int64_t units);
/// Throws DataError when an attribute is missing or the schema is unknown.
StoreHeader read_header(const File& file);

/// How two headers differ, as "parameter '/x' is 1 there and 2 here"; empty when they do not.
std::string header_difference(const StoreHeader& there, const StoreHeader& here);

/// Type and shape of every data set of `part` that the file holds, ragged ones with a last length of -1. DataError for
/// an object that the schema does not know.
Layout read_layout(const File& file, const Schema& schema, Part part);

/// Says of a data set in the file, which is `schema` or the row lengths or offsets of it, what the schema says.
void describe_dataset(File& file, const DatasetSchema& schema, const std::string& dataset);

/// Writes one data set. Throws Bug when the column breaks its schema.
void write_column(File& file, const DatasetSchema& schema, const DatasetLayout& layout, const Column& column);

/// The layout that columns would have in a file; throws Bug when shape, values and row lengths contradict each other.
Layout layout_of(const Schema& schema, const Columns& columns);

/// Writes a shard whole or not at all.
void write_shard(const std::filesystem::path& path, const Schema& schema, const StoreHeader& header, std::int64_t unit,
                 std::int64_t units, const Columns& columns);

/// Opens a shard and checks it against its schema; DataError naming the file.
Shard open_shard(const std::filesystem::path& path);

/// Rows [first, first + count) of a data set of the shard, `rows` being the shard's.
Column read_column(const File& file, const std::string& dataset, bool ragged, std::int64_t first, std::int64_t count);

/// The elements of rows [first, first + count) of a ragged data set of the shard, each length between 0 and all there
/// are.
std::vector<std::int64_t> read_lengths(const File& file, const std::string& dataset, std::int64_t first,
                                       std::int64_t count);

/// Elements [first, first + count) of one row of a ragged data set of the shard.
Values read_elements(const File& file, const std::string& dataset, std::int64_t row, std::int64_t first,
                     std::int64_t count);

/// Of one row of a data set of images the lines [first, first + count).
Values read_lines(const File& file, const std::string& dataset, std::int64_t row, std::int64_t first,
                  std::int64_t count);

}  // namespace outsole::store
