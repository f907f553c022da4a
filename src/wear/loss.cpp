#include "wear/loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/checked.h"

namespace outsole::wear {

namespace {

constexpr std::int64_t kReach = 5;  // of a window of 11 x 11
constexpr std::int64_t kBlock = 32;
constexpr double kSigma = 1.5;

/// [kBlock + 2 kReach, kBlock]: the window of each of the block's pixels.
at::Tensor window_of_block(const at::TensorOptions& options) {
  at::Tensor weights = (at::arange(-kReach, kReach + 1, options).square() / (-2 * kSigma * kSigma)).exp();
  weights = weights / weights.sum();
  const at::Tensor window = at::zeros({kBlock + 2 * kReach, kBlock}, options);
  for (std::int64_t i = 0; i < kBlock; ++i) window.select(1, i).narrow(0, i, 2 * kReach + 1).copy_(weights);
  return window;
}

/// Window means along the last dimension, which loses kReach at both ends: a matrix product a block of pixels, several
/// times as fast as LibTorch's convolutions of one map.
at::Tensor means_along_rows(const at::Tensor& images, const at::Tensor& window) {
  const std::int64_t length = images.size(-1) - 2 * kReach, blocks = divide_up(length, kBlock);
  const at::Tensor whole_blocks = at::constant_pad_nd(images, {0, blocks * kBlock - length});
  const at::Tensor means = at::matmul(whole_blocks.unfold(-1, kBlock + 2 * kReach, kBlock), window);
  return means.flatten(-2).narrow(-1, 0, length);
}

/// Rows that an image is mirrored by at its upper and its lower edge. Inside an image that is cut into slabs the rows
/// of the neighbours are there instead.
struct MirroredRows {
  std::int64_t above = kReach, below = kReach;
};

MirroredRows mirrored_rows(const ImageTeam* team) {
  if (team == nullptr || !team->is_split()) return {};
  const comm::UnitRange& rows = team->slab().rows;
  const auto lacking = [](std::int64_t rows_beyond) { return std::max<std::int64_t>(0, kReach - rows_beyond); };
  return {lacking(rows.begin), lacking(team->height_px() - rows.end)};
}

/// [..., H, W] mirrored at its edges, kReach to the left and the right. LibTorch's reflection_pad2d adds up gradients
/// on a GPU in an order that changes from run to run; here each place of the image takes its mirror images' gradients
/// one after another, from the first row of the padded image to the last, as LibTorch does on a CPU.
struct MirroredEdges : torch::autograd::Function<MirroredEdges> {
  /// Pixels of one axis as they are in the padded image (from `padded` on) and in the image (from `image` on).
  struct Piece {
    std::int64_t padded, image, length;
    bool is_mirrored;
  };

  static std::array<Piece, 3> pieces(std::int64_t length, std::int64_t before, std::int64_t after) {
    return {{{0, 1, before, true}, {before, 0, length, false}, {before + length, length - 1 - after, after, true}}};
  }

  static at::Tensor mirrored(const at::Tensor& image, std::int64_t axis, std::int64_t before, std::int64_t after) {
    std::vector<at::Tensor> parts;
    for (const Piece& piece : pieces(image.size(axis), before, after)) {
      if (piece.length == 0) continue;
      const at::Tensor part = image.narrow(axis, piece.image, piece.length);
      parts.push_back(piece.is_mirrored ? part.flip(axis) : part);
    }
    return at::cat(parts, axis);
  }

  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& image, std::int64_t above,
                            std::int64_t below) {
    context->saved_data["above"] = above;
    context->saved_data["below"] = below;
    return mirrored(mirrored(image, -1, kReach, kReach), -2, above, below);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const at::Tensor& padded = gradients[0];
    const std::int64_t above = context->saved_data.at("above").toInt(), below = context->saved_data.at("below").toInt();
    const std::int64_t height = padded.size(-2) - above - below, width = padded.size(-1) - 2 * kReach;
    at::Tensor image = at::zeros_like(padded.narrow(-2, 0, height).narrow(-1, 0, width));
    for (const Piece& y : pieces(height, above, below)) {
      for (const Piece& x : pieces(width, kReach, kReach)) {
        if (y.length == 0) continue;
        at::Tensor part = padded.narrow(-2, y.padded, y.length).narrow(-1, x.padded, x.length);
        if (y.is_mirrored) part = part.flip(-2);
        if (x.is_mirrored) part = part.flip(-1);
        image.narrow(-2, y.image, y.length).narrow(-1, x.image, x.length).add_(part);
      }
    }
    return {image, {}, {}};
  }
};

/// Mean under the window around every pixel of [N, 1, H, W]; of a slab, which has its neighbours' rows, around its own.
at::Tensor window_mean(const at::Tensor& images, const at::Tensor& window, const MirroredRows& mirrored) {
  const at::Tensor padded = MirroredEdges::apply(images, mirrored.above, mirrored.below);
  return means_along_rows(means_along_rows(padded, window).transpose(2, 3), window).transpose(2, 3);
}

}  // namespace

torch::Tensor squared_error(const torch::Tensor& predicted, const torch::Tensor& target, const torch::Tensor& known,
                            double known_pixels) {
  return (known * (predicted - target).square()).sum() / known_pixels;
}

torch::Tensor mirrored_edges(const torch::Tensor& images) { return MirroredEdges::apply(images, kReach, kReach); }

torch::Tensor structural_dissimilarity(const torch::Tensor& predicted, const torch::Tensor& target,
                                       const torch::Tensor& known, double known_pixels, ImageTeam* team) {
  constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;
  const MirroredRows mirrored = mirrored_rows(team);
  const auto seen = [&](const at::Tensor& image) {
    return with_neighbouring_rows(known * (image - 1) + 1, kReach, team);  // paper is 1
  };
  const at::Tensor x = seen(predicted), y = seen(target);
  const at::Tensor window = window_of_block(target.options().requires_grad(false));
  const at::Tensor mean_x = window_mean(x, window, mirrored), mean_y = window_mean(y, window, mirrored);
  const at::Tensor mean_square = mean_x.square() + mean_y.square(), mean_product = mean_x * mean_y;
  const at::Tensor variances = window_mean(x.square() + y.square(), window, mirrored) - mean_square;
  const at::Tensor covariance = window_mean(x * y, window, mirrored) - mean_product;
  const at::Tensor similarity =
      (2 * mean_product + kC1) * (2 * covariance + kC2) / ((mean_square + kC1) * (variances + kC2));
  return (known * (1 - similarity)).sum() / known_pixels;
}

Loss training_loss(const torch::Tensor& predicted, const torch::Tensor& target, const torch::Tensor& known,
                   double known_pixels, double ssim_weight, ImageTeam* team) {
  const at::Tensor error = squared_error(predicted, target, known, known_pixels);
  if (ssim_weight == 0) return {error, error};
  return {error, error + ssim_weight * structural_dissimilarity(predicted, target, known, known_pixels, team)};
}

}  // namespace outsole::wear
