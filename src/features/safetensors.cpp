#include "features/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::features {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie in the file, little-endian");

constexpr std::int64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

/// Bytes of one element; 0 for a type the format does not know.
std::int64_t element_bytes(std::string_view dtype) {
  static const std::map<std::string_view, std::int64_t> sizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}};
  const auto found = sizes.find(dtype);
  return found == sizes.end() ? 0 : found->second;
}

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

/// The next `count` bytes of `file`; less when it ends early.
std::string read_bytes(std::ifstream& file, std::int64_t count) {
  std::string bytes(static_cast<std::size_t>(count), '\0');
  file.read(bytes.data(), count);
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

}  // namespace

/// The JSON that a safetensors header may hold and no more: an object of tensors, and `__metadata__`, an object of
/// strings. The grammar is flat, so nothing in the file can make it recurse.
class SafetensorsFile::HeaderParser {
 public:
  HeaderParser(const SafetensorsFile& file, std::string_view text) : file_(file), text_(text) {}

  std::map<std::string, Entry> parse() {
    std::map<std::string, Entry> entries;
    object([&](const std::string& name) {
      if (name == "__metadata__") {
        object([&](const std::string&) { string(); });
      } else {
        entries.emplace(name, entry(name));
      }
    });
    skip_space();
    if (at_ != text_.size()) fail("text after its end");
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& complaint) const {
    file_.refuse("the header is not what safetensors allows: " + complaint + " at byte " + std::to_string(8 + at_));
  }

  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool take(char wanted) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!take(wanted)) fail(std::string("'") + wanted + "' missing");
  }

  /// `{"key": VALUE, ...}`; `value` parses each VALUE. Keys must be unique.
  template <typename ParseValue>
  void object(ParseValue&& value) {
    std::set<std::string> keys;
    expect('{');
    if (take('}')) return;
    do {
      const std::string key = string();
      if (!keys.insert(key).second) fail("'" + key + "' named twice");
      expect(':');
      value(key);
    } while (take(','));
    expect('}');
  }

  /// A string; \uXXXX stays as it is written, for no tensor of ours is named with it.
  std::string string() {
    expect('"');
    std::string value;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) fail("control character in a string");
      if (text_[at_] == '\\') {
        value += escape();
      } else {
        value += text_[at_++];
      }
    }
    expect('"');
    return value;
  }

  std::string escape() {
    constexpr std::string_view written = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    const char letter = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (const std::size_t known = written.find(letter); known != std::string_view::npos) {
      at_ += 2;
      return {meant[known]};
    }
    const std::string_view unicode = text_.substr(at_, 6);
    const bool valid = letter == 'u' && unicode.size() == 6 &&
                       unicode.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
    if (!valid) fail("unknown escape in a string");
    at_ += 6;
    return std::string(unicode);
  }

  /// A non-negative integer.
  std::int64_t integer() {
    skip_space();
    const std::size_t begin = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value)) {
        fail("impossibly large number");
      }
    }
    if (at_ == begin) fail("non-negative integer missing");
    if (text_[begin] == '0' && at_ - begin > 1) fail("number with a leading zero");
    return value;
  }

  std::vector<std::int64_t> integers() {
    std::vector<std::int64_t> values;
    expect('[');
    if (take(']')) return values;
    do {
      values.push_back(integer());
    } while (take(','));
    expect(']');
    return values;
  }

  Entry entry(const std::string& name) {
    Entry result;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    object([&](const std::string& key) {
      if (key == "dtype") {
        result.dtype = string();
        has_dtype = true;
      } else if (key == "shape") {
        result.shape = integers();
        has_shape = true;
      } else if (key == "data_offsets") {
        const std::vector<std::int64_t> offsets = integers();
        if (offsets.size() != 2) fail("data_offsets of '" + name + "' are not two numbers");
        result.begin = offsets[0];
        result.end = offsets[1];
        has_offsets = true;
      } else {
        fail("unknown key '" + key + "' in '" + name + "'");
      }
    });
    if (!has_dtype || !has_shape || !has_offsets) fail("'" + name + "' lacks dtype, shape or data_offsets");
    return result;
  }

  const SafetensorsFile& file_;
  std::string_view text_;
  std::size_t at_ = 0;
};

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path_, error)) refuse("no such file");
  const auto file_bytes = narrow<std::int64_t>(std::filesystem::file_size(path_, error));
  std::ifstream file(path_, std::ios::binary);
  if (error || !file) refuse("cannot be read");
  if (file_bytes < 8) refuse("too short for a safetensors file (" + std::to_string(file_bytes) + " bytes)");

  std::array<unsigned char, 8> length_bytes{};
  file.read(reinterpret_cast<char*>(length_bytes.data()), length_bytes.size());
  if (!file) refuse("cannot be read");
  const auto header_bytes = std::bit_cast<std::uint64_t>(length_bytes);
  if (header_bytes > static_cast<std::uint64_t>(std::min(file_bytes - 8, kMaxHeaderBytes))) {
    refuse("not a safetensors file: a header of " + std::to_string(header_bytes) + " bytes in a file of " +
           std::to_string(file_bytes));
  }
  const std::string header = read_bytes(file, static_cast<std::int64_t>(header_bytes));
  if (header.size() != header_bytes) refuse("cannot be read");
  data_offset_ = 8 + static_cast<std::int64_t>(header_bytes);
  entries_ = HeaderParser(*this, header).parse();
  check_ranges(file_bytes - data_offset_);
}

