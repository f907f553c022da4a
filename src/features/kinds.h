#pragma once
// What the kinds of extractors share, and how each is made. A new kind is one source file, one function here, and one
// line in extractor.cpp.

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "features/extractor.h"

namespace outsole::features {

std::unique_ptr<Extractor> make_pixels(const ExtractorSpec& spec, const std::string& stage);
std::unique_ptr<Extractor> make_scattering(const ExtractorSpec& spec, const std::string& stage);

/// res2a, res2b, ... res5c: Caffe's names of ResNet-50's residual units, in their order.
std::vector<std::string> resnet50_stages();
std::unique_ptr<Extractor> make_resnet50(const ExtractorSpec& spec, const std::string& stage);

/// Runs `forward`, [1, 1, H, W] -> [1, C, h, w], without gradient on each image of [N, H, W] by itself, on the CPU each
/// image in one thread and several images at once: BLAS and oneDNN change the last bits of a result with the batch's
/// size and the number of threads, and an index must depend on neither. Throws Bug unless the images are float32 and
/// large enough for `extractor`.
at::Tensor extract_each(const Extractor& extractor, const at::Tensor& images,
                        const std::function<at::Tensor(const at::Tensor&)>& forward);

}  // namespace outsole::features
