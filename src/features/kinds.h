#pragma once
// What the kinds of extractors share, and how each is made. A new network is one source file that lists its layers, its
// declaration here, and one line in extractor.cpp.

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "features/extractor.h"
#include "features/network.h"

namespace outsole::features {

std::unique_ptr<Extractor> make_pixels();
std::unique_ptr<Extractor> make_scattering();

/// Reads the weights and evaluates the layers. Throws DataError as load_convolution and derive do.
std::unique_ptr<Extractor> make_network(Network network, const std::string& weights_path, double mean_grey);

// The stages of each network, from the image on.
std::vector<Stage> resnet50_stages(const Convention& convention);
std::vector<Stage> resnet18_stages(const Convention& convention);
std::vector<Stage> vgg16_stages(const Convention& convention);
std::vector<Stage> squeezenet_stages(const Convention& convention);
std::vector<Stage> googlenet_stages(const Convention& convention);

/// The convention as GoogLeNet's weights follow it: torchvision's expect grey from -1 to 1.
Convention googlenet_convention(Convention convention);

/// Runs `forward`, [1, 1, H, W] -> [1, C, h, w], without gradient on each image of [N, H, W] by itself, on the CPU each
/// image in one thread and several images at once: BLAS and oneDNN change the last bits of a result with the batch's
/// size and the number of threads, and an index must depend on neither. Throws Bug unless the images are float32 and
/// large enough for `extractor`.
at::Tensor extract_each(const Extractor& extractor, const at::Tensor& images,
                        const std::function<at::Tensor(const at::Tensor&)>& forward);

}  // namespace outsole::features
