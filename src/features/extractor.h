#pragma once
// Extractors turn grey images into feature maps. Builds with LibTorch and a compiler alone.

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "features/network.h"

namespace outsole::features {

/// What an extractor is made from; kept in an index so that marks are seen as its exemplars were.
struct ExtractorSpec {
  std::string kind = "scattering";           // pixels | scattering | NETWORK:STAGE, as in resnet50:res2b
  std::string weights_path = {};             // safetensors; only networks
  std::string weights_convention = "caffe";  // name of a Convention: how the weights were trained and stored
  double mean_grey = 0;                      // 0..255, mean pixel of the exemplar set, which some conventions subtract
  /// The network itself, as an index keeps it: then `kind` and `weights_convention` only name it.
  std::optional<Network> network = {};
};

/// An extractor: immutable, one forward pass per call, no gradient. Calls from several threads are allowed.
class Extractor {
 public:
  virtual ~Extractor() = default;

  virtual MapGeometry geometry() const = 0;

  /// Rows or columns of the map of an image so many pixels high or wide; 0 when the image is too small.
  virtual std::int64_t map_length(std::int64_t length_px) const = 0;

  /// [N, H, W] float32 grey values 0..255 -> [N, C, map_length(H), map_length(W)] float32, on the images' device.
  /// On the CPU an image gives the same bits whatever else is in the batch and however many threads there are; threads
  /// share out the images of a batch, so hand over many at once. Edges: networks pad as they were trained, scattering
  /// continues the image by replication. Throws Bug when the images are too small or of another type.
  virtual at::Tensor extract(const at::Tensor& images) const = 0;

  /// The maps of one image as extract gives them, [1, 1, H, W] -> [1, C, h, w], in the image's floating type, and so
  /// that they can be differentiated if the image requires its gradient.
  virtual at::Tensor forward(const at::Tensor& image) const = 0;

  /// The tensors that were read from the weights file; none without weights.
  virtual std::vector<WeightTensor> weights() const { return {}; }

  /// Floating point operations (2 per multiply-add) of one image; for plans and benchmarks.
  virtual double flops(std::int64_t height_px, std::int64_t width_px) const = 0;

  /// Copies the weights to a device.
  virtual void to(const at::Device& device) = 0;
};

/// Makes the extractor that `spec` names. Throws UsageError for an unknown kind, stage or convention (naming the known
/// ones) or a missing weights path, DataError naming file and tensor when the weights do not hold what the stage needs.
std::unique_ptr<Extractor> make_extractor(const ExtractorSpec& spec);

/// The network that `spec` holds, or that its `kind` and `weights_convention` name; none for a kind without weights.
/// Throws UsageError as make_extractor does.
std::optional<Network> find_network(const ExtractorSpec& spec);

/// Every kind with a line of description, for help texts.
std::vector<std::pair<std::string, std::string>> extractor_kinds();

}  // namespace outsole::features
