#pragma once
// Reading weights from safetensors files. They may come from anywhere: nothing in them is believed unchecked.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace outsole::features {

/// An open safetensors file: 8 bytes little-endian header length, a JSON header that names every tensor's type, shape
/// and bytes, then the tensors' bytes (https://github.com/huggingface/safetensors#format). Opening reads and checks the
/// header only; a tensor's bytes are read when it is asked for.
class SafetensorsFile {
 public:
  /// Throws DataError naming the file, and the tensor where there is one, unless it is a regular file whose header is
  /// strict JSON with unique names, known types, and byte ranges that fit the shapes and tile the rest of the file
  /// without overlap, hole or remainder.
  explicit SafetensorsFile(std::filesystem::path path);

  bool has(const std::string& name) const { return entries_.contains(name); }

  /// The lengths of its dimensions; throws DataError naming file and tensor when it is missing.
  std::vector<std::int64_t> shape(const std::string& name) const;

  /// The tensor as float32 on the CPU; on disk it is F32, F16 or BF16. Throws DataError naming file and tensor when it
  /// is missing, of another shape or type, cannot be read, or holds a value that is not finite.
  at::Tensor read(const std::string& name, at::IntArrayRef shape) const;

  /// A tensor as it lies in the file.
  struct StoredTensor {
    std::string headline;  // name, type and shape, as in "bn1.bias F32 [64]"
    at::Tensor values;     // of that type, on the CPU
  };

  /// Throws as read does, but takes any value.
  StoredTensor stored(const std::string& name, at::IntArrayRef shape) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Entry {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::int64_t begin = 0, end = 0;  // bytes after the header
  };
  class HeaderParser;

  void check_ranges(std::int64_t data_bytes) const;
  [[noreturn]] void refuse(const std::string& complaint) const;
  [[noreturn]] void refuse(std::string_view tensor, const std::string& complaint) const;

  std::filesystem::path path_;
  std::int64_t data_offset_ = 0;
  std::map<std::string, Entry> entries_;
};

}  // namespace outsole::features
