// ResNet-50 (He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016). Stages have Caffe's names.

#include "features/kinds.h"

namespace outsole::features {
namespace {

constexpr std::int64_t kUnits[] = {3, 4, 6, 3};

/// A bottleneck: 1x1 to fewer channels, 3x3, 1x1 to four times as many; added to its input, which is projected in a
/// layer's first unit. That unit also halves the map, but in layer 1: in its first convolution as the authors published
/// it, in its second in torchvision.
std::vector<Layer> bottleneck(const Convention& convention, std::int64_t layer, std::int64_t unit) {
  const std::string name = "layer" + std::to_string(layer) + "." + std::to_string(unit);
  const std::int64_t width = std::int64_t{32} << layer, stride = layer > 1 && unit == 0 ? 2 : 1;
  const std::int64_t first_stride = convention.strides_first ? stride : 1;
  const auto convolution = [&](const char* number, std::int64_t channels, const Window& window) {
    return normed_convolution(convention, name + ".conv" + number, name + ".bn" + number, channels, window);
  };
  ResidualLayer sum;
  sum.residual = {convolution("1", width, {.stride = first_stride}), ReluLayer{},
                  convolution("2", width, {.kernel = 3, .stride = stride / first_stride, .padding = 1}), ReluLayer{},
                  convolution("3", 4 * width, {})};
  if (unit == 0) {
    sum.shortcut = {
        normed_convolution(convention, name + ".downsample.0", name + ".downsample.1", 4 * width, {.stride = stride})};
  }
  return {sum, ReluLayer{}};
}

}  // namespace

std::vector<Stage> resnet50_stages(const Convention& convention) {
  std::vector<Stage> stages = residual_stem(convention);
  for (std::int64_t layer = 1; layer <= 4; ++layer) {
    for (std::int64_t unit = 0; unit < kUnits[layer - 1]; ++unit) {
      const char letter = static_cast<char>('a' + unit);
      stages.push_back({"res" + std::to_string(layer + 1) + letter, bottleneck(convention, layer, unit)});
    }
  }
  return stages;
}

}  // namespace outsole::features
