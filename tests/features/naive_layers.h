#pragma once
// The layers of networks as plain loops in double precision.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "features/weights_fixture.h"

namespace outsole::features {

/// A map in double precision, [C][H][W].
struct Map {
  std::int64_t channels = 0, height = 0, width = 0;
  std::vector<double> values;

  Map(std::int64_t c, std::int64_t h, std::int64_t w) : channels(c), height(h), width(w), values(c * h * w) {}
  double& at(std::int64_t c, std::int64_t y, std::int64_t x) { return values[(c * height + y) * width + x]; }
  double at(std::int64_t c, std::int64_t y, std::int64_t x) const { return values[(c * height + y) * width + x]; }
  double or_zero(std::int64_t c, std::int64_t y, std::int64_t x) const {
    return c < 0 || c >= channels || y < 0 || y >= height || x < 0 || x >= width ? 0 : at(c, y, x);
  }
};

using TensorsByName = std::map<std::string, const NamedTensor*>;

inline TensorsByName by_name(const std::vector<NamedTensor>& tensors) {
  TensorsByName named;
  for (const NamedTensor& tensor : tensors) named[tensor.name] = &tensor;
  return named;
}

/// The grey image, less a mean, in three planes.
inline Map grey_planes(const at::Tensor& image, double mean_grey) {
  Map planes(3, image.size(0), image.size(1));
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = 0; y < planes.height; ++y) {
      for (std::int64_t x = 0; x < planes.width; ++x) planes.at(c, y, x) = image[y][x].item<double>() - mean_grey;
    }
  }
  return planes;
}

/// Without bias.
inline Map naive_convolution(const Map& in, const NamedTensor& kernel, std::int64_t stride, std::int64_t pad) {
  const std::int64_t side = kernel.shape[2];
  Map out(kernel.shape[0], (in.height + 2 * pad - side) / stride + 1, (in.width + 2 * pad - side) / stride + 1);
  for (std::int64_t o = 0; o < out.channels; ++o) {
    for (std::int64_t y = 0; y < out.height; ++y) {
      for (std::int64_t x = 0; x < out.width; ++x) {
        double sum = 0;
        for (std::int64_t i = 0; i < in.channels; ++i) {
          for (std::int64_t v = 0; v < side; ++v) {
            for (std::int64_t u = 0; u < side; ++u) {
              sum += kernel.values[((o * in.channels + i) * side + v) * side + u] *
                     in.or_zero(i, y * stride + v - pad, x * stride + u - pad);
            }
          }
        }
        out.at(o, y, x) = sum;
      }
    }
  }
  return out;
}

inline Map add_bias(Map map, const NamedTensor& bias) {
  for (std::int64_t i = 0; i < std::ssize(map.values); ++i) {
    map.values[i] += bias.values[i / (map.height * map.width)];
  }
  return map;
}

inline Map batch_norm(Map map, const TensorsByName& tensors, const std::string& name, double epsilon = 1e-5) {
  for (std::int64_t i = 0; i < std::ssize(map.values); ++i) {
    const auto statistic = [&](const char* part) -> double {
      return tensors.at(name + part)->values[i / (map.height * map.width)];
    };
    const double gain = statistic(".weight") / std::sqrt(statistic(".running_var") + epsilon);
    map.values[i] = (map.values[i] - statistic(".running_mean")) * gain + statistic(".bias");
  }
  return map;
}

inline Map relu(Map map) {
  for (double& value : map.values) value = std::max(value, 0.);
  return map;
}

inline std::int64_t pooled_length(std::int64_t cells, std::int64_t side, std::int64_t stride, std::int64_t pad,
                                  bool ceil_mode) {
  const double steps = static_cast<double>(cells + 2 * pad - side) / static_cast<double>(stride);
  auto windows = static_cast<std::int64_t>(ceil_mode ? std::ceil(steps) : std::floor(steps)) + 1;
  if ((windows - 1) * stride >= cells + pad) --windows;  // a window begins within the map or its left padding
  return windows;
}

