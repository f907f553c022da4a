#include "wear/gradient_box.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "core/errors.h"

namespace outsole::wear {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void keep(AutogradContext* context, at::Tensor* box) {
  context->saved_data["box"] = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(box));
}
at::Tensor& box_kept(AutogradContext* context) {
  return *reinterpret_cast<at::Tensor*>(static_cast<std::intptr_t>(context->saved_data.at("box").toInt()));
}

void add_to(at::Tensor& box, const at::Tensor& gradient) { box = box.defined() ? box + gradient : gradient; }

/// The value itself; its gradient goes into the box. `asks` is what makes LibTorch compute one.
struct IntoBox : torch::autograd::Function<IntoBox> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& asks, at::Tensor* value, at::Tensor* box) {
    keep(context, box);
    (void)asks;
    return std::exchange(*value, {}).variable_data();
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    add_to(box_kept(context), gradients[0]);
    return {{}, {}, {}};
  }
};

/// A number whose gradient by the value is what is in the box.
struct FromBox : torch::autograd::Function<FromBox> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& value, at::Tensor* box) {
    keep(context, box);
    return at::zeros({}, value.options());
  }
  static variable_list backward(AutogradContext* context, const variable_list&) {
    return {std::exchange(box_kept(context), {}), {}};
  }
};

}  // namespace

at::Tensor GradientBox::fed_by(at::Tensor value) {
  const at::Tensor asks = at::empty({0}).requires_grad_();
  return IntoBox::apply(asks, &value, &gradient_);
}

void GradientBox::add(GradientBox& other) {
  if (other.gradient_.defined()) add_to(gradient_, std::exchange(other.gradient_, {}));
}

void GradientBox::feed(at::Tensor value) {
  ensure(gradient_.defined(), "a piece whose result has a gradient");
  const at::Tensor number = FromBox::apply(std::exchange(value, {}), &gradient_);
  number.backward();
}

}  // namespace outsole::wear
