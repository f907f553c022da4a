// ResNet-50 (He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016) up to any residual unit.

#include <array>
#include <optional>
#include <vector>

#include "core/errors.h"
#include "features/kinds.h"
#include "features/layers.h"

namespace outsole::features {
namespace {

constexpr std::array<std::int64_t, 4> kUnitsPerLayer = {3, 4, 6, 3};

/// A bottleneck: 1x1 to fewer channels, 3x3, 1x1 to four times as many; added to its input, which is projected
/// where shapes differ.
struct ResidualUnit {
  Convolution reduce, spatial, expand;
  std::optional<Convolution> projection;
};

/// Reads unit `unit` of layer `layer`, both counted from 0. The first unit of a later layer halves the map: in its
/// first 1x1 convolution as the authors published it (Caffe), in its 3x3 convolution in torchvision.
ResidualUnit load_unit(SafetensorsFile& weights, std::int64_t layer, std::int64_t unit, bool caffe) {
  const std::string name = "layer" + std::to_string(layer + 1) + "." + std::to_string(unit);
  const std::int64_t width = std::int64_t{64} << layer, channels_out = 4 * width;
  const std::int64_t channels_in = unit > 0 ? channels_out : layer > 0 ? 2 * width : 64;
  const std::int64_t stride = layer > 0 && unit == 0 ? 2 : 1;
  const auto load = [&](int place, std::int64_t in, std::int64_t out, const Window& window) {
    const std::string number = std::to_string(place);
    return load_convolution(weights, name + ".conv" + number, name + ".bn" + number, in, out, window);
  };
  ResidualUnit result;
  result.reduce = load(1, channels_in, width, {.stride = caffe ? stride : 1});
  result.spatial = load(2, width, width, {.kernel = 3, .stride = caffe ? 1 : stride, .padding = 1});
  result.expand = load(3, width, channels_out, {});
  if (unit == 0) {
    result.projection = load_convolution(weights, name + ".downsample.0", name + ".downsample.1", channels_in,
                                         channels_out, {.stride = stride});
  }
  return result;
}

at::Tensor apply(const ResidualUnit& unit, const at::Tensor& input) {
  at::Tensor residual = convolve(unit.reduce, input).relu_();
  residual = convolve(unit.spatial, residual).relu_();
  residual = convolve(unit.expand, residual);
  return residual.add_(unit.projection ? convolve(*unit.projection, input) : input).relu_();
}

class ResNet50 final : public Extractor {
 public:
  ResNet50(const ExtractorSpec& spec, const std::string& last_stage)
      : caffe_(spec.weights_convention == "caffe"), mean_grey_(spec.mean_grey) {
    SafetensorsFile weights(spec.weights_path);
    stem_ = load_convolution(weights, "conv1", "bn1", 3, 64, {.kernel = 7, .stride = 2, .padding = 3});
    if (caffe_) stem_.weight = stem_.weight.to(at::kDouble).sum(1, /*keepdim=*/true).to(at::kFloat);
    pool_ = {.kernel = 3, .stride = 2, .padding = caffe_ ? 0 : 1, .ceil_mode = caffe_};
    load_units(weights, last_stage);
    identity_ = weights.identity();
  }

  MapGeometry geometry() const override {
    MapGeometry cells;
    for (const Window& window : windows()) cells = through(cells, window);
    cells.channels = units_.back().expand.weight.size(0);
    return cells;
  }

  std::int64_t map_length(std::int64_t length_px) const override {
    std::int64_t length = length_px;
    for (const Window& window : windows()) length = window.output_length(length);
    return length;
  }

  at::Tensor extract(const at::Tensor& images) const override {
    return extract_each(*this, images, [this](const at::Tensor& image) {
      at::Tensor map = max_pool(pool_, convolve(stem_, input_planes(image)).relu_());
      for (const ResidualUnit& unit : units_) map = apply(unit, map);
      return map;
    });
  }

  std::string weights_identity() const override { return identity_; }

  double flops(std::int64_t height_px, std::int64_t width_px) const override {
    std::int64_t height = height_px, width = width_px;
    const auto slide = [&](const Window& window) {
      height = window.output_length(height);
      width = window.output_length(width);
    };
    const auto count = [&](const Convolution& convolution) {
      slide(convolution.window);
      return convolution_flops(convolution, height, width);
    };
    double sum = count(stem_);
    slide(pool_);
    for (const ResidualUnit& unit : units_) {
      sum += count(unit.reduce) + count(unit.spatial) + count(unit.expand);
      if (unit.projection) sum += convolution_flops(*unit.projection, height, width);
    }
    return sum;
  }

  void to(const at::Device& device) override {
    const auto move = [&](Convolution& convolution) {
      convolution.weight = convolution.weight.to(device);
      convolution.bias = convolution.bias.to(device);
    };
    move(stem_);
    for (ResidualUnit& unit : units_) {
      move(unit.reduce);
      move(unit.spatial);
      move(unit.expand);
      if (unit.projection) move(*unit.projection);
    }
  }

 private:
  void load_units(SafetensorsFile& weights, const std::string& last_stage) {
    const std::vector<std::string> stages = resnet50_stages();
    auto stage = stages.begin();
    for (std::int64_t layer = 0; layer < std::ssize(kUnitsPerLayer); ++layer) {
      for (std::int64_t unit = 0; unit < kUnitsPerLayer[layer]; ++unit) {
        units_.push_back(load_unit(weights, layer, unit, caffe_));
        if (*stage++ == last_stage) return;
      }
    }
  }

  /// Grey as the network expects colour, [1, 1, H, W] -> [1, planes, H, W]. Caffe's three planes would be equal, so one
  /// is enough for a first convolution with its kernels added up; torchvision scales each plane differently.
  at::Tensor input_planes(const at::Tensor& grey) const {
    if (caffe_) return grey - mean_grey_;
    const at::Tensor mean = at::tensor({0.485, 0.456, 0.406}, grey.options()).view({1, 3, 1, 1});
    const at::Tensor deviation = at::tensor({0.229, 0.224, 0.225}, grey.options()).view({1, 3, 1, 1});
    return (grey / 255 - mean) / deviation;
  }

  /// The windows between the image and the map, in their order.
  std::vector<Window> windows() const {
    std::vector<Window> result = {stem_.window, pool_};
    for (const ResidualUnit& unit : units_) {
      result.insert(result.end(), {unit.reduce.window, unit.spatial.window, unit.expand.window});
    }
    return result;
  }

  bool caffe_;
  double mean_grey_;
  Convolution stem_;
  Window pool_;
  std::vector<ResidualUnit> units_;
  std::string identity_;
};

}  // namespace

std::vector<std::string> resnet50_stages() {
  std::vector<std::string> names;
  for (std::size_t layer = 0; layer < kUnitsPerLayer.size(); ++layer) {
    for (std::int64_t unit = 0; unit < kUnitsPerLayer[layer]; ++unit) {
      names.push_back("res" + std::to_string(layer + 2) + static_cast<char>('a' + unit));
    }
  }
  return names;
}

std::unique_ptr<Extractor> make_resnet50(const ExtractorSpec& spec, const std::string& stage) {
  return std::make_unique<ResNet50>(spec, stage);
}

}  // namespace outsole::features
