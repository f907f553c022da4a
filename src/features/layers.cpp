#include "features/layers.h"

#include <array>
#include <limits>
#include <vector>

#include "core/errors.h"

namespace outsole::features {

std::int64_t Window::output_length(std::int64_t length) const {
  const std::int64_t travel = length + 2 * padding - kernel + (ceil_mode ? stride - 1 : 0);
  if (length <= 0 || travel < 0) return 0;
  const std::int64_t windows = travel / stride + 1;
  const bool last_starts_outside = ceil_mode && (windows - 1) * stride >= length + padding;
  return last_starts_outside ? windows - 1 : windows;
}

MapGeometry through(const MapGeometry& input, const Window& window) {
  ensure(window.kernel % 2 == 1, "a window has a centre cell");
  const std::int64_t first_center = (window.kernel - 1) / 2 - window.padding;
  return {input.channels, input.stride_px * window.stride, input.first_center_px + input.stride_px * first_center};
}

Convolution load_convolution(SafetensorsFile& weights, const std::string& name, const std::string& batch_norm,
                             std::int64_t channels_in, std::int64_t channels_out, const Window& window) {
  constexpr double eps = 1e-5;
  const at::Tensor kernel = weights.read(name + ".weight", {channels_out, channels_in, window.kernel, window.kernel});
  const auto statistic = [&](const char* part) {
    return weights.read(batch_norm + "." + part, {channels_out}).to(at::kDouble);
  };
  const at::Tensor gain = statistic("weight"), shift = statistic("bias"), mean = statistic("running_mean"),
                   variance = statistic("running_var");
  if ((variance < 0).any().item<bool>()) {
    throw DataError(weights.path().string() + ": tensor '" + batch_norm + ".running_var': a variance is negative");
  }
  const at::Tensor scale = gain / (variance + eps).sqrt();
  return {window, (kernel.to(at::kDouble) * scale.view({-1, 1, 1, 1})).to(at::kFloat),
          (shift - mean * scale).to(at::kFloat)};
}

at::Tensor convolve(const Convolution& convolution, const at::Tensor& input) {
  const auto& [window, weight, bias] = convolution;
  const std::array<std::int64_t, 2> padding = {window.padding, window.padding}, stride = {window.stride, window.stride};
  const std::array<std::int64_t, 2> dilation = {1, 1};
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

double convolution_flops(const Convolution& convolution, std::int64_t height, std::int64_t width) {
  return 2.0 * static_cast<double>(convolution.weight.numel()) * static_cast<double>(height) *
         static_cast<double>(width);
}

}  // namespace outsole::features