inline Map naive_max_pool(const Map& in, std::int64_t side, std::int64_t stride, std::int64_t pad, bool ceil_mode) {
  Map out(in.channels, pooled_length(in.height, side, stride, pad, ceil_mode),
          pooled_length(in.width, side, stride, pad, ceil_mode));
  for (std::int64_t c = 0; c < in.channels; ++c) {
    for (std::int64_t y = 0; y < out.height; ++y) {
      for (std::int64_t x = 0; x < out.width; ++x) {
        double most = -std::numeric_limits<double>::infinity();
        for (std::int64_t row = std::max<std::int64_t>(0, stride * y - pad);
             row < std::min(in.height, stride * y - pad + side); ++row) {
          for (std::int64_t column = std::max<std::int64_t>(0, stride * x - pad);
               column < std::min(in.width, stride * x - pad + side); ++column) {
            most = std::max(most, in.at(c, row, column));
          }
        }
        out.at(c, y, x) = most;
      }
    }
  }
  return out;
}

/// Whole windows only; the padding counts as zeros.
inline Map naive_average_pool(const Map& in, std::int64_t side, std::int64_t stride, std::int64_t pad) {
  Map out(in.channels, pooled_length(in.height, side, stride, pad, false),
          pooled_length(in.width, side, stride, pad, false));
  for (std::int64_t c = 0; c < in.channels; ++c) {
    for (std::int64_t y = 0; y < out.height; ++y) {
      for (std::int64_t x = 0; x < out.width; ++x) {
        for (std::int64_t v = 0; v < side; ++v) {
          for (std::int64_t u = 0; u < side; ++u) {
            out.at(c, y, x) +=
                in.or_zero(c, stride * y + v - pad, stride * x + u - pad) / static_cast<double>(side * side);
          }
        }
      }
    }
  }
  return out;
}

inline Map naive_response_norm(const Map& in, std::int64_t channels, double alpha, double beta, double k) {
  Map out = in;
  for (std::int64_t c = 0; c < in.channels; ++c) {
    for (std::int64_t y = 0; y < in.height; ++y) {
      for (std::int64_t x = 0; x < in.width; ++x) {
        double squares = 0;
        for (std::int64_t i = c - channels / 2; i < c - channels / 2 + channels; ++i) {
          squares += in.or_zero(i, y, x) * in.or_zero(i, y, x);
        }
        out.at(c, y, x) = in.at(c, y, x) / std::pow(k + alpha / static_cast<double>(channels) * squares, beta);
      }
    }
  }
  return out;
}

inline Map sum(Map a, const Map& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] += b.values[i];
  return a;
}

inline Map concatenated(const std::vector<Map>& maps) {
  Map all(0, maps.front().height, maps.front().width);
  for (const Map& map : maps) {
    all.channels += map.channels;
    all.values.insert(all.values.end(), map.values.begin(), map.values.end());
  }
  return all;
}

/// Largest difference of `map` [C, H, W] from `expected`, over the largest value; infinite when sizes differ.
inline double relative_error(const at::Tensor& map, const Map& expected) {
  if (map.sizes() != at::IntArrayRef({expected.channels, expected.height, expected.width})) {
    return std::numeric_limits<double>::infinity();
  }
  const at::Tensor wanted = at::tensor(expected.values, at::kDouble).view(map.sizes());
  return (map.to(at::kDouble) - wanted).abs().max().item<double>() / wanted.abs().max().item<double>();
}

/// The share of values above zero: a comparison of maps shows nothing where all is dead.
inline double alive(const Map& map) {
  const auto above = std::count_if(map.values.begin(), map.values.end(), [](double value) { return value > 0; });
  return static_cast<double>(above) / static_cast<double>(map.values.size());
}

}  // namespace outsole::features
