// Any network, evaluated from the list of its layers.

#include <c10/core/GradMode.h>

#include <utility>

#include "core/errors.h"
#include "features/kinds.h"
#include "features/layers.h"

namespace outsole::features {
namespace {

constexpr std::int64_t kColours = 3;

/// Runs a map through layers, taking the convolutions of a network one after another, in the order of derive.
class Evaluation {
 public:
  explicit Evaluation(const std::vector<Convolution>& convolutions) : next_(convolutions.begin()) {}

  at::Tensor run(const std::vector<Layer>& layers, at::Tensor map) {
    // Nothing else reads the map, no branch beside this one and no gradient: it may be changed in place.
    bool is_ours = false;
    for (const Layer& layer : layers) {
      map = std::visit([&](const auto& kind) { return apply(kind, map, is_ours); }, layer);
      is_ours = !map.requires_grad();
    }
    return map;
  }

 private:
  at::Tensor apply(const ConvolutionLayer&, const at::Tensor& map, bool) { return convolve(*next_++, map); }
  at::Tensor apply(const ReluLayer&, at::Tensor map, bool is_ours) { return is_ours ? map.relu_() : map.relu(); }
  at::Tensor apply(const MaxPoolLayer& layer, const at::Tensor& map, bool) { return max_pool(layer.window, map); }
  at::Tensor apply(const AveragePoolLayer& layer, const at::Tensor& map, bool) {
    return average_pool(layer.window, map);
  }
  at::Tensor apply(const ResponseNormLayer& layer, const at::Tensor& map, bool) { return response_norm(layer, map); }
  at::Tensor apply(const ResidualLayer& layer, const at::Tensor& map, bool) {
    at::Tensor residual = run(layer.residual, map);
    if (residual.requires_grad()) return residual + run(layer.shortcut, map);
    return residual.add_(run(layer.shortcut, map));
  }
  at::Tensor apply(const ConcatLayer& layer, const at::Tensor& map, bool) {
    std::vector<at::Tensor> maps;
    for (const std::vector<Layer>& branch : layer.branches) maps.push_back(run(branch, map));
    return at::cat(maps, 1);
  }

  std::vector<Convolution>::const_iterator next_;
};

class NetworkExtractor final : public Extractor {
 public:
  NetworkExtractor(Network network, const std::string& weights_path, double mean_grey)
      : network_(std::move(network)),
        mean_grey_(mean_grey),
        planes_(has_equal_planes(network_.convention) ? 1 : kColours),
        mean_(by_plane(network_.convention.mean_rgb)),
        deviation_(by_plane(network_.convention.deviation_rgb)) {
    ensure(!network_.layers.empty() && std::holds_alternative<ConvolutionLayer>(network_.layers.front()),
           "a network begins with a convolution");
    const SafetensorsFile weights(weights_path);
    const Derived derived = derive(network_.layers, {.geometry = {.channels = kColours}});
    geometry_ = derived.geometry;
    for (const PlacedConvolution& place : derived.convolutions) {
      convolutions_.push_back(load_convolution(weights, place));
      for (WeightTensor& tensor : place.tensors()) weights_.push_back(std::move(tensor));
    }
    if (planes_ == 1) {
      at::Tensor& first = convolutions_.front().weight;
      first = first.to(at::kDouble).sum(1, /*keepdim=*/true).to(at::kFloat);
    }
  }

  MapGeometry geometry() const override { return geometry_; }

  std::int64_t map_length(std::int64_t length_px) const override { return derived(length_px, length_px).height; }

  at::Tensor extract(const at::Tensor& images) const override {
    if (images.is_cpu()) {
      return extract_each(*this, images, [this](const at::Tensor& image) { return forward(image); });
    }
    ensure(images.dim() == 3 && images.scalar_type() == at::kFloat, "images are [N, H, W] float32");
    const c10::NoGradGuard no_gradients;
    return forward(images.unsqueeze(1));  // all at once
  }

  at::Tensor forward(const at::Tensor& image) const override {
    return Evaluation(convolutions_).run(network_.layers, input_planes(image));
  }

  std::vector<WeightTensor> weights() const override { return weights_; }

  double flops(std::int64_t height_px, std::int64_t width_px) const override {
    return derived(height_px, width_px).flops;
  }

  void to(const at::Device& device) override {
    for (Convolution& convolution : convolutions_) {
      convolution.weight = convolution.weight.to(device);
      if (convolution.bias.defined()) convolution.bias = convolution.bias.to(device);
    }
    mean_ = mean_.to(device);
    deviation_ = deviation_.to(device);
  }

 private:
  Derived derived(std::int64_t height_px, std::int64_t width_px) const {
    return derive(network_.layers, {{.channels = planes_}, height_px, width_px});
  }

  /// Grey as the network expects colour, [1, 1, H, W] -> [1, planes, H, W].
  at::Tensor input_planes(const at::Tensor& grey) const {
    const Convention& convention = network_.convention;
    const at::Tensor scaled = convention.divisor == 1 ? grey : grey / convention.divisor;
    const at::Tensor centred = convention.subtracts_exemplars_mean ? scaled - mean_grey_ / convention.divisor
                                                                   : scaled - mean_.to(grey.scalar_type());
    const bool is_scaled_only = convention.deviation_rgb == std::array{1.0, 1.0, 1.0};
    return is_scaled_only ? centred : centred / deviation_.to(grey.scalar_type());
  }

  /// A value for every plane of the input, [1, planes, 1, 1].
  at::Tensor by_plane(std::array<double, 3> rgb) const {
    if (network_.convention.planes_are_bgr) std::swap(rgb[0], rgb[2]);
    const auto planes = at::ArrayRef<double>(rgb).slice(0, static_cast<std::size_t>(planes_));
    return at::tensor(planes, at::kDouble).view({1, planes_, 1, 1});
  }

  Network network_;
  double mean_grey_;
  std::int64_t planes_;
  at::Tensor mean_, deviation_;  // of the input's planes, [1, planes, 1, 1] float64; where the weights are
  MapGeometry geometry_;
  std::vector<Convolution> convolutions_;
  std::vector<WeightTensor> weights_;
};

}  // namespace

std::unique_ptr<Extractor> make_network(Network network, const std::string& weights_path, double mean_grey) {
  return std::make_unique<NetworkExtractor>(std::move(network), weights_path, mean_grey);
}

}  // namespace outsole::features
