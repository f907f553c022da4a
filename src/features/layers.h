#pragma once
// What the layers of a network compute, and how the weights of a convolution are read.

#include <ATen/ATen.h>

#include <cstdint>

#include "features/network.h"
#include "features/safetensors.h"

namespace outsole::features {

/// A convolution; the batch norm that follows it, if any, is folded in.
struct Convolution {
  Window window;
  at::Tensor weight;  // [O, I, kernel, kernel] float32
  at::Tensor bias;    // [O] float32, or undefined: none
};

/// Reads the convolution's tensors and folds its batch norm, if any, into weight and bias in double precision. Throws
/// DataError as SafetensorsFile::read, and when a variance is negative.
Convolution load_convolution(const SafetensorsFile& weights, const PlacedConvolution& place);

/// [N, I, H, W] -> [N, O, h, w], zero padding; in the input's floating type, and differentiable by it.
at::Tensor convolve(const Convolution& convolution, const at::Tensor& input);

/// Maximum over each window; what lies outside the map does not count. Shares no memory with `input`.
at::Tensor max_pool(const Window& window, const at::Tensor& input);

/// Mean over each window; the padding counts as zeros.
at::Tensor average_pool(const Window& window, const at::Tensor& input);

/// Normalization across channels, as ResponseNormLayer says.
at::Tensor response_norm(const ResponseNormLayer& layer, const at::Tensor& input);

/// Floating point operations (2 per multiply-add) of a convolution that makes a map of height x width cells.
double convolution_flops(const Convolution& convolution, std::int64_t height, std::int64_t width);

}  // namespace outsole::features
