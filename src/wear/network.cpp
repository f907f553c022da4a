#include "wear/network.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/functional/padding.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"
#include "wear/gradient_box.h"

namespace outsole::wear {

namespace {

constexpr double kPaper = 1.0;
/// A residual network takes no input for darker or lighter than this: the sigmoid's slope there is a hundredth, so that
/// a pixel of paper can still learn to become ink.
constexpr double kDarkest = 0.01;

std::int64_t padded(std::int64_t side_px) { return divide_up(side_px, kSizeStep) * kSizeStep; }

/// Pixels of the padded image, and cells of the encoder's last map.
std::int64_t padded_pixels(const NetworkShape& shape) { return padded(shape.height_px) * padded(shape.width_px); }
std::int64_t coarsest_cells(const NetworkShape& shape) { return padded_pixels(shape) / (kSizeStep * kSizeStep); }

void check(const NetworkShape& shape) {
  if (shape.height_px < kSizeStep || shape.width_px < kSizeStep) {
    throw UsageError("a wear model of " + std::to_string(shape.height_px) + " x " + std::to_string(shape.width_px) +
                     " px: images need at least " + std::to_string(kSizeStep) + " px a side");
  }
  if (shape.first_maps < 1) throw UsageError("a wear model's first layer needs at least 1 map");
  if (shape.time_hidden < 1 || shape.time_maps < 1) {
    throw UsageError("a wear model's time branch needs a width of at least 1 and at least 1 map");
  }
}

/// Weights for a layer whose every output adds up `inputs` numbers, variance `gain` / inputs, and no bias. With gain 2
/// a ReLU layer hands on its input's variance (He et al. 2015, eq. 10). LibTorch's default shrinks it to a sixth in
/// every layer: after ten of them the output hardly knows the input, all images get the same answer, and where most of
/// an image is paper the sigmoid saturates there for good.
void start(at::Tensor weight, at::Tensor bias, std::int64_t inputs, double gain) {
  const c10::NoGradGuard no_gradients;
  weight.normal_(0, std::sqrt(gain / static_cast<double>(inputs)));
  bias.zero_();
}

/// relu_ whose backward pass works in place, too, for half the memory: for a gradient that nobody else needs.
struct Rectified : torch::autograd::Function<Rectified> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::Tensor maps) {
    maps.relu_();
    context->mark_dirty({maps});
    context->save_for_backward({maps});
    return maps;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    at::Tensor gradient = gradients[0];
    const at::Tensor maps = context->get_saved_variables()[0];
    return {at::threshold_backward_out(gradient, gradient, maps, 0)};
  }
};

}  // namespace

std::array<std::int64_t, kLayers> encoder_maps(const NetworkShape& shape) {
  std::array<std::int64_t, kLayers> maps{};
  for (std::size_t layer = 0; layer < maps.size(); ++layer) maps[layer] = shape.first_maps << layer;
  return maps;
}

std::array<std::int64_t, kLayers> decoder_maps(const NetworkShape& shape) {
  std::array<std::int64_t, kLayers> maps = encoder_maps(shape);
  std::ranges::reverse(maps);
  std::ranges::copy(std::span(maps).subspan(1), maps.begin());
  maps.back() = 1;
  return maps;
}

std::int64_t weight_count(const NetworkShape& shape) {
  const auto layer_weights = [](std::int64_t from, std::int64_t to) { return from * to * kKernel * kKernel + to; };
  std::int64_t count = 0, maps = 1;
  for (const std::int64_t next : encoder_maps(shape)) count += layer_weights(std::exchange(maps, next), next);
  maps += shape.time_maps;
  for (const std::int64_t next : decoder_maps(shape)) count += layer_weights(std::exchange(maps, next), next);
  return count + shape.time_hidden * (time_inputs(shape.task) + 1) +
         checked_product({shape.time_hidden + 1, shape.time_maps, coarsest_cells(shape)}, "weights of the time branch");
}

std::string name_of(NetworkKind kind) { return kind == NetworkKind::kPaper ? "paper" : "residual"; }

NetworkKind parse_network_kind(const std::string& text) {
  for (const NetworkKind kind : {NetworkKind::kPaper, NetworkKind::kResidual}) {
    if (text == name_of(kind)) return kind;
  }
  throw UsageError("no network '" + text + "': paper (draws the outsole from memory) or residual (learns the change)");
}

