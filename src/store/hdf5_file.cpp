#include "store/hdf5_file.h"

#include <hdf5.h>

#include <algorithm>
#include <limits>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::store {

static_assert(std::is_same_v<Handle::Id, hid_t>);

namespace {

constexpr std::int64_t kChunkBytes = 1 << 20;
constexpr std::int64_t kMaxChunkBytes = 64 << 20;  // a chunk read is held whole in memory
constexpr std::int64_t kMaxAttributeBytes = 64 << 20;
constexpr std::int64_t kMaxDeflateRatio = 1032;   // what deflate reaches at best
constexpr hsize_t kMaxLength = hsize_t{1} << 40;  // of a dimension: sums over shards stay far from overflow
constexpr unsigned kMaxCompactLinks = 1024;
constexpr unsigned kDeflateLevel = 1;  // higher ones gain little on scans and cost much time

using Shape = std::vector<std::int64_t>;
using Dimensions = std::vector<hsize_t>;

Dimensions dimensions(const Shape& shape) { return {shape.begin(), shape.end()}; }

/// The reason given by the function in which the failure arose, or the system's own where HDF5 quotes it.
std::string innermost_reason() {
  std::string reason;
  const auto take_first = [](unsigned position, const H5E_error2_t* error, void* text) -> herr_t {
    if (position == 0) *static_cast<std::string*>(text) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &reason);
  H5Eclear2(H5E_DEFAULT);
  constexpr std::string_view kQuote = "error message = '";
  if (const auto begin = reason.find(kQuote); begin != std::string::npos) {
    const auto text = begin + kQuote.size();
    return reason.substr(text, reason.find('\'', text) - text);
  }
  return reason.empty() ? "unknown reason" : reason;
}

/// Identifiers of the library's own objects: failing to make one is no fault of a file.
Handle own(hid_t id, Handle::Close close) {
  if (id < 0) throw EnvironmentError("HDF5: " + innermost_reason());
  return {id, close};
}

void must(herr_t result) {
  if (result < 0) throw EnvironmentError("HDF5: " + innermost_reason());
}

Handle half_type() {
  Handle type = own(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  must(H5Tset_fields(type.get(), 15, 10, 5, 0, 10));
  must(H5Tset_size(type.get(), 2));
  must(H5Tset_ebias(type.get(), 15));
  return type;
}

Handle text_type(std::int64_t bytes) {
  Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose);
  must(H5Tset_size(type.get(), static_cast<std::size_t>(bytes)));
  must(H5Tset_strpad(type.get(), H5T_STR_NULLPAD));
  must(H5Tset_cset(type.get(), H5T_CSET_UTF8));
  return type;
}

/// The type in the file, which is the type in memory too: nothing is converted.
Handle file_type(const ElementType& type) {
  switch (type.kind) {
    case ElementKind::kUint8:
      return own(H5Tcopy(H5T_STD_U8LE), H5Tclose);
    case ElementKind::kUint16:
      return own(H5Tcopy(H5T_STD_U16LE), H5Tclose);
    case ElementKind::kInt32:
      return own(H5Tcopy(H5T_STD_I32LE), H5Tclose);
    case ElementKind::kInt64:
      return own(H5Tcopy(H5T_STD_I64LE), H5Tclose);
    case ElementKind::kFloat16:
      return half_type();
    case ElementKind::kFloat32:
      return own(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
    case ElementKind::kFloat64:
      return own(H5Tcopy(H5T_IEEE_F64LE), H5Tclose);
    case ElementKind::kText:
      return text_type(type.bytes);
  }
  throw Bug("unknown element kind");
}

/// The element type that `type` is, compared bit for bit; false when outsole has none like it.
bool recognize(const Handle& type, ElementType& recognized) {
  const auto size = static_cast<std::int64_t>(H5Tget_size(type.get()));
  std::vector<ElementType> candidates;
  for (const char* name : {"uint8", "uint16", "int32", "int64", "float16", "float32", "float64"}) {
    candidates.push_back(element_type(name));
  }
  if (H5Tget_class(type.get()) == H5T_STRING && size > 0 && size <= 1 << 16) {
    candidates.push_back({ElementKind::kText, size});
  }
  for (const ElementType& candidate : candidates) {
    if (candidate.bytes == size && H5Tequal(type.get(), file_type(candidate).get()) > 0) {
      recognized = candidate;
      return true;
    }
  }
  return false;
}

/// Chunks of about kChunkBytes: trailing dimensions whole as far as they fit, the next one in equal pieces, one row of
/// the rest. A row, or a run of rows, then is a run of chunks.
Dimensions chunk_shape(const Shape& shape, std::int64_t element_bytes) {
  Dimensions chunk(shape.size(), 1);
  std::int64_t room = std::max<std::int64_t>(1, kChunkBytes / element_bytes);
  for (std::size_t i = shape.size(); i-- > 0 && room > 1;) {
    const std::int64_t pieces = divide_up(shape[i], room);
    chunk[i] = static_cast<hsize_t>(divide_up(shape[i], pieces));
    room = pieces > 1 ? 1 : room / shape[i];
  }
  return chunk;
}

/// Unwritten floats read as NaN, so that what is missing cannot pass for a value.
void set_fill_value(const Handle& properties, const ElementType& type, const Handle& type_handle) {
  if (type.kind == ElementKind::kFloat16) {
    const std::uint16_t nan = 0x7E00;
    must(H5Pset_fill_value(properties.get(), type_handle.get(), &nan));
  } else if (type.kind == ElementKind::kFloat32 || type.kind == ElementKind::kFloat64) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    must(H5Pset_fill_value(properties.get(), H5T_NATIVE_DOUBLE, &nan));
  }
}

/// Properties of a new object of `property_class`: HDF5 would stamp it with the time.
Handle creation_properties(hid_t property_class) {
  Handle properties = own(H5Pcreate(property_class), H5Pclose);
  must(H5Pset_obj_track_times(properties.get(), false));
  return properties;
}

Handle access_properties() {
  Handle properties = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  must(H5Pset_libver_bounds(properties.get(), H5F_LIBVER_V110, H5F_LIBVER_V110));
  must(H5Pset_fclose_degree(properties.get(), H5F_CLOSE_STRONG));
#if H5_VERSION_GE(1, 10, 7)
  // Finished files never change, and cluster file systems often refuse locks.
  must(H5Pset_file_locking(properties.get(), false, true));
#endif
  return properties;
}

Handle simple_space(const Shape& shape) {
  const Dimensions lengths = dimensions(shape);
  return own(H5Screate_simple(static_cast<int>(lengths.size()), lengths.data(), nullptr), H5Sclose);
}

void select_block(const Handle& space, const Shape& start, const Shape& lengths) {
  must(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, dimensions(start).data(), nullptr, dimensions(lengths).data(),
                           nullptr));
}

