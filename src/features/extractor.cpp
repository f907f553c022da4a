#include "features/extractor.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <omp.h>

#include "core/errors.h"
#include "features/kinds.h"
#include "features/names.h"

namespace outsole::features {
namespace {

struct Kind {
  std::string name;
  std::string description;
  std::unique_ptr<Extractor> (*make)() = nullptr;                        // of a kind without weights
  std::vector<Stage> (*stages)(const Convention& convention) = nullptr;  // of a network
  Convention (*own_convention)(Convention convention) = nullptr;         // where its weights expect another input
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"pixels", "the image itself: 1 channel, stride 1", make_pixels},
      {"scattering", "wavelet scattering transform, J = 2, L = 8: 81 channels, stride 4", make_scattering},
      {"resnet50", "ResNet-50 after a residual unit: 256, 512, 1024 or 2048 channels, stride 4, 8, 16 or 32", nullptr,
       resnet50_stages},
      {"resnet18", "ResNet-18 after a residual unit: 64, 128, 256 or 512 channels, stride 4, 8, 16 or 32", nullptr,
       resnet18_stages},
      {"vgg16", "VGG-16: 64 to 512 channels, stride 1 to 32", nullptr, vgg16_stages},
      {"squeezenet", "SqueezeNet 1.1: 64 to 512 channels, stride 2 to 16", nullptr, squeezenet_stages},
      {"googlenet", "GoogLeNet: 64 to 1024 channels, stride 2 to 32", nullptr, googlenet_stages, googlenet_convention},
  };
  return all;
}

std::vector<std::string> names_of(const std::vector<Stage>& stages) {
  std::vector<std::string> names;
  for (const Stage& stage : stages) names.push_back(stage.name);
  return names;
}

/// NAME[:STAGE] taken apart.
struct KindAndStage {
  const Kind& kind;
  std::optional<std::string> stage;
};

KindAndStage parse_kind(const std::string& text) {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.push_back(kind.name);
  const std::size_t colon = text.find(':');
  const Kind& kind = kinds()[find_name("extractor", text.substr(0, colon), names)];
  if (colon == std::string::npos) return {kind, std::nullopt};
  if (kind.stages == nullptr) throw UsageError("extractor '" + text + "': '" + kind.name + "' has no stages");
  return {kind, text.substr(colon + 1)};
}

/// While it lives, parallel regions that the calling thread opens have one thread.
class OneThread {
 public:
  OneThread() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(threads_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_;
};

}  // namespace

std::optional<Network> find_network(const ExtractorSpec& spec) {
  if (spec.network) return spec.network;
  const auto [kind, stage] = parse_kind(spec.kind);
  if (kind.stages == nullptr) return std::nullopt;
  Network network = {convention_named(spec.weights_convention), {}};
  if (kind.own_convention != nullptr) network.convention = kind.own_convention(network.convention);
  const std::vector<Stage> stages = kind.stages(network.convention);
  const std::size_t last = find_name("stage of " + kind.name, stage.value_or(""), names_of(stages));
  for (std::size_t i = 0; i <= last; ++i) {
    network.layers.insert(network.layers.end(), stages[i].layers.begin(), stages[i].layers.end());
  }
  return network;
}

std::unique_ptr<Extractor> make_extractor(const ExtractorSpec& spec) {
  if (const std::optional<Network> network = find_network(spec)) {
    if (spec.weights_path.empty()) throw UsageError("extractor '" + spec.kind + "' needs a weights file (safetensors)");
    return make_network(*network, spec.weights_path, spec.mean_grey);
  }
  if (!spec.weights_path.empty()) {
    throw UsageError("extractor '" + spec.kind + "' takes no weights, but '" + spec.weights_path + "' was given");
  }
  return parse_kind(spec.kind).kind.make();
}

std::vector<std::pair<std::string, std::string>> extractor_kinds() {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Kind& kind : kinds()) {
    if (kind.stages == nullptr) {
      lines.emplace_back(kind.name, kind.description);
    } else {
      const std::vector<std::string> stages = names_of(kind.stages(conventions().front()));
      lines.emplace_back(kind.name + ":STAGE", kind.description + "; STAGE: " + joined(stages));
    }
  }
  return lines;
}

at::Tensor extract_each(const Extractor& extractor, const at::Tensor& images,
                        const std::function<at::Tensor(const at::Tensor&)>& forward) {
  ensure(images.dim() == 3 && images.scalar_type() == at::kFloat, "images are [N, H, W] float32");
  const std::int64_t height = extractor.map_length(images.size(1)), width = extractor.map_length(images.size(2));
  ensure(height > 0 && width > 0, "images are large enough for the extractor");
  at::Tensor maps = at::empty({images.size(0), extractor.geometry().channels, height, width}, images.options());
  const std::int64_t images_per_thread_min = images.is_cpu() ? 1 : images.size(0);
  at::parallel_for(0, images.size(0), images_per_thread_min, [&](std::int64_t begin, std::int64_t end) {
    const OneThread one_thread;
    const c10::NoGradGuard no_grad;
    for (std::int64_t i = begin; i < end; ++i) {
      maps[i].copy_(forward(images[i].view({1, 1, images.size(1), images.size(2)}))[0]);
    }
  });
  return maps;
}

}  // namespace outsole::features
