#pragma once
// HDF5's C library behind handles and exceptions: the only file pair that calls H5*. Use on the I/O thread only.
//
// On a file opened for reading a failure is DataError, on one being written EnvironmentError; both name the file, the
// object, and the innermost reason that HDF5 gives.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "store/values.h"

namespace outsole::store {

/// Starts HDF5: no printing on this thread, no plugins, no exit handler. Files are closed by their owners, and the
/// library is never shut down: after a failed write it crashes on the way (it keeps the identifier of the file it could
/// not close).
void start_hdf5();

/// An HDF5 identifier and the call that closes it.
class Handle {
 public:
  using Id = std::int64_t;  // hid_t
  using Close = int (*)(Id);
  Handle() = default;
  Handle(Id id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Id get() const { return id_; }
  /// Gives the identifier up: the caller closes it.
  Id release() { return std::exchange(id_, -1); }

 private:
  Id id_ = -1;
  Close close_ = nullptr;
};

/// What a file says of one of its data sets.
struct DatasetInfo {
  ElementType type;
  std::vector<std::int64_t> shape;
  bool is_virtual = false;
  bool is_compressed = false;
};

/// A stretch of a virtual data set: `rows` rows, all there are, of `dataset` in `file` (relative to the view's folder).
struct VirtualSource {
  std::string file;
  std::string dataset;
  std::int64_t rows = 0;
};

/// An HDF5 file in the 1.10 format, without times, its data sets in checksummed (fletcher32) chunks of about 1 MiB.
class File {
 public:
  /// A new file, over what was there; its first `user_block_bytes` bytes are the caller's.
  static File create(const std::filesystem::path& path, std::int64_t user_block_bytes = 0);
  static File open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  /// Writes what is pending; a full disk may show only here.
  void close();

  void write_attribute(const std::string& name, const std::string& text);
  void write_attribute(const std::string& name, std::int64_t value);
  std::string text_attribute(const std::string& name) const;
  std::int64_t integer_attribute(const std::string& name) const;

  void create_group(const std::string& name);
  /// Names in the group, sorted. Only hard links are allowed: others lead out of the file (DataError).
  std::vector<std::string> names(const std::string& group = "/") const;

  /// Type and shape; DataError for a type outsole does not use, for storage other than checksummed chunks in this file,
  /// perhaps deflated, and for dimensions that the bytes stored cannot back. Where sources decide the length of a
  /// virtual data set HDF5 opens them: let virtual_sources refuse those first.
  DatasetInfo info(const std::string& dataset) const;

  /// Writes a whole data set; `bytes` as a file holds them.
  void write(const std::string& dataset, const ElementType& type, const std::vector<std::int64_t>& shape,
             std::span<const std::byte> bytes, bool compress = false);
  /// Writes a data set whose rows are those of `sources`, one after another.
  void write_virtual(const std::string& dataset, const ElementType& type, const std::vector<std::int64_t>& shape,
                     const std::vector<VirtualSource>& sources);
  /// Says of a data set what other programs show: attributes `description`, `unit` where there is one, and the label of
  /// each dimension as HDF5's dimension scales have it (DIMENSION_LABELS). outsole itself never reads them.
  void describe(const std::string& dataset, const std::string& description, const std::string& unit,
                const std::vector<std::string>& labels);
  /// The sources of a virtual data set that have rows, none of which is opened; empty for another data set. DataError
  /// for a source whose rows the source itself decides.
  std::vector<VirtualSource> virtual_sources(const std::string& dataset) const;

  /// Reads rows [first, first + count) into `bytes`, which has just their size. Checksums are verified.
  void read(const std::string& dataset, const DatasetInfo& info, std::int64_t first, std::int64_t count,
            std::span<std::byte> bytes) const;
  /// Reads of one row the places [first, first + count) of the next dimension: some lines of an image. Only the chunks
  /// that hold them are touched.
  void read_lines(const std::string& dataset, const DatasetInfo& info, std::int64_t row, std::int64_t first,
                  std::int64_t count, std::span<std::byte> bytes) const;

 private:
  File(std::filesystem::path path, bool writing) : path_(std::move(path)), writing_(writing) {}

  template <typename Result>
  Result check(Result result, const char* failure, const std::string& object = "") const;
  [[noreturn]] void fail(const char* failure, const std::string& object) const;
  Handle open_dataset(const std::string& dataset) const;
  void write_text(const Handle& object, const std::string& name, const std::string& text);
  void read_block(const std::string& dataset, const DatasetInfo& info, const std::vector<std::int64_t>& start,
                  const std::vector<std::int64_t>& lengths, std::span<std::byte> bytes) const;
  /// Whether the data set is compressed; DataError as info says.
  bool check_storage(const Handle& handle, const Handle& properties, const std::string& dataset,
                     const DatasetInfo& info) const;

  std::filesystem::path path_;
  bool writing_;
  Handle handle_;
};

/// "1.10.8".
std::string library_version();

/// A whole one-dimensional data set of int64, or of texts of any field size, that is not compressed; DataError when it
/// is of another kind.
std::vector<std::int64_t> read_integers(const File& file, const std::string& dataset);
std::vector<std::string> read_texts(const File& file, const std::string& dataset);

}  // namespace outsole::store
