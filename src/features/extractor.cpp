#include "features/extractor.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "core/errors.h"
#include "features/kinds.h"

namespace outsole::features {
namespace {

struct Kind {
  std::string name;
  std::string description;
  std::vector<std::string> stages;  // of a network, which needs weights; empty: no network
  std::unique_ptr<Extractor> (*make)(const ExtractorSpec& spec, const std::string& stage);
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"pixels", "the image itself: 1 channel, stride 1", {}, make_pixels},
      {"scattering", "wavelet scattering transform, J = 2, L = 8: 81 channels, stride 4", {}, make_scattering},
      {"resnet50", "ResNet-50 after a residual unit: 256, 512, 1024 or 2048 channels, stride 4, 8, 16 or 32",
       resnet50_stages(), make_resnet50},
  };
  return all;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Insertions, deletions and replacements that turn `a` into `b` (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

/// Index of `name` in `names`; throws UsageError with the nearest and all of them when it is none.
std::size_t find_name(const std::string& what, const std::string& name, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const auto nearest = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return edit_distance(a, name) < edit_distance(b, name);
  });
  throw UsageError("unknown " + what + " '" + name + "'; did you mean '" + *nearest + "'? Known: " + joined(names));
}

const Kind& find_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.push_back(kind.name);
  return kinds()[find_name("extractor", name, names)];
}

void check_network(const Kind& kind, const std::string& stage, const ExtractorSpec& spec) {
  find_name("stage of " + kind.name, stage, kind.stages);
  find_name("weights convention", spec.weights_convention, {"caffe", "torchvision"});
  if (spec.weights_path.empty()) throw UsageError("extractor '" + spec.kind + "' needs a weights file (safetensors)");
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

std::unique_ptr<Extractor> make_extractor(const ExtractorSpec& spec) {
  const std::size_t colon = spec.kind.find(':');
  const Kind& kind = find_kind(spec.kind.substr(0, colon));
  const std::string stage = colon == std::string::npos ? "" : spec.kind.substr(colon + 1);
  if (!kind.stages.empty()) {
    check_network(kind, stage, spec);
  } else if (colon != std::string::npos) {
    throw UsageError("extractor '" + spec.kind + "': '" + kind.name + "' has no stages");
  } else if (!spec.weights_path.empty()) {
    throw UsageError("extractor '" + kind.name + "' takes no weights, but '" + spec.weights_path + "' was given");
  }
  return kind.make(spec, stage);
}

std::vector<std::pair<std::string, std::string>> extractor_kinds() {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Kind& kind : kinds()) {
    if (kind.stages.empty()) {
      lines.emplace_back(kind.name, kind.description);
    } else {
      lines.emplace_back(kind.name + ":STAGE", kind.description + "; STAGE: " + joined(kind.stages));
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
    const at::NoGradGuard no_grad;
    for (std::int64_t i = begin; i < end; ++i) {
      maps[i].copy_(forward(images[i].view({1, 1, images.size(1), images.size(2)}))[0]);
    }
  });
  return maps;
}

}  // namespace outsole::features