void select_rows(const Handle& space, const Shape& shape, std::int64_t first, std::int64_t count) {
  Shape start(shape.size(), 0), lengths = shape;
  start[0] = first;
  lengths[0] = count;
  select_block(space, start, lengths);
}

std::int64_t product(const Shape& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t length : shape) elements = checked_product({elements, length}, "a data set's size");
  return elements;
}

/// HDF5 reads %b in a source's name as the number of a block.
std::string escape_percent(const std::string& name) {
  std::string escaped;
  for (const char c : name) escaped += c == '%' ? "%%" : std::string(1, c);
  return escaped;
}

std::string unescape_percent(const std::string& name) {
  std::string plain;
  for (std::size_t i = 0; i < name.size(); ++i) {
    plain += name[i];
    if (name.compare(i, 2, "%%") == 0) ++i;
  }
  return plain;
}

/// The filters that chunks go through on their way into the file.
std::vector<H5Z_filter_t> filters_of(const Handle& properties) {
  std::vector<H5Z_filter_t> filters;
  for (int i = 0; i < H5Pget_nfilters(properties.get()); ++i) {
    unsigned flags = 0, config = 0;
    std::size_t parameters = 0;
    filters.push_back(
        H5Pget_filter2(properties.get(), static_cast<unsigned>(i), &flags, &parameters, nullptr, 0, nullptr, &config));
  }
  return filters;
}

std::string quoted_or_file(const std::string& object) { return object.empty() ? "the file" : "'" + object + "'"; }

}  // namespace

void start_hdf5() {
  must(H5dont_atexit());
  must(H5open());
  must(H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr));
  must(H5PLset_loading_state(0));  // a file must not choose code to load
}

template <typename Result>
Result File::check(Result result, const char* failure, const std::string& object) const {
  if (result < 0) fail(failure, object);
  return result;
}

