#include "features/layers.h"

#include <array>
#include <limits>
#include <vector>

#include "core/errors.h"

namespace outsole::features {

namespace {

/// Multiplies kernel and bias so that the convolution does what its batch norm would have done after it.
void fold_batch_norm(const SafetensorsFile& weights, const ConvolutionLayer& layer, Convolution& convolution) {
  const auto statistic = [&](const char* part) {
    return weights.read(layer.batch_norm + "." + part, {layer.channels}).to(at::kDouble);
  };
  const at::Tensor gain = statistic("weight"), shift = statistic("bias"), mean = statistic("running_mean"),
                   variance = statistic("running_var");
  if ((variance < 0).any().item<bool>()) {
    throw DataError(weights.path().string() + ": tensor '" + layer.batch_norm +
                    ".running_var': a variance is negative");
  }
  const at::Tensor scale = gain / (variance + layer.batch_norm_epsilon).sqrt();
  const at::Tensor centre = convolution.bias.defined() ? mean - convolution.bias.to(at::kDouble) : mean;
  convolution.weight = (convolution.weight.to(at::kDouble) * scale.view({-1, 1, 1, 1})).to(at::kFloat);
  convolution.bias = (shift - centre * scale).to(at::kFloat);
}

}  // namespace

Convolution load_convolution(const SafetensorsFile& weights, const PlacedConvolution& place) {
  const ConvolutionLayer& layer = place.layer;
  const std::int64_t side = layer.window.kernel;
  Convolution convolution = {
      layer.window, weights.read(layer.name + ".weight", {layer.channels, place.channels_in, side, side}), {}};
  if (layer.bias) convolution.bias = weights.read(layer.name + ".bias", {layer.channels});
  if (!layer.batch_norm.empty()) fold_batch_norm(weights, layer, convolution);
  return convolution;
}

at::Tensor convolve(const Convolution& convolution, const at::Tensor& input) {
  const auto& [window, weight, bias] = convolution;
  const std::array<std::int64_t, 2> padding = {window.padding, window.padding}, stride = {window.stride, window.stride};
  const std::array<std::int64_t, 2> dilation = {1, 1};
  if (input.requires_grad() || input.scalar_type() != at::kFloat) {
    const at::Tensor shift = bias.defined() ? bias.to(input.scalar_type()) : bias;
    return at::conv2d(input, weight.to(input.scalar_type()), shift, stride, padding, dilation);
  }
  // at::conv2d would hand 1x1 kernels and small maps to BLAS, whose last bits depend on its own number of threads.
  if (input.is_cpu() && at::hasMKLDNN()) {
    return at::mkldnn_convolution(input, weight, bias, padding, stride, dilation, /*groups=*/1);
  }
  return at::conv2d(input, weight, bias, stride, padding, dilation);
}

at::Tensor max_pool(const Window& window, const at::Tensor& input) {
  // at::max_pool2d also finds where each maximum lies, and takes as long as the convolutions of two residual units.
  at::Tensor result = input;
  for (const std::int64_t axis : {2, 3}) {
    const std::int64_t length = result.size(axis), windows = window.output_length(length);
    const std::int64_t travel = (windows - 1) * window.stride, after = travel + window.kernel - window.padding - length;
    std::vector<std::int64_t> margins = {0, 0, 0, 0};  // last axis first
    margins[2 * (3 - axis)] = window.padding;
    margins[2 * (3 - axis) + 1] = after;
    const at::Tensor padded = at::constant_pad_nd(result, margins, -std::numeric_limits<float>::infinity());
    result = padded.slice(axis, 0, travel + 1, window.stride);
    for (std::int64_t k = 1; k < window.kernel; ++k) {
      result = at::maximum(result, padded.slice(axis, k, k + travel + 1, window.stride));
    }
  }
  return result;
}

at::Tensor average_pool(const Window& window, const at::Tensor& input) {
  return at::avg_pool2d(input, {window.kernel, window.kernel}, {window.stride, window.stride},
                        {window.padding, window.padding}, window.ceil_mode, /*count_include_pad=*/true);
}

at::Tensor response_norm(const ResponseNormLayer& layer, const at::Tensor& input) {
  const std::int64_t before = layer.channels / 2, after = layer.channels - 1 - before, channels = input.size(1);
  const at::Tensor squares = at::constant_pad_nd(input.square(), {0, 0, 0, 0, before, after}, 0);
  at::Tensor sum = squares.narrow(1, 0, channels).clone();
  for (std::int64_t i = 1; i < layer.channels; ++i) sum.add_(squares.narrow(1, i, channels));
  return input / (sum * (layer.alpha / static_cast<double>(layer.channels)) + layer.k).pow(layer.beta);
}

double convolution_flops(const Convolution& convolution, std::int64_t height, std::int64_t width) {
  return 2.0 * static_cast<double>(convolution.weight.numel()) * static_cast<double>(height) *
         static_cast<double>(width);
}

}  // namespace outsole::features
