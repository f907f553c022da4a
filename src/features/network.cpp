#include "features/network.h"

#include <cstdlib>

#include "core/errors.h"
#include "features/names.h"

namespace outsole::features {
namespace {

constexpr std::int64_t kMost = 1 << 20;  // channels, pixels of a stride: beyond any network

template <typename... Visitors>
struct Visit : Visitors... {
  using Visitors::operator()...;
};

[[noreturn]] void refuse(const std::string& complaint) {
  throw DataError("the network's layers do not fit each other: " + complaint);
}

void slide(const Window& window, Derived& map) {
  MapGeometry& cells = map.geometry;
  cells.first_center_half_px += cells.stride_px * (window.kernel - 1 - 2 * window.padding);
  cells.stride_px *= window.stride;
  if (cells.stride_px > kMost || std::abs(cells.first_center_half_px) > kMost) refuse("a stride is impossible");
  map.height = window.output_length(map.height);
  map.width = window.output_length(map.width);
}

void convolve(const ConvolutionLayer& layer, Derived& map) {
  const std::int64_t channels_in = map.geometry.channels;
  slide(layer.window, map);
  map.geometry.channels = layer.channels;
  map.flops += 2.0 * static_cast<double>(layer.channels * layer.window.kernel * layer.window.kernel) *
               static_cast<double>(channels_in) * static_cast<double>(map.height) * static_cast<double>(map.width);
  map.convolutions.push_back({layer, channels_in});
}

/// The map at the end of a branch, with nothing but the branch's own work.
Derived branch(const std::vector<Layer>& layers, const Derived& input) {
  return derive(layers, {input.geometry, input.height, input.width});
}

/// Adds what a branch has done to `map`.
void take_over(const Derived& branch, Derived& map) {
  map.flops += branch.flops;
  map.convolutions.insert(map.convolutions.end(), branch.convolutions.begin(), branch.convolutions.end());
}

/// `map` becomes `end`, the end of a branch of it, but keeps what it knows of the layers before.
void arrive(const Derived& end, Derived& map) {
  map.geometry = end.geometry;
  map.height = end.height;
  map.width = end.width;
}

bool lie_alike(const Derived& a, const Derived& b) {
  return a.geometry.stride_px == b.geometry.stride_px &&
         a.geometry.first_center_half_px == b.geometry.first_center_half_px && a.height == b.height &&
         a.width == b.width;
}

void add(const ResidualLayer& layer, Derived& map) {
  if (layer.residual.empty()) refuse("a residual branch is empty");
  const Derived residual = branch(layer.residual, map), shortcut = branch(layer.shortcut, map);
  if (!lie_alike(residual, shortcut) || residual.geometry.channels != shortcut.geometry.channels) {
    refuse("the branches of a sum differ");
  }
  take_over(residual, map);
  take_over(shortcut, map);
  arrive(residual, map);
}

void concatenate(const ConcatLayer& layer, Derived& map) {
  if (layer.branches.empty()) refuse("branches are missing");
  std::vector<Derived> ends;
  std::int64_t channels = 0;
  for (const std::vector<Layer>& layers : layer.branches) {
    ends.push_back(branch(layers, map));
    channels += ends.back().geometry.channels;
    if (!lie_alike(ends.back(), ends.front())) refuse("the branches of a concatenation differ");
  }
  if (channels > kMost) refuse("too many channels");
  for (const Derived& end : ends) take_over(end, map);
  arrive(ends.front(), map);
  map.geometry.channels = channels;
}

}  // namespace

std::int64_t Window::output_length(std::int64_t length) const {
  const std::int64_t travel = length + 2 * padding - kernel + (ceil_mode ? stride - 1 : 0);
  if (length <= 0 || travel < 0) return 0;
  const std::int64_t windows = travel / stride + 1;
  const bool last_starts_outside = ceil_mode && (windows - 1) * stride >= length + padding;
  return last_starts_outside ? windows - 1 : windows;
}

std::vector<WeightTensor> PlacedConvolution::tensors() const {
  const std::int64_t side = layer.window.kernel;
  std::vector<WeightTensor> tensors = {{layer.name + ".weight", {layer.channels, channels_in, side, side}}};
  if (layer.bias) tensors.push_back({layer.name + ".bias", {layer.channels}});
  if (!layer.batch_norm.empty()) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
      tensors.push_back({layer.batch_norm + part, {layer.channels}});
    }
  }
  return tensors;
}

Derived derive(const std::vector<Layer>& layers, Derived map) {
  const Visit through{[&](const ConvolutionLayer& layer) { convolve(layer, map); },
                      [](const ReluLayer&) {},
                      [](const ResponseNormLayer&) {},
                      [&](const MaxPoolLayer& layer) { slide(layer.window, map); },
                      [&](const AveragePoolLayer& layer) { slide(layer.window, map); },
                      [&](const ResidualLayer& layer) { add(layer, map); },
                      [&](const ConcatLayer& layer) { concatenate(layer, map); }};
  for (const Layer& layer : layers) std::visit(through, layer);
  return map;
}

const std::vector<Convention>& conventions() {
  static const std::vector<Convention> all = [] {
    Convention caffe, torchvision;
    caffe.name = "caffe";
    caffe.planes_are_bgr = true;

    torchvision.name = "torchvision";
    torchvision.divisor = 255;
    torchvision.subtracts_exemplars_mean = false;
    torchvision.mean_rgb = {0.485, 0.456, 0.406};
    torchvision.deviation_rgb = {0.229, 0.224, 0.225};
    torchvision.pools_unpadded = false;
    torchvision.pools_ceil = false;
    torchvision.strides_first = false;
    torchvision.response_norm = false;

    Convention folded = torchvision;
    folded.name = "torchvision-folded";
    folded.batch_norm_folded = true;
    return std::vector<Convention>{caffe, torchvision, folded};
  }();
  return all;
}

const Convention& convention_named(const std::string& name) {
  std::vector<std::string> names;
  for (const Convention& convention : conventions()) names.push_back(convention.name);
  return conventions()[find_name("weights convention", name, names)];
}

bool has_equal_planes(const Convention& convention) {
  const auto equal = [](const std::array<double, 3>& values) {
    return values[0] == values[1] && values[1] == values[2];
  };
  return equal(convention.deviation_rgb) && (convention.subtracts_exemplars_mean || equal(convention.mean_rgb));
}

ConvolutionLayer normed_convolution(const Convention& convention, const std::string& name,
                                    const std::string& batch_norm, std::int64_t channels, const Window& window) {
  ConvolutionLayer layer = {.name = name, .channels = channels, .window = window};
  layer.bias = convention.batch_norm_folded;
  if (!convention.batch_norm_folded) layer.batch_norm = batch_norm;
  return layer;
}

std::vector<Stage> residual_stem(const Convention& convention) {
  const Window pool = {
      .kernel = 3, .stride = 2, .padding = convention.pools_unpadded ? 0 : 1, .ceil_mode = convention.pools_ceil};
  return {{"conv1",
           {normed_convolution(convention, "conv1", "bn1", 64, {.kernel = 7, .stride = 2, .padding = 3}), ReluLayer{}}},
          {"pool1", {MaxPoolLayer{pool}}}};
}

}  // namespace outsole::features
