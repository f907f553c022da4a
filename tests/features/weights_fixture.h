#pragma once
// Safetensors files made for a test, and a folder that goes away with it.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace outsole::features {

struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "outsole_features_XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = path;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// 8 bytes of length, `header`, `data`.
inline void write_raw(const std::string& path, std::uint64_t header_bytes, const std::string& header,
                      const std::string& data) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes);
  file << header << data;
}

inline void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors) {
  std::ostringstream header, data;
  header << R"({"__metadata__":{"format":"pt","note":"a \"test\" \u00e9"})";
  for (const NamedTensor& tensor : tensors) {
    const auto begin = data.tellp();
    data.write(reinterpret_cast<const char*>(tensor.values.data()),
               static_cast<std::streamsize>(tensor.values.size() * sizeof(float)));
    header << ",\"" << tensor.name << R"(":{"dtype":"F32","shape":[)";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) header << (i ? "," : "") << tensor.shape[i];
    header << "],\"data_offsets\":[" << begin << "," << data.tellp() << "]}";
  }
  header << "}  ";
  write_raw(path, header.str().size(), header.str(), data.str());
}

/// Tensors of these names and shapes. Kernels are scaled by 1.4 / sqrt(inputs), so that activations stay near 1.
inline std::vector<NamedTensor> random_tensors(
    const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& shapes) {
  std::vector<NamedTensor> tensors;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> around_one(0.5F, 1.5F);
  for (const auto& [name, shape] : shapes) {
    std::int64_t count = 1;
    for (const std::int64_t length : shape) count *= length;
    const bool is_kernel = shape.size() > 1, is_shift = name.ends_with(".bias") || name.ends_with(".running_mean");
    const float scale = is_kernel ? static_cast<float>(1.4 / std::sqrt(static_cast<double>(count / shape[0]))) : 0.3F;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = is_kernel || is_shift ? scale * normal(random) : around_one(random);
    tensors.push_back({name, shape, std::move(values)});
  }
  return tensors;
}

/// ResNet-50 with torchvision's names up to `last_unit` of `last_layer` (from 1 and 0 as in the names). Convolutions
/// are scaled by `gain` / sqrt(inputs), so that activations stay near 1; gain 0 makes all of it zero, quickly.
inline std::vector<NamedTensor> random_resnet50(int last_layer, int last_unit, double gain = 1.4) {
  std::vector<NamedTensor> tensors;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> around_one(0.5F, 1.5F);
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, auto&& draw) {
    std::int64_t count = 1;
    for (const std::int64_t length : shape) count *= length;
    std::vector<float> values(static_cast<std::size_t>(count));
    if (gain > 0) {
      for (float& value : values) value = draw();
    }
    tensors.push_back({name, std::move(shape), std::move(values)});
  };
  const auto convolution = [&](const std::string& name, const std::string& norm, std::int64_t out, std::int64_t in,
                               std::int64_t side) {
    const float scale = static_cast<float>(gain / std::sqrt(static_cast<double>(in * side * side)));
    add(name + ".weight", {out, in, side, side}, [&] { return scale * normal(random); });
    add(norm + ".weight", {out}, [&] { return around_one(random); });
    add(norm + ".bias", {out}, [&] { return 0.3F * normal(random); });
    add(norm + ".running_mean", {out}, [&] { return 0.3F * normal(random); });
    add(norm + ".running_var", {out}, [&] { return around_one(random); });
  };
  convolution("conv1", "bn1", 64, 3, 7);
  std::int64_t channels = 64;
  const int units[] = {3, 4, 6, 3};
  for (int layer = 1; layer <= last_layer; ++layer) {
    const std::int64_t width = 32 << layer;
    for (int unit = 0; unit < (layer == last_layer ? last_unit + 1 : units[layer - 1]); ++unit) {
      const std::string name = "layer" + std::to_string(layer) + "." + std::to_string(unit);
      convolution(name + ".conv1", name + ".bn1", width, channels, 1);
      convolution(name + ".conv2", name + ".bn2", width, width, 3);
      convolution(name + ".conv3", name + ".bn3", 4 * width, width, 1);
      if (unit == 0) convolution(name + ".downsample.0", name + ".downsample.1", 4 * width, channels, 1);
      channels = 4 * width;
    }
  }
  return tensors;
}

}  // namespace outsole::features
