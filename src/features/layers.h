#pragma once
// The layers that networks are made of, and how each moves the cells of a map.

#include <ATen/ATen.h>

#include <cstdint>
#include <string>

#include "features/extractor.h"
#include "features/safetensors.h"

namespace outsole::features {

/// A square window that slides over a map, the same along both axes. Its kernel is odd, so that it has a centre cell.
struct Window {
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  bool ceil_mode = false;  // as Caffe pools: the last window may reach beyond the padded map

  /// Cells along an axis of `length` cells; 0 when no window fits.
  std::int64_t output_length(std::int64_t length) const;
};

/// Where the cells lie after `window` slid over a map whose cells lie as `input` says.
MapGeometry through(const MapGeometry& input, const Window& window);

/// A convolution; the batch norm that follows it, if any, is folded in.
struct Convolution {
  Window window;
  at::Tensor weight;  // [O, I, kernel, kernel] float32
  at::Tensor bias;    // [O] float32, or undefined: none
};

/// Reads `NAME.weight` [O, I, kernel, kernel] and `BATCH_NORM.{weight,bias,running_mean,running_var}` [O] and folds the
/// batch norm (eps = 1e-5) into weight and bias in double precision. Throws DataError as SafetensorsFile::read, and
/// when a variance is negative.
Convolution load_convolution(SafetensorsFile& weights, const std::string& name, const std::string& batch_norm,
                             std::int64_t channels_in, std::int64_t channels_out, const Window& window);

/// [N, I, H, W] -> [N, O, h, w], zero padding.
at::Tensor convolve(const Convolution& convolution, const at::Tensor& input);

/// Maximum over each window; what lies outside the map does not count.
at::Tensor max_pool(const Window& window, const at::Tensor& input);

/// Floating point operations (2 per multiply-add) of a convolution that makes a map of height x width cells.
double convolution_flops(const Convolution& convolution, std::int64_t height, std::int64_t width);

}  // namespace outsole::features