WearNetwork::WearNetwork(const NetworkShape& shape, std::uint64_t seed) : shape_(shape) {
  check(shape);
  torch::manual_seed(seed);
  std::int64_t maps = 1;
  for (const std::int64_t next : encoder_maps(shape)) {
    encoder_.push_back(register_module(
        "encoder" + std::to_string(encoder_.size()),
        torch::nn::Conv2d(torch::nn::Conv2dOptions(maps, next, kKernel).stride(kStride).padding(kPadding))));
    start(encoder_.back()->weight, encoder_.back()->bias, maps * kKernel * kKernel, 2);
    maps = next;
  }
  time_hidden_ = register_module("time0", torch::nn::Linear(time_inputs(shape.task), shape.time_hidden));
  time_maps_ = register_module("time1", torch::nn::Linear(shape.time_hidden, shape.time_maps * coarsest_cells(shape)));
  maps += shape.time_maps;
  for (const std::int64_t next : decoder_maps(shape)) {
    decoder_.push_back(
        register_module("decoder" + std::to_string(decoder_.size()),
                        torch::nn::ConvTranspose2d(
                            torch::nn::ConvTranspose2dOptions(maps, next, kKernel).stride(kStride).padding(kPadding))));
    const std::int64_t inputs = maps * kKernel * kKernel / (kStride * kStride);  // a stride of 2 skips three of four
    const bool is_last = std::ssize(decoder_) == kLayers;
    const double last_gain = shape.kind == NetworkKind::kPaper ? 1 : 1e-2;
    start(decoder_.back()->weight, decoder_.back()->bias, inputs, is_last ? last_gain : 2);
    maps = next;
  }
}

torch::Tensor WearNetwork::forward(const torch::Tensor& x, const torch::Tensor& time, ImageTeam* team) {
  const Pass pass{team, false};
  check_inputs(x, time, pass);
  torch::Tensor maps = padded(x, pass);
  std::vector<torch::Tensor> added{image_added(maps)};  // what the decoder's layers add, the last one's first
  for (int layer = 0; layer < kLayers; ++layer) {
    maps = encoded(maps, layer, pass);
    added.push_back(what_is_added(maps));
  }
  maps = with_time(maps, time, pass);
  for (int layer = 0; layer < kLayers; ++layer) {
    added.pop_back();  // first that of the smallest maps, which are the decoder's input
    maps = decoded(maps, layer, added.back(), pass);
  }
  return cropped(maps, pass);
}

void WearNetwork::check_inputs(const torch::Tensor& x, const torch::Tensor& time, const Pass& pass) const {
  ensure(!pass.is_split() || pass.team->height_px() == shape_.height_px, "a team for images of another height");
  ensure(x.sizes() == at::IntArrayRef({x.size(0), 1, rows(pass).size(), shape_.width_px}),
         "images of another shape than the network's");
  ensure(time.sizes() == at::IntArrayRef({x.size(0), time_inputs(shape_.task)}),
         "time inputs that do not fit the images");
}

/// Of the image, that x has.
comm::UnitRange WearNetwork::rows(const Pass& pass) const {
  return pass.is_split() ? pass.team->slab().rows : comm::UnitRange{0, shape_.height_px};
}

torch::Tensor WearNetwork::padded(const torch::Tensor& x, const Pass& pass) const {
  const std::int64_t bottom = pass.is_split() ? pass.team->slab().padded_rows.end - pass.team->slab().rows.end
                                              : wear::padded(shape_.height_px) - shape_.height_px;
  return at::constant_pad_nd(x, {0, wear::padded(shape_.width_px) - shape_.width_px, 0, bottom}, kPaper);
}

torch::Tensor WearNetwork::cropped(const torch::Tensor& y, const Pass& pass) const {
  return y.slice(2, 0, rows(pass).size()).slice(3, 0, shape_.width_px);
}

/// Undefined where the network adds nothing.
torch::Tensor WearNetwork::what_is_added(const torch::Tensor& maps) const {
  return shape_.kind == NetworkKind::kResidual ? maps : torch::Tensor();
}
torch::Tensor WearNetwork::image_added(const torch::Tensor& padded) const {
  return shape_.kind == NetworkKind::kResidual ? at::logit(padded, kDarkest) : torch::Tensor();
}

torch::Tensor WearNetwork::encoded(const torch::Tensor& maps, int layer, const Pass& pass) {
  torch::nn::Conv2d& convolution = encoder_[static_cast<std::size_t>(layer)];
  if (!pass.is_split() && !pass.recomputes) return convolution(maps).relu_();
  return rectified(halve_size(maps, convolution->weight, convolution->bias, pass.team), pass);
}

torch::Tensor WearNetwork::with_time(const torch::Tensor& maps, const torch::Tensor& time, const Pass& pass) {
  const torch::Tensor of_time = maps_of_time(time, maps.size(2), maps.size(3), pass);
  return at::cat({maps, of_time.contiguous(maps.suggest_memory_format())}, 1);  // maps stay in the order they have
}

