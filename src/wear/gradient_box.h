#pragma once
// A place for a gradient between two pieces of a backward pass that are run one after another.

#include <ATen/core/Tensor.h>

namespace outsole::wear {

/// Takes the gradient of what goes into one piece and gives it to that which comes out of the piece before. LibTorch's
/// own ways to do so would keep both tensors until the second piece is through. Must outlive the first piece's
/// backward pass.
class GradientBox {
 public:
  /// `value` as the input of a piece, whose backward pass leaves its gradient here.
  at::Tensor fed_by(at::Tensor value);
  /// Adds another box's gradient, which is then gone.
  void add(GradientBox& other);
  /// Runs the backward pass of a piece from its output `value` with the gradient that is here, which is then gone.
  void feed(at::Tensor value);

 private:
  at::Tensor gradient_;
};

}  // namespace outsole::wear
