// ResNet-18 (He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016). Stages have torchvision's
// names: layer2.1 is the second unit of the second layer.

#include "features/kinds.h"

namespace outsole::features {
namespace {

constexpr std::int64_t kUnitsOfALayer = 2;

/// Two 3x3 convolutions, added to their input, which is projected where the first unit of a layer halves the map.
std::vector<Layer> basic_unit(const Convention& convention, const std::string& name, std::int64_t channels,
                              std::int64_t stride) {
  const auto convolution = [&](const char* number, std::int64_t own_stride) {
    return normed_convolution(convention, name + ".conv" + number, name + ".bn" + number, channels,
                              {.kernel = 3, .stride = own_stride, .padding = 1});
  };
  ResidualLayer sum = {{convolution("1", stride), ReluLayer{}, convolution("2", 1)}};
  if (stride > 1) {
    sum.shortcut = {
        normed_convolution(convention, name + ".downsample.0", name + ".downsample.1", channels, {.stride = stride})};
  }
  return {sum, ReluLayer{}};
}

}  // namespace

std::vector<Stage> resnet18_stages(const Convention& convention) {
  std::vector<Stage> stages = residual_stem(convention);
  for (std::int64_t layer = 1; layer <= 4; ++layer) {
    for (std::int64_t unit = 0; unit < kUnitsOfALayer; ++unit) {
      const std::string name = "layer" + std::to_string(layer) + "." + std::to_string(unit);
      const std::int64_t channels = std::int64_t{32} << layer, stride = layer > 1 && unit == 0 ? 2 : 1;
      stages.push_back({name, basic_unit(convention, name, channels, stride)});
    }
  }
  return stages;
}

}  // namespace outsole::features