void File::fail(const char* failure, const std::string& object) const {
  const std::string message =
      path_.string() + ": " + quoted_or_file(object) + " " + failure + ": " + innermost_reason();
  if (writing_) throw EnvironmentError(message);
  throw DataError(message);
}

File File::create(const std::filesystem::path& path, std::int64_t user_block_bytes) {
  File file(path, true);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);  // a link there must not lead the writing elsewhere
  const Handle creation = creation_properties(H5P_FILE_CREATE);
  must(H5Pset_userblock(creation.get(), static_cast<hsize_t>(user_block_bytes)));
  // Names stay in the group's checksummed header: HDF5 frees wild pointers when a damaged heap of names is listed.
  must(H5Pset_link_phase_change(creation.get(), kMaxCompactLinks, kMaxCompactLinks));
  const Handle access = access_properties();
  file.handle_ = Handle(
      file.check(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()), "cannot be created"), H5Fclose);
  return file;
}

File File::open(const std::filesystem::path& path) {
  File file(path, false);
  const Handle access = access_properties();
  file.handle_ = Handle(file.check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), "cannot be opened"), H5Fclose);
  return file;
}

void File::close() { check(H5Fclose(handle_.release()), "cannot be written to its end"); }

void File::write_attribute(const std::string& name, const std::string& text) { write_text(handle_, name, text); }

