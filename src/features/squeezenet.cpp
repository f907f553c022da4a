// SqueezeNet 1.1 (Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet, arXiv:1602.07360). Stages have the
// authors' names; pools are named by the stage before them.

#include "features/kinds.h"

namespace outsole::features {
namespace {

Layer convolution(const std::string& name, std::int64_t channels, const Window& window) {
  return ConvolutionLayer{.name = name, .channels = channels, .window = window, .bias = true};
}

/// 1x1 convolutions to few channels, then 1x1 and 3x3 convolutions of those beside each other.
std::vector<Layer> fire(const std::string& name, std::int64_t squeezed, std::int64_t expanded) {
  const ConcatLayer expand = {{{convolution(name + ".expand1x1", expanded, {}), ReluLayer{}},
                               {convolution(name + ".expand3x3", expanded, {.kernel = 3, .padding = 1}), ReluLayer{}}}};
  return {convolution(name + ".squeeze", squeezed, {}), ReluLayer{}, expand};
}

}  // namespace

std::vector<Stage> squeezenet_stages(const Convention&) {
  const std::vector<Layer> pool = {MaxPoolLayer{{.kernel = 3, .stride = 2, .ceil_mode = true}}};
  return {{"conv1", {convolution("features.0", 64, {.kernel = 3, .stride = 2}), ReluLayer{}}},
          {"pool1", pool},
          {"fire2", fire("features.3", 16, 64)},
          {"fire3", fire("features.4", 16, 64)},
          {"pool3", pool},
          {"fire4", fire("features.6", 32, 128)},
          {"fire5", fire("features.7", 32, 128)},
          {"pool5", pool},
          {"fire6", fire("features.9", 48, 192)},
          {"fire7", fire("features.10", 48, 192)},
          {"fire8", fire("features.11", 64, 256)},
          {"fire9", fire("features.12", 64, 256)}};
}

}  // namespace outsole::features
