// GoogLeNet (Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going deeper with convolutions,
// CVPR 2015). Stages have Caffe's names; inception_3a is the first inception module. As published it has biases and
// response norms and its third branch a 5x5 kernel; torchvision's has batch norms, and there a 3x3 kernel.

#include "features/kinds.h"

namespace outsole::features {
namespace {

/// A convolution with its ReLU; of torchvision's names its own is NAME.conv.
std::vector<Layer> convolution(const Convention& convention, const std::string& name, std::int64_t channels,
                               const Window& window) {
  const bool has_batch_norm = !convention.response_norm && !convention.batch_norm_folded;
  return {ConvolutionLayer{.name = name + ".conv",
                           .channels = channels,
                           .window = window,
                           .bias = !has_batch_norm,
                           .batch_norm = has_batch_norm ? name + ".bn" : "",
                           .batch_norm_epsilon = 1e-3},
          ReluLayer{}};
}

/// What the branches of an inception module make, in its order.
struct Inception {
  std::string name;  // "3a"
  std::int64_t direct, reduced_3x3, of_3x3, reduced_5x5, of_5x5, pooled;
};

std::vector<Layer> inception(const Convention& convention, const Inception& module) {
  const std::string name = "inception" + module.name + ".branch";
  const auto branch = [&](const std::string& number, std::int64_t channels, std::int64_t kernel = 1) {
    return convolution(convention, name + number, channels, {.kernel = kernel, .padding = kernel / 2});
  };
  const auto after = [](std::vector<Layer> first, const std::vector<Layer>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  };
  const std::int64_t third_kernel = convention.response_norm ? 5 : 3;
  return {ConcatLayer{{branch("1", module.direct),
                       after(branch("2.0", module.reduced_3x3), branch("2.1", module.of_3x3, 3)),
                       after(branch("3.0", module.reduced_5x5), branch("3.1", module.of_5x5, third_kernel)),
                       after({MaxPoolLayer{{.kernel = 3, .padding = 1}}}, branch("4.1", module.pooled))}}};
}

}  // namespace

std::vector<Stage> googlenet_stages(const Convention& convention) {
  const auto halving = [](std::int64_t kernel) -> std::vector<Layer> {
    return {MaxPoolLayer{{.kernel = kernel, .stride = 2, .ceil_mode = true}}};
  };
  std::vector<Stage> stages;
  const auto add_norm = [&](const std::string& name) {
    if (convention.response_norm) stages.push_back({name, {ResponseNormLayer{}}});
  };
  stages.push_back({"conv1", convolution(convention, "conv1", 64, {.kernel = 7, .stride = 2, .padding = 3})});
  stages.push_back({"pool1", halving(3)});
  add_norm("norm1");
  stages.push_back({"conv2_reduce", convolution(convention, "conv2", 64, {})});
  stages.push_back({"conv2", convolution(convention, "conv3", 192, {.kernel = 3, .padding = 1})});
  add_norm("norm2");
  stages.push_back({"pool2", halving(3)});
  const auto add_inceptions = [&](const std::vector<Inception>& modules) {
    for (const Inception& module : modules)
      stages.push_back({"inception_" + module.name, inception(convention, module)});
  };
  add_inceptions({{"3a", 64, 96, 128, 16, 32, 32}, {"3b", 128, 128, 192, 32, 96, 64}});
  stages.push_back({"pool3", halving(3)});
  add_inceptions({{"4a", 192, 96, 208, 16, 48, 64},
                  {"4b", 160, 112, 224, 24, 64, 64},
                  {"4c", 128, 128, 256, 24, 64, 64},
                  {"4d", 112, 144, 288, 32, 64, 64},
                  {"4e", 256, 160, 320, 32, 128, 128}});
  stages.push_back({"pool4", halving(convention.response_norm ? 3 : 2)});
  add_inceptions({{"5a", 256, 160, 320, 32, 128, 128}, {"5b", 384, 192, 384, 48, 128, 128}});
  return stages;
}

Convention googlenet_convention(Convention convention) {
  if (convention.subtracts_exemplars_mean) return convention;
  convention.mean_rgb = convention.deviation_rgb = {0.5, 0.5, 0.5};
  return convention;
}

}  // namespace outsole::features