void File::write_text(const Handle& object, const std::string& name, const std::string& text) {
  const Handle type = text_type(std::max<std::int64_t>(1, std::ssize(text)));
  const Handle space = own(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      check(H5Acreate2(object.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
            "cannot be created", name),
      H5Aclose);
  check(H5Awrite(attribute.get(), type.get(), text.c_str()), "cannot be written", name);
}

void File::write_attribute(const std::string& name, std::int64_t value) {
  const Handle space = own(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(
      check(H5Acreate2(handle_.get(), name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
            "cannot be created", name),
      H5Aclose);
  check(H5Awrite(attribute.get(), H5T_STD_I64LE, &value), "cannot be written", name);
}

std::string File::text_attribute(const std::string& name) const {
  const Handle attribute(check(H5Aopen(handle_.get(), name.c_str(), H5P_DEFAULT), "is missing", name), H5Aclose);
  const Handle type(check(H5Aget_type(attribute.get()), "has no type", name), H5Tclose);
  const Handle space(check(H5Aget_space(attribute.get()), "has no shape", name), H5Sclose);
  const auto bytes = static_cast<std::int64_t>(H5Tget_size(type.get()));
  const bool is_text = H5Tget_class(type.get()) == H5T_STRING && H5Tis_variable_str(type.get()) == 0;
  if (!is_text || H5Sget_simple_extent_type(space.get()) != H5S_SCALAR || bytes < 1 || bytes > kMaxAttributeBytes) {
    throw DataError(path_.string() + ": attribute '" + name + "' is not one text of a fixed size");
  }
  const auto values = values_from_file(
      {ElementKind::kText, bytes}, 1,
      [&](std::span<std::byte> text) {
        check(H5Aread(attribute.get(), type.get(), text.data()), "cannot be read", name);
      },
      path_.string() + ": attribute '" + name + "'");
  return std::get<std::vector<std::string>>(values).front();
}

std::int64_t File::integer_attribute(const std::string& name) const {
  const Handle attribute(check(H5Aopen(handle_.get(), name.c_str(), H5P_DEFAULT), "is missing", name), H5Aclose);
  const Handle type(check(H5Aget_type(attribute.get()), "has no type", name), H5Tclose);
  const Handle space(check(H5Aget_space(attribute.get()), "has no shape", name), H5Sclose);
  if (H5Tequal(type.get(), H5T_STD_I64LE) <= 0 || H5Sget_simple_extent_type(space.get()) != H5S_SCALAR) {
    throw DataError(path_.string() + ": attribute '" + name + "' is not one 64-bit integer");
  }
  std::int64_t value = 0;
  check(H5Aread(attribute.get(), H5T_STD_I64LE, &value), "cannot be read", name);
  return value;
}

void File::create_group(const std::string& name) {
  const Handle creation = creation_properties(H5P_GROUP_CREATE);
  const Handle group(check(H5Gcreate2(handle_.get(), name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                           "cannot be created", name),
                     H5Gclose);
}

std::vector<std::string> File::names(const std::string& group) const {
  struct Listing {
    std::vector<std::string> names;
    bool only_hard_links = true;
  } listing;
  const auto collect = [](hid_t, const char* name, const H5L_info_t* link, void* target) -> herr_t {
    auto& into = *static_cast<Listing*>(target);
    into.names.emplace_back(name);
    into.only_hard_links = into.only_hard_links && link->type == H5L_TYPE_HARD;
    return 0;
  };
  const Handle handle(check(H5Gopen2(handle_.get(), group.c_str(), H5P_DEFAULT), "is missing", group), H5Gclose);
  check(H5Literate(handle.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &listing), "cannot be listed", group);
  if (!listing.only_hard_links) throw DataError(path_.string() + ": '" + group + "' holds links that lead elsewhere");
  return listing.names;
}

Handle File::open_dataset(const std::string& dataset) const {
  return {check(H5Dopen2(handle_.get(), dataset.c_str(), H5P_DEFAULT), "cannot be opened as a data set", dataset),
          H5Dclose};
}

DatasetInfo File::info(const std::string& dataset) const {
  const Handle handle = open_dataset(dataset);
  const Handle type(check(H5Dget_type(handle.get()), "has no type", dataset), H5Tclose);
  const Handle properties(check(H5Dget_create_plist(handle.get()), "has no properties", dataset), H5Pclose);
  const Handle space(check(H5Dget_space(handle.get()), "has no shape", dataset), H5Sclose);
  DatasetInfo info;
  if (!recognize(type, info.type)) {
    throw DataError(path_.string() + ": '" + dataset + "' is of a type that outsole does not use");
  }
  const int rank = check(H5Sget_simple_extent_ndims(space.get()), "has no shape", dataset);
  if (rank < 1 || rank > static_cast<int>(kMaxDimensions)) {
    throw DataError(path_.string() + ": '" + dataset + "' has " + std::to_string(rank) + " dimensions");
  }
  Dimensions lengths(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space.get(), lengths.data(), nullptr), "has no shape", dataset);
  for (const hsize_t length : lengths) {
    if (length > kMaxLength) throw DataError(path_.string() + ": '" + dataset + "' is absurdly large");
    info.shape.push_back(static_cast<std::int64_t>(length));
  }
  info.is_virtual = H5Pget_layout(properties.get()) == H5D_VIRTUAL;
  if (!info.is_virtual) info.is_compressed = check_storage(handle, properties, dataset, info);
  return info;
}

bool File::check_storage(const Handle& handle, const Handle& properties, const std::string& dataset,
                         const DatasetInfo& info) const {
  const auto refuse = [&](const std::string& why) { throw DataError(path_.string() + ": '" + dataset + "' " + why); };
  const std::int64_t bytes =
      checked_product({product(info.shape), info.type.bytes}, path_.string() + ": '" + dataset + "'");
  if (bytes == 0) return false;
  if (H5Pget_layout(properties.get()) != H5D_CHUNKED) refuse("is not stored in chunks");

  Dimensions chunk(info.shape.size());
  check(H5Pget_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()), "has no chunk size", dataset);
  std::int64_t chunk_bytes = info.type.bytes;
  for (const hsize_t length : chunk) {
    if (length > kMaxLength) refuse("has absurdly large chunks");
    chunk_bytes = checked_product({chunk_bytes, static_cast<std::int64_t>(length)},
                                  path_.string() + ": a chunk of '" + dataset + "'");
  }
  if (chunk_bytes > kMaxChunkBytes) refuse("has chunks of " + std::to_string(chunk_bytes) + " bytes");
  const std::vector<H5Z_filter_t> filters = filters_of(properties);
  const bool is_compressed = filters == std::vector<H5Z_filter_t>{H5Z_FILTER_DEFLATE, H5Z_FILTER_FLETCHER32};
  if (std::ranges::find(filters, H5Z_FILTER_FLETCHER32) == filters.end()) refuse("has no checksums");
  if (!is_compressed && filters.size() > 1) refuse("is stored through filters that outsole does not use");
  const hsize_t stored = H5Dget_storage_size(handle.get());
  if (stored < static_cast<hsize_t>(bytes / (is_compressed ? kMaxDeflateRatio : 1))) {
    refuse("claims " + std::to_string(bytes) + " bytes where " + std::to_string(stored) + " are stored");
  }
  return is_compressed;
}

void File::write(const std::string& dataset, const ElementType& type, const Shape& shape,
                 std::span<const std::byte> bytes, bool compress) {
  ensure(product(shape) * type.bytes == std::ssize(bytes), "'" + dataset + "': bytes do not fill the shape");
  const Handle type_handle = file_type(type);
  const Handle space = simple_space(shape);
  const Handle properties = creation_properties(H5P_DATASET_CREATE);
  set_fill_value(properties, type, type_handle);
  if (!bytes.empty()) {
    const Dimensions chunk = chunk_shape(shape, type.bytes);
    must(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()));
    if (compress) must(H5Pset_deflate(properties.get(), kDeflateLevel));
    must(H5Pset_fletcher32(properties.get()));
  }
  Handle handle(check(H5Dcreate2(handle_.get(), dataset.c_str(), type_handle.get(), space.get(), H5P_DEFAULT,
                                 properties.get(), H5P_DEFAULT),
                      "cannot be created", dataset),
                H5Dclose);
  if (bytes.empty()) return;
  check(H5Dwrite(handle.get(), type_handle.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), "cannot be written",
        dataset);
  // Small chunks reach the disk only here: a full one must not go unnoticed.
  check(H5Dclose(handle.release()), "cannot be written", dataset);
}

void File::write_virtual(const std::string& dataset, const ElementType& type, const Shape& shape,
                         const std::vector<VirtualSource>& sources) {
  if (product(shape) == 0) return write(dataset, type, shape, {});
  const Handle type_handle = file_type(type);
  const Handle space = simple_space(shape);
  const Handle properties = creation_properties(H5P_DATASET_CREATE);
  set_fill_value(properties, type, type_handle);
  std::int64_t first = 0;
  for (const VirtualSource& source : sources) {
    if (source.rows == 0) continue;
    Shape source_shape = shape;
    source_shape[0] = source.rows;
    const Handle source_space = simple_space(source_shape);
    select_rows(space, shape, first, source.rows);
    must(H5Pset_virtual(properties.get(), space.get(), escape_percent(source.file).c_str(), source.dataset.c_str(),
                        source_space.get()));
    first += source.rows;
  }
  ensure(first == shape[0], "'" + dataset + "': its sources have other rows than it");
  must(H5Sselect_all(space.get()));
  const Handle handle(check(H5Dcreate2(handle_.get(), dataset.c_str(), type_handle.get(), space.get(), H5P_DEFAULT,
                                       properties.get(), H5P_DEFAULT),
                            "cannot be created", dataset),
                      H5Dclose);
}

void File::describe(const std::string& dataset, const std::string& description, const std::string& unit,
                    const std::vector<std::string>& labels) {
  const Handle handle = open_dataset(dataset);
  write_text(handle, "description", description);
  if (!unit.empty()) write_text(handle, "unit", unit);
  // As H5DSset_label of HDF5's high-level library writes it, which reads texts of variable length alone.
  const Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose);
  must(H5Tset_size(type.get(), H5T_VARIABLE));
  const Handle space = simple_space({std::ssize(labels)});
  const Handle attribute(
      check(H5Acreate2(handle.get(), "DIMENSION_LABELS", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
            "cannot be created", dataset),
      H5Aclose);
  std::vector<const char*> texts;
  for (const std::string& label : labels) texts.push_back(label.c_str());
  check(H5Awrite(attribute.get(), type.get(), texts.data()), "cannot be written", dataset);
}

std::vector<VirtualSource> File::virtual_sources(const std::string& dataset) const {
  const Handle handle = open_dataset(dataset);
  const Handle properties(check(H5Dget_create_plist(handle.get()), "has no properties", dataset), H5Pclose);
  if (H5Pget_layout(properties.get()) != H5D_VIRTUAL) return {};  // one without elements is a plain one
  std::size_t count = 0;
  check(H5Pget_virtual_count(properties.get(), &count), "has no sources", dataset);
  const auto text = [&](auto get, std::size_t i) {
    std::string name(
        static_cast<std::size_t>(check(get(properties.get(), i, nullptr, 0), "has an unnamed source", dataset)) + 1,
        '\0');
    check(get(properties.get(), i, name.data(), name.size()), "has an unnamed source", dataset);
    name.pop_back();
    return name;
  };
  std::vector<VirtualSource> sources;
  for (std::size_t i = 0; i < count; ++i) {
    const Handle rows(check(H5Pget_virtual_vspace(properties.get(), i), "has a source without place", dataset),
                      H5Sclose);
    const Handle space(check(H5Pget_virtual_srcspace(properties.get(), i), "has a source without shape", dataset),
                       H5Sclose);
    // HDF5 counts an unlimited selection as -1: to learn its length it would open the source, whatever that is.
    if (H5Sget_select_npoints(rows.get()) < 0 || H5Sget_select_npoints(space.get()) < 0) {
      throw DataError(path_.string() + ": '" + dataset + "' has a source without a fixed length");
    }
    Dimensions lengths(kMaxDimensions);
    const int rank =
        check(H5Sget_simple_extent_dims(space.get(), nullptr, nullptr), "has a source without shape", dataset);
    lengths.resize(static_cast<std::size_t>(std::max(1, rank)));
    check(H5Sget_simple_extent_dims(space.get(), lengths.data(), nullptr), "has a source without shape", dataset);
    sources.push_back({unescape_percent(text(H5Pget_virtual_filename, i)), text(H5Pget_virtual_dsetname, i),
                       static_cast<std::int64_t>(lengths[0])});
  }
  return sources;
}

void File::read(const std::string& dataset, const DatasetInfo& info, std::int64_t first, std::int64_t count,
                std::span<std::byte> bytes) const {
  ensure(first >= 0 && count >= 0 && first + count <= info.shape[0] && !info.is_virtual,
         "rows outside of '" + dataset + "'");
  Shape start(info.shape.size(), 0), lengths = info.shape;
  start[0] = first;
  lengths[0] = count;
  read_block(dataset, info, start, lengths, bytes);
}

void File::read_lines(const std::string& dataset, const DatasetInfo& info, std::int64_t row, std::int64_t first,
                      std::int64_t count, std::span<std::byte> bytes) const {
  ensure(info.shape.size() > 1 && row >= 0 && row < info.shape[0] && !info.is_virtual, "a row of '" + dataset + "'");
  ensure(first >= 0 && count >= 0 && first <= info.shape[1] && count <= info.shape[1] - first,
         "lines outside of a row of '" + dataset + "'");
  Shape start(info.shape.size(), 0), lengths = info.shape;
  start[0] = row;
  lengths[0] = 1;
  start[1] = first;
  lengths[1] = count;
  read_block(dataset, info, start, lengths, bytes);
}

void File::read_block(const std::string& dataset, const DatasetInfo& info, const Shape& start, const Shape& lengths,
                      std::span<std::byte> bytes) const {
  ensure(product(lengths) * info.type.bytes == std::ssize(bytes), "'" + dataset + "': memory does not fit the block");
  if (bytes.empty()) return;
  const Handle handle = open_dataset(dataset);
  const Handle file_space = simple_space(info.shape);
  select_block(file_space, start, lengths);
  const Handle memory_space = simple_space(lengths);
  check(H5Dread(handle.get(), file_type(info.type).get(), memory_space.get(), file_space.get(), H5P_DEFAULT,
                bytes.data()),
        "cannot be read", dataset);
}

namespace {

Values read_list(const File& file, const std::string& dataset, const ElementType& type) {
  const DatasetInfo info = file.info(dataset);
  if (info.type.kind != type.kind || info.shape.size() != 1 || info.is_virtual || info.is_compressed) {
    throw DataError(file.path().string() + ": '" + dataset + "' is not a list of " + type_name(type));
  }
  return values_from_file(
      info.type, info.shape[0], [&](std::span<std::byte> bytes) { file.read(dataset, info, 0, info.shape[0], bytes); },
      file.path().string() + ": '" + dataset + "'");
}

}  // namespace

std::string library_version() {
  unsigned major = 0, minor = 0, release = 0;
  must(H5get_libversion(&major, &minor, &release));
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

std::vector<std::int64_t> read_integers(const File& file, const std::string& dataset) {
  return std::get<std::vector<std::int64_t>>(read_list(file, dataset, element_type("int64")));
}

std::vector<std::string> read_texts(const File& file, const std::string& dataset) {
  return std::get<std::vector<std::string>>(read_list(file, dataset, element_type("text1")));
}

}  // namespace outsole::store
