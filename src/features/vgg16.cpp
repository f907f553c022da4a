// VGG-16 (Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015). Stages
// have the authors' names: relu3_1 is the first convolution after the second pool, with its ReLU.

#include "features/kinds.h"

namespace outsole::features {
namespace {

constexpr std::int64_t kConvolutions[] = {2, 2, 3, 3, 3}, kStageChannels[] = {64, 128, 256, 512, 512};

}  // namespace

std::vector<Stage> vgg16_stages(const Convention& convention) {
  std::vector<Stage> stages;
  std::int64_t place = 0;  // in torchvision's list of features, which counts ReLUs and pools too
  for (std::int64_t block = 1; block <= 5; ++block) {
    for (std::int64_t i = 1; i <= kConvolutions[block - 1]; ++i) {
      const std::string number = std::to_string(block) + "_" + std::to_string(i);
      const ConvolutionLayer convolution = {.name = "features." + std::to_string(place),
                                            .channels = kStageChannels[block - 1],
                                            .window = {.kernel = 3, .padding = 1},
                                            .bias = true};
      stages.push_back({"conv" + number, {convolution}});
      stages.push_back({"relu" + number, {ReluLayer{}}});
      place += 2;
    }
    stages.push_back({"pool" + std::to_string(block),
                      {MaxPoolLayer{{.kernel = 2, .stride = 2, .ceil_mode = convention.pools_ceil}}}});
    place += 1;
  }
  return stages;
}

}  // namespace outsole::features
