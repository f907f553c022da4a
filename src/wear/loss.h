#pragma once
// What training lessens.

#include <torch/types.h>

#include "wear/halo.h"

namespace outsole::wear {

// Of all: tensors are [N, 1, H, W]; `known` is 1 where the target's scan shows the outsole, else 0. `known_pixels`
// is the sum of `known` over the whole batch, on all ranks, so that the ranks' losses and gradients add up. With a team
// the tensors are the rows of this rank's slab, and what they give is its part.

/// Mean over the known pixels of the squared difference: sum(known (predicted - target)^2) / known_pixels. Up to a
/// factor this is the batch's mean of ||H(F(X) ++ G(dt)) - Y||^2.
torch::Tensor squared_error(const torch::Tensor& predicted, const torch::Tensor& target, const torch::Tensor& known,
                            double known_pixels);

/// Mean over the known pixels of 1 - structural similarity, which is what `measure::structural_similarity` defines
/// (Wang et al. 2004, eq. 13; grey in [0, 1], unknown pixels are paper in both images, windows see the image mirrored
/// at its edges). Sides must be at least 6 px. Collective within the team, as is the gradient.
torch::Tensor structural_dissimilarity(const torch::Tensor& predicted, const torch::Tensor& target,
                                       const torch::Tensor& known, double known_pixels, ImageTeam* team = nullptr);

/// Images mirrored at their edges by 5 pixels, [N, 1, H + 10, W + 10], with the same gradient, bit for bit, every time
/// and on every device.
torch::Tensor mirrored_edges(const torch::Tensor& images);

struct Loss {
  torch::Tensor squared_error;
  torch::Tensor lessened;  // what training goes down: squared_error + ssim_weight structural_dissimilarity
};

/// Both at once. With a weight of 0 they are one tensor.
Loss training_loss(const torch::Tensor& predicted, const torch::Tensor& target, const torch::Tensor& known,
                   double known_pixels, double ssim_weight, ImageTeam* team = nullptr);

}  // namespace outsole::wear