/// [N, time_maps, height, width], the rows of this rank's slab: of a team each rank computes its own.
torch::Tensor WearNetwork::maps_of_time(const torch::Tensor& time, std::int64_t height, std::int64_t width,
                                        const Pass& pass) {
  const torch::Tensor hidden = time_hidden_(time).relu_();
  const std::array sizes{time.size(0), shape_.time_maps, height, width};
  if (!pass.is_split()) return time_maps_(hidden).relu_().view(sizes);
  const comm::UnitRange rows = pass.team->slab().coarse_rows;
  const std::int64_t all_rows = wear::padded(shape_.height_px) / kSizeStep;
  const auto own = [&](const torch::Tensor& parameter, std::int64_t columns) {
    return parameter.view({shape_.time_maps, all_rows, width * columns}).narrow(1, rows.begin, rows.size());
  };
  const torch::Tensor weight = own(time_maps_->weight, shape_.time_hidden).reshape({-1, shape_.time_hidden});
  return at::linear(hidden, weight, own(time_maps_->bias, 1).reshape({-1})).relu_().view(sizes);
}

/// `added` may be undefined.
torch::Tensor WearNetwork::decoded(const torch::Tensor& maps, int layer, const torch::Tensor& added, const Pass& pass) {
  const torch::nn::ConvTranspose2d& convolution = decoder_[static_cast<std::size_t>(layer)];
  torch::Tensor result = pass.is_split() || pass.recomputes
                             ? double_size(maps, convolution->weight, convolution->bias, pass.team)
                             : double_size(maps, convolution->weight, convolution->bias);
  const bool is_last = layer + 1 == kLayers;
  if (is_last && result.scalar_type() == at::kBFloat16) result = result.to(at::kFloat);  // a grey level takes 8 bits
  if (added.defined()) result = result.add_(added);
  return is_last ? result.sigmoid_() : rectified(result, pass);
}

torch::Tensor WearNetwork::rectified(torch::Tensor maps, const Pass& pass) {
  return pass.recomputes ? Rectified::apply(maps) : maps.relu_();
}

void WearNetwork::add_gradients_recomputing(
    const torch::Tensor& x, const torch::Tensor& time, ImageTeam* team,
    const std::function<torch::Tensor(const torch::Tensor& predicted)>& loss_of) {
  // Pieces, outermost first, so that the largest maps are there only while their own piece is worked on:
  //   x -encoder0-> first -encoder1-> second -the middle-> third -decoder3, decoder4, loss->
  const Pass pass{team, true};
  check_inputs(x, time, pass);
  const auto middle = [&](torch::Tensor maps) {
    std::vector<torch::Tensor> added{what_is_added(maps)};
    for (int layer = 2; layer < kLayers; ++layer) {
      maps = encoded(maps, layer, pass);
      added.push_back(what_is_added(maps));
    }
    maps = with_time(maps, time, pass);
    for (int layer = 0; layer < kLayers - 2; ++layer) {
      added.pop_back();
      maps = decoded(maps, layer, added.back(), pass);
    }
    return maps;
  };
  const auto first_of = [&] { return encoded(padded(x, pass), 0, pass); };
  const auto without_gradients = [](const auto& work) {
    const c10::NoGradGuard no_gradients;
    return work();
  };

  torch::Tensor first = without_gradients(first_of), second, third;
  without_gradients([&] {
    second = encoded(first, 1, pass);
    first = what_is_added(first);
    third = middle(std::exchange(second, {}));
    return 0;
  });
  GradientBox of_first, of_second, of_third;
  {
    torch::Tensor image = image_added(padded(x, pass));
    torch::Tensor maps = decoded(of_third.fed_by(std::exchange(third, {})), kLayers - 2,
                                 first.defined() ? of_first.fed_by(std::exchange(first, {})) : first, pass);
    maps = cropped(decoded(std::exchange(maps, {}), kLayers - 1, std::exchange(image, {}), pass), pass);
    const torch::Tensor loss = loss_of(maps);
    maps.reset();
    loss.backward();
  }
  second = without_gradients([&] { return encoded(first_of(), 1, pass); });
  of_third.feed(middle(of_second.fed_by(std::exchange(second, {}))));
  {
    GradientBox through_second;
    first = without_gradients(first_of);
    of_second.feed(encoded(through_second.fed_by(std::exchange(first, {})), 1, pass));
    of_first.add(through_second);
  }
  of_first.feed(first_of());
}

double WearNetwork::flops() const {
  double multiply_adds = 0, cells = static_cast<double>(padded_pixels(shape_));
  for (const auto& layer : encoder_) {
    cells /= kStride * kStride;
    multiply_adds += cells * static_cast<double>(layer->weight.numel());
  }
  for (const auto& layer : {time_hidden_, time_maps_}) multiply_adds += static_cast<double>(layer->weight.numel());
  for (const auto& layer : decoder_) {
    multiply_adds += cells * static_cast<double>(layer->weight.numel());
    cells *= kStride * kStride;
  }
  return 2 * multiply_adds;
}

torch::Tensor double_size(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  const bool columns_are_small = kKernel * kKernel * weight.size(1) <= weight.size(0);
  if (!x.is_cpu() || columns_are_small) return at::conv_transpose2d(x, weight, bias, kStride, kPadding);
  return double_size(x, weight, bias, nullptr);
}

}  // namespace outsole::wear
