#include "store_mutations.h"

#include <hdf5.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <vector>

#include "core/files.h"
#include "core/sha256.h"
#include "fuzz.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/shard.h"
#include "store/store.h"

namespace outsole::fuzz {

namespace {

namespace fs = std::filesystem;
using store::Column;
using store::Columns;
using store::DatasetSchema;
using store::ElementKind;
using store::ElementType;
using store::Schema;

// --- A store of any schema -------------------------------------------------------------------------------------------

constexpr std::int64_t kUnits = 2, kRowsOfUnit = 2;
constexpr std::int32_t kHeight = 3, kWidth = 2;

std::int64_t size_of_symbol(const std::string& symbol) {
  const bool is_number = symbol.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? std::stoll(symbol) : 2 + static_cast<std::int64_t>(symbol.size() % 2);
}

std::string sample_text(const std::string& dataset, std::int64_t row) {
  return dataset == "foot" ? "L" : dataset + std::to_string(row);
}

double sample_number(const std::string& dataset) {
  static const std::map<std::string, double> values = {{"height_px", kHeight}, {"width_px", kWidth}, {"bit_depth", 8}};
  const auto found = values.find(dataset);
  return found == values.end() ? 1 : found->second;
}

/// `elements` values; the first belongs to row `first`.
store::Values sample_values(const DatasetSchema& schema, std::int64_t first, std::int64_t elements) {
  const auto numbers = [&]<typename Number>(Number) {
    return std::vector<Number>(static_cast<std::size_t>(elements), static_cast<Number>(sample_number(schema.name)));
  };
  switch (schema.types.front().kind) {
    case ElementKind::kUint8:
      return numbers(std::uint8_t{});
    case ElementKind::kUint16:
    case ElementKind::kFloat16:
      return numbers(std::uint16_t{});
    case ElementKind::kInt32:
      return numbers(std::int32_t{});
    case ElementKind::kInt64:
      return numbers(std::int64_t{});
    case ElementKind::kFloat32:
      return numbers(float{});
    case ElementKind::kFloat64:
      return numbers(double{});
    case ElementKind::kText:
      break;
  }
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < elements; ++i) texts.push_back(sample_text(schema.name, first + i));
  return texts;
}

Column sample_column(const DatasetSchema& schema, std::int64_t first) {
  if (schema.ragged && schema.name == "metadata") {
    return {{kRowsOfUnit}, std::vector<std::uint8_t>{'{', '}', '{', '}'}, {2, 2}};
  }
  if (schema.ragged) {
    constexpr std::int64_t kElements = kHeight * kWidth;
    return {{kRowsOfUnit}, sample_values(schema, first, kRowsOfUnit * kElements), {kElements, kElements}};
  }
  std::vector<std::int64_t> shape;
  std::int64_t elements = 1;
  for (std::size_t i = 0; i < schema.shape.size(); ++i) {
    shape.push_back(schema.by_row && i == 0 ? kRowsOfUnit : size_of_symbol(schema.shape[i]));
    elements *= shape.back();
  }
  return {shape, sample_values(schema, first, elements), {}};
}

Columns sample_columns(const Schema& schema, bool by_row, std::int64_t first) {
  Columns columns;
  for (const DatasetSchema& dataset : schema.datasets) {
    if (dataset.by_row == by_row) columns[dataset.name] = sample_column(dataset, first);
  }
  return columns;
}

const std::vector<Schema>& schemas() {
  static const std::vector<Schema> all = [] {
    std::vector<Schema> parsed;
    for (const std::string_view text : store::embedded_schemas()) parsed.push_back(store::parse_schema(text));
    return parsed;
  }();
  return all;
}

constexpr std::array kFiles = {"s.h5", "s.shards/00000.h5", "s.shards/00001.h5"};
using StoreBytes = std::array<std::string, kFiles.size()>;

StoreBytes write_sample(const Schema& schema) {
  const fs::path path = scratch_folder() / "s.h5";
  {
    store::StoreWriter writer(path, {schema.name, schema.version, {{"seed", 1}, {"what", "x"}}}, kUnits, true);
    for (std::int64_t unit = 0; unit < kUnits; ++unit) {
      writer.write_unit(unit, sample_columns(schema, true, unit * kRowsOfUnit));
    }
    writer.finish(sample_columns(schema, false, 0));
  }
  StoreBytes bytes;
  for (std::size_t i = 0; i < kFiles.size(); ++i) bytes[i] = read_text_file(scratch_folder() / kFiles[i]);
  fs::remove(path);
  fs::remove_all(scratch_folder() / "s.shards");
  return bytes;
}

// --- Recipes ---------------------------------------------------------------------------------------------------------

/// Takes decisions from the fuzzer's bytes; at their end every decision is the first choice.
class Recipe {
 public:
  explicit Recipe(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  bool is_over() const { return at_ >= bytes_.size(); }
  std::uint8_t byte() { return is_over() ? 0 : bytes_[at_++]; }
  std::size_t below(std::size_t count) { return byte() % count; }

  template <typename Choices>
  auto pick(const Choices& choices) {
    return choices[below(std::size(choices))];
  }

  std::int64_t integer() {
    constexpr std::array<std::int64_t, 18> kTelling = {0,
                                                       1,
                                                       2,
                                                       3,
                                                       4,
                                                       6,
                                                       7,
                                                       12,
                                                       -1,
                                                       255,
                                                       1 << 16,
                                                       std::int64_t{1} << 20,
                                                       std::int64_t{1} << 31,
                                                       std::int64_t{1} << 40,
                                                       std::int64_t{1} << 61,
                                                       std::numeric_limits<std::int64_t>::max(),
                                                       std::numeric_limits<std::int64_t>::min(),
                                                       5};
    return pick(kTelling);
  }

  /// Up to 64 bytes of the fuzzer's own.
  std::string text() {
    std::string result;
    for (std::size_t length = below(65); length > 0 && !is_over(); --length) result += static_cast<char>(byte());
    return result;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// Closes what HDF5 gave; failures are ignored throughout, since a mutation that does not come off is no mutation.
class Object {
 public:
  Object(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Object() {
    if (id_ >= 0) close_(id_);
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

Object some_type(Recipe& recipe) {
  const std::array<hid_t, 14> numbers = {H5T_STD_U8LE,   H5T_STD_U16LE,   H5T_STD_I32LE, H5T_STD_I64LE,  H5T_IEEE_F32LE,
                                         H5T_IEEE_F64LE, H5T_STD_U64LE,   H5T_STD_I32BE, H5T_IEEE_F64BE, H5T_STD_B8LE,
                                         H5T_STD_I8LE,   H5T_STD_REF_OBJ, H5T_C_S1,      H5T_C_S1};
  const std::size_t which = recipe.below(numbers.size() + 2);
  if (which >= numbers.size()) {
    Object type(H5Tcreate(H5T_COMPOUND, 16), H5Tclose);
    H5Tinsert(type, "a", 0, H5T_STD_I64LE);
    return {H5Tcopy(type), H5Tclose};
  }
  Object type(H5Tcopy(numbers[which]), H5Tclose);
  if (numbers[which] == H5T_C_S1) {
    constexpr std::array<std::size_t, 6> kSizes = {64, 128, 1, 1 << 16, 1 << 17, H5T_VARIABLE};
    H5Tset_size(type, recipe.pick(kSizes));
    if (recipe.below(2) == 0) H5Tset_strpad(type, H5T_STR_NULLPAD);
    if (recipe.below(2) == 0) H5Tset_cset(type, H5T_CSET_UTF8);
  }
  return {H5Tcopy(type), H5Tclose};
}

std::vector<hsize_t> some_shape(Recipe& recipe) {
  std::vector<hsize_t> shape;
  for (std::size_t rank = recipe.below(6); rank > 0; --rank) {
    shape.push_back(static_cast<hsize_t>(std::max<std::int64_t>(0, recipe.integer())));
  }
  return shape;
}

void set_chunks(Recipe& recipe, hid_t properties, const std::vector<hsize_t>& shape) {
  std::vector<hsize_t> chunk;
  for (const hsize_t length : shape) {
    constexpr std::array<hsize_t, 6> kLengths = {1, 2, 7, 1 << 10, 1 << 20, hsize_t{1} << 31};
    chunk.push_back(recipe.below(2) == 0 ? std::clamp<hsize_t>(length, 1, 1 << 12) : recipe.pick(kLengths));
  }
  if (chunk.empty()) return;
  H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
  if (recipe.below(3) == 0) H5Pset_shuffle(properties);
  if (recipe.below(3) == 0) H5Pset_deflate(properties, 9);
  if (recipe.below(5) == 0) H5Pset_nbit(properties);
  if (recipe.below(5) == 0) H5Pset_scaleoffset(properties, H5Z_SO_INT, 0);
  if (recipe.below(4) != 1) H5Pset_fletcher32(properties);
}

void add_virtual_sources(Recipe& recipe, hid_t properties, const std::vector<hsize_t>& shape, const std::string& name) {
  const std::array<std::string, 9> files = {
      "s.shards/00000.h5", "s.shards/00001.h5", "/nowhere/x.h5", "../s.h5",    ".",
      "s.shards/%b.h5",    "t.shards/00000.h5", "..shards/7.h5", recipe.text()};
  for (std::size_t sources = 1 + recipe.below(3); sources > 0; --sources) {
    const std::string file = recipe.pick(files);
    const bool is_unlimited = recipe.below(4) == 0;
    std::vector<hsize_t> most = shape, start(shape.size(), 0), count = shape;
    if (is_unlimited && !shape.empty()) most[0] = count[0] = H5S_UNLIMITED;
    Object rows(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), most.data()), H5Sclose);
    Object source(H5Scopy(rows), H5Sclose);
    if (is_unlimited && !shape.empty()) {
      for (const hid_t space : {static_cast<hid_t>(rows), static_cast<hid_t>(source)}) {
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
      }
    }
    H5Pset_virtual(properties, rows, file.empty() ? "x" : file.c_str(), name.c_str(), source);
  }
}

/// A data set of that name, unlike the one that was there.
void create_dataset(Recipe& recipe, hid_t file, const std::string& name) {
  const Object type = some_type(recipe);
  const std::vector<hsize_t> shape = some_shape(recipe);
  Object properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  switch (recipe.below(8)) {
    case 0:
      break;  // contiguous
    case 1:
      H5Pset_layout(properties, H5D_COMPACT);
      break;
    case 2:
      H5Pset_external(properties, "elsewhere", 0, H5F_UNLIMITED);
      break;
    case 3:
      add_virtual_sources(recipe, properties, shape, name);
      break;
    default:
      set_chunks(recipe, properties, shape);
  }
  Object space(
      shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
      H5Sclose);
  H5Pset_alloc_time(properties, H5D_ALLOC_TIME_INCR);
  Object dataset(H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, properties, H5P_DEFAULT), H5Dclose);
  const hssize_t elements = H5Sget_simple_extent_npoints(space);
  constexpr std::size_t kMostBytes = 1 << 16;
  if (dataset < 0 || elements <= 0 || H5Tis_variable_str(type) > 0) return;
  if (H5Pget_layout(properties) == H5D_VIRTUAL || H5Pget_external_count(properties) > 0) return;  // not here
  if (static_cast<std::size_t>(elements) > kMostBytes / H5Tget_size(type)) return;
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(elements) * H5Tget_size(type), recipe.byte());
  H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
}

/// Other elements in a data set as it is.
void overwrite(Recipe& recipe, hid_t file, const std::string& name) {
  Object dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (dataset < 0) return;
  Object type(H5Dget_type(dataset), H5Tclose), space(H5Dget_space(dataset), H5Sclose);
  Object properties(H5Dget_create_plist(dataset), H5Pclose);
  const hssize_t elements = H5Sget_simple_extent_npoints(space);
  if (H5Pget_layout(properties) == H5D_VIRTUAL || H5Pget_external_count(properties) > 0 || elements <= 0) return;
  const std::size_t size = H5Tget_size(type);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(elements) * size);
  H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
  for (std::size_t changes = 1 + recipe.below(4); changes > 0; --changes) {
    std::uint8_t* element = bytes.data() + recipe.below(static_cast<std::size_t>(elements)) * size;
    const std::string text = recipe.text();
    if (H5Tget_class(type) == H5T_STRING || !text.empty()) {
      std::fill_n(element, size, std::uint8_t{0});
      std::copy_n(text.begin(), std::min(size, text.size()), element);
    } else if (H5Tget_class(type) == H5T_FLOAT) {
      std::fill_n(element, size, recipe.pick(std::array<std::uint8_t, 3>{0xFF, 0x7F, 0x00}));
    } else {
      const std::int64_t value = recipe.integer();
      std::copy_n(reinterpret_cast<const std::uint8_t*>(&value), std::min(size, sizeof value), element);
    }
  }
  H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data());
}

void add_object(Recipe& recipe, hid_t file, const std::string& name) {
  const std::string elsewhere = name + "_offset";
  switch (recipe.below(5)) {
    case 0: {
      Object group(H5Gcreate2(file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
      break;
    }
    case 1:
      H5Lcreate_soft(recipe.below(2) == 0 ? "/" : elsewhere.c_str(), file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      break;
    case 2:
      H5Lcreate_external("/nowhere/x.h5", "/", file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      break;
    case 3:
      H5Lcreate_hard(file, "/", file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      break;
    default: {
      Object type(H5Tcopy(H5T_STD_I64LE), H5Tclose);
      H5Tcommit2(file, name.c_str(), type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    }
  }
}

/// Text that an attribute might hold, some of it JSON.
std::string some_attribute_text(Recipe& recipe) {
  const std::array<std::string, 10> texts = {"",         "outsole.exemplars", "outsole.index",           "null",
                                             "[1]",      "{\"seed\":2}",      std::string(1 << 14, '['), "\x1b[2J",
                                             "\xFF\xFE", recipe.text()};
  return recipe.pick(texts);
}

void change_attribute(Recipe& recipe, hid_t file) {
  const std::string name =
      recipe.pick(std::array<const char*, 6>{"schema", "version", "parameters", "units", "unit", "x"});
  H5Adelete(file, name.c_str());
  Object scalar(H5Screate(H5S_SCALAR), H5Sclose);
  switch (recipe.below(4)) {
    case 0: {
      const std::string text = some_attribute_text(recipe);
      Object type(H5Tcopy(H5T_C_S1), H5Tclose);
      H5Tset_size(type, std::max<std::size_t>(1, text.size()));
      if (recipe.below(2) == 0) H5Tset_strpad(type, H5T_STR_NULLPAD);
      Object attribute(H5Acreate2(file, name.c_str(), type, scalar, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
      H5Awrite(attribute, type, text.c_str());
      break;
    }
    case 1: {
      const std::int64_t value = recipe.integer();
      Object attribute(H5Acreate2(file, name.c_str(), H5T_STD_I64LE, scalar, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
      H5Awrite(attribute, H5T_STD_I64LE, &value);
      break;
    }
    case 2: {
      const Object type = some_type(recipe);
      const hsize_t length = 1 + recipe.below(9);
      Object list(H5Screate_simple(1, &length, nullptr), H5Sclose);
      Object attribute(
          H5Acreate2(file, name.c_str(), type, recipe.below(2) == 0 ? list : scalar, H5P_DEFAULT, H5P_DEFAULT),
          H5Aclose);
      break;
    }
    default:
      break;  // missing
  }
}

Object open_to_change(const fs::path& path) {
  Object access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  return {H5Fopen(path.c_str(), H5F_ACC_RDWR, access), H5Fclose};
}

void mutate_file(Recipe& recipe, const fs::path& path, const Schema& schema) {
  std::string name = schema.datasets[recipe.below(schema.datasets.size())].name;
  constexpr std::array<const char*, 8> kRelated = {"", "", "", "_length", "_offset", "", "/", "more"};
  const std::string related = recipe.pick(kRelated);
  name =
      related == "/"
          ? recipe.pick(std::array<const char*, 4>{"shards/name", "shards/sha256", "shards/size_bytes", "shards/rows"})
          : name + related;
  enum Change : std::size_t { kReplace, kRemove, kPutAnother, kAttribute, kOverwrite, kOverwriteToo, kChanges };
  const std::size_t change = recipe.below(kChanges);
  if (change == kReplace || change == kRemove || change == kPutAnother) {
    const Object file =
        open_to_change(path);  // of its own: HDF5 1.10 crashes where a deleted link is followed by a new one
    H5Ldelete(file, name.c_str(), H5P_DEFAULT);
  }
  const Object file = open_to_change(path);
  if (change == kReplace) create_dataset(recipe, file, name);
  if (change == kPutAnother) add_object(recipe, file, name);
  if (change == kAttribute) change_attribute(recipe, file);
  if (change == kOverwrite || change == kOverwriteToo) overwrite(recipe, file, name);
}

/// The view's table of shards as the shards now are.
void update_table(const fs::path& folder) {
  Object file(H5Fopen((folder / kFiles[0]).c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  std::string hashes;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 1; i < kFiles.size(); ++i) {
    hashes += sha256_of_file(folder / kFiles[i]);
    sizes.push_back(static_cast<std::int64_t>(fs::file_size(folder / kFiles[i])));
  }
  Object text(H5Dopen2(file, "shards/sha256", H5P_DEFAULT), H5Dclose);
  Object type(H5Dget_type(text), H5Tclose);
  H5Dwrite(text, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, hashes.data());
  Object bytes(H5Dopen2(file, "shards/size_bytes", H5P_DEFAULT), H5Dclose);
  H5Dwrite(bytes, H5T_STD_I64LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, sizes.data());
}

void change_bytes(Recipe& recipe, const fs::path& path) {
  std::string bytes = read_text_file(path);
  for (std::size_t changes = 1 + recipe.below(8); changes > 0; --changes) {
    const std::size_t high = recipe.byte(), low = recipe.byte(), place = (high << 8 | low) % bytes.size();
    bytes[place] = static_cast<char>(bytes[place] ^ (1 + recipe.below(255)));
  }
  if (recipe.below(4) == 1) bytes.resize(bytes.size() * recipe.byte() / 256 + 1);
  write_scratch(path.lexically_relative(scratch_folder()).string(), bytes);
}

void seal(std::size_t file) {
  const fs::path path = scratch_folder() / kFiles[file];
  if (fs::file_size(path) > store::kSealBytes)
    write_seal(path, file == 0 ? store::Sealed::kView : store::Sealed::kShard);
}

}  // namespace

MutatedStore mutate_store(std::span<const std::uint8_t> bytes) {
  // The store starts HDF5, which it must be the first to do.
  static const bool is_quiet = !store::hdf5_version().empty() && H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  static const std::map<std::string, StoreBytes> samples = [] {
    std::map<std::string, StoreBytes> all;
    for (const Schema& schema : schemas()) all[schema.name] = write_sample(schema);
    return all;
  }();
  Recipe recipe(bytes);
  const Schema& schema = schemas()[recipe.below(schemas().size())];
  fs::create_directories(scratch_folder() / "s.shards");
  for (std::size_t i = 0; i < kFiles.size(); ++i) write_scratch(kFiles[i], samples.at(schema.name)[i]);
  MutatedStore mutated{scratch_folder() / "s.h5", schema.name, false};
  const auto how = recipe.byte();
  const std::size_t shard_changes = how & 3, view_changes = (how >> 2) & 3, raw_changes = (how >> 4) & 3;
  const bool is_sealed = (how >> 6) != 3;
  for (std::size_t i = 0; i < shard_changes; ++i) {
    mutate_file(recipe, scratch_folder() / kFiles[1 + recipe.below(kFiles.size() - 1)], schema);
  }
  // HDF5 must not open what is damaged so, here as little as in a job: the damage comes last.
  mutated.has_raw_damage = raw_changes == 3;
  const std::size_t damaged = mutated.has_raw_damage ? recipe.below(kFiles.size()) : kFiles.size();
  if (damaged > 0 && damaged < kFiles.size()) change_bytes(recipe, scratch_folder() / kFiles[damaged]);
  for (std::size_t i = 1; is_quiet && is_sealed && i < kFiles.size(); ++i) seal(i);
  if (shard_changes > 0 && is_sealed) update_table(scratch_folder());
  for (std::size_t i = 0; i < view_changes; ++i) mutate_file(recipe, scratch_folder() / kFiles[0], schema);
  if (damaged == 0) change_bytes(recipe, scratch_folder() / kFiles[0]);
  if (is_sealed) seal(0);
  return mutated;
}

}  // namespace outsole::fuzz
