#pragma once
// Networks as plain data: a list of layers, how the weights were trained, and what follows from both without evaluating
// anything.

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace outsole::features {

/// Where the cells of a feature map lie on the image, in half pixels, in which windows of even size have whole centres
/// too: the centre of cell (k, l) is (first_center_half_px + 2 k stride_px, first_center_half_px + 2 l stride_px) half
/// pixels from the middle of the first pixel. Where that is odd, it lies between two pixels.
struct MapGeometry {
  std::int64_t channels = 0;
  std::int64_t stride_px = 1;
  std::int64_t first_center_half_px = 0;

  bool operator==(const MapGeometry&) const = default;
};

/// A square window that slides over a map, the same along both axes.
struct Window {
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  bool ceil_mode = false;  // as Caffe pools: the last window may reach beyond the padded map; not for convolutions

  /// Cells along an axis of `length` cells; 0 when no window fits.
  std::int64_t output_length(std::int64_t length) const;
};

struct Layer;

/// Zero padding. Reads NAME.weight, NAME.bias if it has a bias, and the four tensors of its batch norm, if any.
struct ConvolutionLayer {
  std::string name;
  std::int64_t channels = 0;  // that it makes
  Window window = {};
  bool bias = false;
  std::string batch_norm = {};  // name of the batch norm that follows it; empty: none
  double batch_norm_epsilon = 1e-5;
};

struct ReluLayer {};

/// Maximum over each window; what lies outside the map does not count.
struct MaxPoolLayer {
  Window window = {};
};

/// Mean over each window; the padding counts as zeros.
struct AveragePoolLayer {
  Window window = {};
};

/// x / (k + alpha / channels * sum of x^2 over as many neighbouring channels)^beta (Krizhevsky, Sutskever, Hinton:
/// ImageNet classification with deep convolutional neural networks, 2012, with Caffe's alpha).
struct ResponseNormLayer {
  std::int64_t channels = 5;
  double alpha = 1e-4, beta = 0.75, k = 1;
};

/// The sum of two branches that see the same map. An empty shortcut is the map itself; the residual is never empty.
struct ResidualLayer {
  std::vector<Layer> residual;
  std::vector<Layer> shortcut = {};
};

/// The maps of branches that see the same map, channels one after another.
struct ConcatLayer {
  std::vector<std::vector<Layer>> branches;
};

struct Layer : std::variant<ConvolutionLayer, ReluLayer, MaxPoolLayer, AveragePoolLayer, ResponseNormLayer,
                            ResidualLayer, ConcatLayer> {
  using variant::variant;
};

/// How a network expects its input, and where implementations of one architecture differ.
struct Convention {
  std::string name;
  // The input has three equal planes of grey values 0..255, divided by `divisor`, less the mean of each plane, divided
  // by its deviation.
  double divisor = 1;
  bool subtracts_exemplars_mean = true;  // the exemplar set's mean grey, from every plane; otherwise `mean_rgb`
  std::array<double, 3> mean_rgb = {};
  std::array<double, 3> deviation_rgb = {1, 1, 1};
  bool planes_are_bgr = false;
  // The layers.
  bool pools_unpadded = true;      // the pool after the first convolution of a residual network, else padded by 1
  bool pools_ceil = true;          // wherever implementations differ: the last window may reach beyond the map
  bool strides_first = true;       // a bottleneck that halves does so in its first 1x1 convolution, else in its 3x3
  bool batch_norm_folded = false;  // batch norm was folded into the convolutions, which have biases for it
  bool response_norm = true;       // as networks older than batch norm were published: normalization across channels
};

/// caffe (the authors' own weights of most networks), torchvision, torchvision-folded.
const std::vector<Convention>& conventions();

/// Throws UsageError naming the nearest and all known ones.
const Convention& convention_named(const std::string& name);

/// A network up to the map that is wanted. Its first layer is a convolution.
struct Network {
  Convention convention;
  std::vector<Layer> layers;
};

/// A place in a network where its map can be taken, and the layers that lead to it from the stage before.
struct Stage {
  std::string name;
  std::vector<Layer> layers;
};

struct WeightTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// A convolution and the channels of the map it sees.
struct PlacedConvolution {
  ConvolutionLayer layer;
  std::int64_t channels_in = 0;

  std::vector<WeightTensor> tensors() const;
};

/// A map, and what made it.
struct Derived {
  MapGeometry geometry;
  std::int64_t height = 0, width = 0;                // cells; 0: the image is too small
  double flops = 0;                                  // of all convolutions, 2 per multiply-add
  std::vector<PlacedConvolution> convolutions = {};  // in the order of their evaluation
};

/// What becomes of `map` on its way through the layers. Throws DataError when the layers do not fit each other.
Derived derive(const std::vector<Layer>& layers, Derived map);

/// Whether all planes of the network's input are equal, so that one will do for a first convolution whose kernels are
/// added up.
bool has_equal_planes(const Convention& convention);

/// A convolution with the batch norm that follows it, in the form that the convention's weights have.
ConvolutionLayer normed_convolution(const Convention& convention, const std::string& name,
                                    const std::string& batch_norm, std::int64_t channels, const Window& window);

/// conv1 and pool1 of a residual network: 7x7 convolution and 3x3 maximum, both with stride 2.
std::vector<Stage> residual_stem(const Convention& convention);

}  // namespace outsole::features
