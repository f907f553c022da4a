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
#include <functional>
#include <string>
#include <vector>

#include "wear/halo.h"
#include "wear/slab.h"
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
  ///
  /// With a team, x and the result are the rows of this rank's slab: the same numbers as of the whole image, to
  /// rounding. Collective within the team, as is the gradient; the ranks' gradients of a parameter add up to that of
  /// the whole image.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& time, ImageTeam* team = nullptr);

  /// Adds the gradient of `loss_of(forward(x, time, team))`, one number, to the parameters and to x, if that wants one.
  /// It keeps few of the layers' maps and makes the others again in the backward pass: for the time of one forward
  /// pass more, about half the memory; the same bits as without. `loss_of` is called once.
  void add_gradients_recomputing(const torch::Tensor& x, const torch::Tensor& time, ImageTeam* team,
                                 const std::function<torch::Tensor(const torch::Tensor& predicted)>& loss_of);

  /// Floating point operations (2 per multiply-add) of the forward pass of one image; a training step costs three times
  /// that.
  double flops() const;

 private:
  /// How a pass computes: on whose rows, and whether by the functions that let go of what they no longer need.
  struct Pass {
    ImageTeam* team = nullptr;
    bool recomputes = false;
    bool is_split() const { return team != nullptr && team->is_split(); }
  };
  void check_inputs(const torch::Tensor& x, const torch::Tensor& time, const Pass& pass) const;
  comm::UnitRange rows(const Pass& pass) const;
  torch::Tensor padded(const torch::Tensor& x, const Pass& pass) const;
  torch::Tensor cropped(const torch::Tensor& y, const Pass& pass) const;
  torch::Tensor encoded(const torch::Tensor& maps, int layer, const Pass& pass);
  torch::Tensor with_time(const torch::Tensor& maps, const torch::Tensor& time, const Pass& pass);
  torch::Tensor maps_of_time(const torch::Tensor& time, std::int64_t height, std::int64_t width, const Pass& pass);
  torch::Tensor decoded(const torch::Tensor& maps, int layer, const torch::Tensor& added, const Pass& pass);
  static torch::Tensor rectified(torch::Tensor maps, const Pass& pass);
  torch::Tensor what_is_added(const torch::Tensor& maps) const;
  torch::Tensor image_added(const torch::Tensor& padded) const;

  NetworkShape shape_;
  std::vector<torch::nn::Conv2d> encoder_;
  torch::nn::Linear time_hidden_ = nullptr, time_maps_ = nullptr;
  std::vector<torch::nn::ConvTranspose2d> decoder_;  // hold the weights; computed by double_size
};

/// double_size of halo.h of a whole image; on GPUs and of a single map LibTorch's own.
torch::Tensor double_size(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace outsole::wear
