#pragma once
// The autoencoder that learns wear: encoder F, time branch G, decoder H; the prediction is H(F(x) ++ G(time)).
//
// F: five convolutions to 32, 64, 128, 256, 512 maps, each halving the size, ReLU. G: two fully connected layers from
// the time input to `time_maps` maps of the size F ends with. H: five transposed convolutions back, ReLU, the last one
// a sigmoid. Kernel 4, stride 2, padding 1 throughout, so that every layer halves or doubles exactly.
//
// That is the paper's network: all it knows of x has gone through the smallest maps, so it has to draw the outsole from
// memory. The residual network, of the same tensors, learns the change instead: every layer of H adds what F had at
// that size, the last one the logit of x itself.

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "wear/time_encoding.h"

namespace outsole::wear {

/// What the decoder adds to: nothing, or the encoder's maps and the image.
enum class NetworkKind { kPaper, kResidual };

std::string name_of(NetworkKind kind);
/// "paper" or "residual"; throws UsageError naming them for another word.
NetworkKind parse_network_kind(const std::string& text);

/// What decides a network's tensors and what it makes of them.
struct NetworkShape {
  Task task = Task::kPrediction;
  std::int64_t height_px = 0, width_px = 0;  // of the images; padded inside to multiples of 32
  std::int64_t time_hidden = 64;             // width of G's first layer
  std::int64_t time_maps = 8;  // maps that G gives; its second layer has time_hidden x time_maps x cells weights
  NetworkKind kind = NetworkKind::kPaper;
  std::int64_t first_maps = 32;  // of F's first layer; each further one has twice as many
  bool operator==(const NetworkShape&) const = default;
};

/// The network pads sides to multiples of this.
inline constexpr std::int64_t kSizeStep = 32;
/// Layers of the encoder, and of the decoder.
inline constexpr int kLayers = 5;

/// Maps after each layer of the encoder: 32, 64, 128, 256, 512 for first_maps = 32.
std::array<std::int64_t, kLayers> encoder_maps(const NetworkShape& shape);
/// Maps after each layer of the decoder: 256, 128, 64, 32, 1.
std::array<std::int64_t, kLayers> decoder_maps(const NetworkShape& shape);

/// Numbers in all tensors together.
std::int64_t weight_count(const NetworkShape& shape);

class WearNetwork : public torch::nn::Module {
 public:
  /// Random weights that keep the variance of what passes through (He et al. 2015), from `seed` alone; reseeds
  /// LibTorch's generator. A residual network's last layer starts near zero: at first it gives its input back. Throws
  /// UsageError for a size below 32 px a side or a time branch without width.
  WearNetwork(const NetworkShape& shape, std::uint64_t seed);

  const NetworkShape& shape() const { return shape_; }

  /// x [N, 1, height, width] in [0, 1] (1 is paper), time [N, time_inputs(task)] -> [N, 1, height, width] in (0, 1).
  /// Images whose sides are no multiples of 32 are padded with paper and the result is cropped. Throws Bug when the
  /// shapes do not fit.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& time);

  /// Floating point operations (2 per multiply-add) of the forward pass of one image; a training step costs three times
  /// that.
  double flops() const;

 private:
  NetworkShape shape_;
  std::vector<torch::nn::Conv2d> encoder_;
  torch::nn::Linear time_hidden_ = nullptr, time_maps_ = nullptr;
  std::vector<torch::nn::ConvTranspose2d> decoder_;  // hold the weights; computed by double_size
};

/// conv_transpose2d(x, weight, bias, stride 2, padding 1) for a kernel of 4: x [N, Cin, H, W],
/// weight [Cin, Cout, 4, 4], bias [Cout] -> [N, Cout, 2 H, 2 W]. On CPUs it runs as what it is, the adjoint of a
/// strided convolution, through oneDNN's kernels for gradients: LibTorch's own goes through a matrix of columns, slower
/// and with four times an image's output in memory. Its gradient cannot be differentiated again.
torch::Tensor double_size(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace outsole::wear