void SafetensorsFile::check_ranges(std::int64_t data_bytes) const {
  std::vector<std::pair<std::string_view, const Entry*>> by_place;
  for (const auto& [name, entry] : entries_) {
    const std::int64_t element = element_bytes(entry.dtype);
    if (element == 0) refuse(name, "unknown type '" + entry.dtype + "'");
    std::int64_t expected_bytes = element;
    for (const std::int64_t length : entry.shape) {
      expected_bytes = checked_product({expected_bytes, length}, path_.string() + ": tensor '" + name + "'");
    }
    if (entry.end < entry.begin || entry.end - entry.begin != expected_bytes) {
      refuse(name, "its shape needs " + std::to_string(expected_bytes) + " bytes, its offsets are " +
                       std::to_string(entry.begin) + " to " + std::to_string(entry.end));
    }
    by_place.emplace_back(name, &entry);
  }
  std::sort(by_place.begin(), by_place.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  std::int64_t covered = 0;
  for (const auto& [name, entry] : by_place) {
    if (entry->begin < covered) refuse(name, "overlaps another tensor");
    if (entry->begin > covered) refuse(name, "starts after a hole");
    covered = entry->end;
    if (covered > data_bytes) refuse(name, "ends beyond the end of the file, which may be truncated");
  }
  if (covered != data_bytes) refuse(std::to_string(data_bytes - covered) + " bytes belong to no tensor");
}

std::vector<std::int64_t> SafetensorsFile::shape(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) refuse("no tensor '" + name + "' among its " + std::to_string(entries_.size()));
  return found->second.shape;
}

SafetensorsFile::StoredTensor SafetensorsFile::stored(const std::string& name, at::IntArrayRef shape) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    refuse("no tensor '" + name + "' among its " + std::to_string(entries_.size()) +
           "; take weights that hold this stage of the network, with torchvision's names");
  }
  const Entry& entry = found->second;
  if (shape != at::IntArrayRef(entry.shape)) {
    refuse(name, "its shape is " + shape_text(entry.shape) + ", the network needs " + shape_text(shape));
  }
  static const std::map<std::string_view, at::ScalarType> readable = {
      {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}};
  const auto type = readable.find(entry.dtype);
  if (type == readable.end()) refuse(name, "its type is " + entry.dtype + "; weights are F32, F16 or BF16");

  StoredTensor tensor = {name + ' ' + entry.dtype + ' ' + shape_text(shape), at::empty(shape, type->second)};
  std::ifstream file(path_, std::ios::binary);
  file.seekg(data_offset_ + entry.begin);
  file.read(static_cast<char*>(tensor.values.data_ptr()), entry.end - entry.begin);
  if (!file) refuse(name, "cannot be read");
  return tensor;
}

at::Tensor SafetensorsFile::read(const std::string& name, at::IntArrayRef shape) const {
  at::Tensor values = stored(name, shape).values.to(at::kFloat);
  if (!at::isfinite(values).all().item<bool>()) refuse(name, "holds a value that is not finite");
  return values;
}

void SafetensorsFile::refuse(const std::string& complaint) const { throw DataError(path_.string() + ": " + complaint); }

void SafetensorsFile::refuse(std::string_view tensor, const std::string& complaint) const {
  refuse("tensor '" + std::string(tensor) + "': " + complaint);
}

}  // namespace outsole::features
