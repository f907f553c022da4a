#include "retrieval/weights_identity.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <sstream>
#include <string_view>

#include "core/sha256.h"
#include "features/safetensors.h"

namespace outsole::retrieval {
namespace {

/// Hands each tensor's text and bytes to `use`, in the order of names.
void for_each_tensor(const std::string& weights_path, std::vector<features::WeightTensor> tensors,
                     const std::function<void(std::string_view, std::string_view)>& use) {
  const features::SafetensorsFile file(weights_path);
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const features::WeightTensor& tensor : tensors) {
    const auto stored = file.stored(tensor.name, tensor.shape);
    use(stored.headline + ' ', {static_cast<const char*>(stored.values.data_ptr()), stored.values.nbytes()});
  }
}

std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return hash;
}

}  // namespace

std::string weights_sha256(const std::string& weights_path, const std::vector<features::WeightTensor>& tensors) {
  Sha256 hash;
  for_each_tensor(weights_path, tensors, [&](std::string_view text, std::string_view bytes) {
    hash.update(std::as_bytes(std::span(text)));
    hash.update(std::as_bytes(std::span(bytes)));
  });
  return hash.hex();
}

std::string weights_fnv1a(const std::string& weights_path, const std::vector<features::WeightTensor>& tensors) {
  std::ostringstream all;
  for_each_tensor(weights_path, tensors, [&](std::string_view text, std::string_view bytes) {
    all << std::hex << fnv1a(bytes, fnv1a(text)) << ' ';
  });
  std::ostringstream identity;
  identity.width(16);
  identity.fill('0');
  identity << std::hex << fnv1a(all.str());
  return identity.str();
}

}  // namespace outsole::retrieval
