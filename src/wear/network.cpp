#include "wear/network.h"

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

namespace outsole::wear {

namespace {

constexpr std::int64_t kKernel = 4, kStride = 2, kPadding = 1;
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
  const at::NoGradGuard no_gradients;
  weight.normal_(0, std::sqrt(gain / static_cast<double>(inputs)));
  bias.zero_();
}

/// The gradient of conv2d(x, weight, stride 2, padding 1) by x or by weight.
enum class By { kInput, kWeight };

at::Tensor convolution_gradient(By by, const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight) {
  const bool by_input = by == By::kInput;
  const auto gradients =
      at::convolution_backward(gradient, x, weight, at::nullopt, {kStride, kStride}, {kPadding, kPadding}, {1, 1},
                               false, {0, 0}, 1, {by_input, !by_input, false});
  return by_input ? std::get<0>(gradients) : std::get<1>(gradients);
}

/// A transposed convolution without bias. Its value is the gradient of a strided convolution by its input; so its own
/// gradients are that convolution and the gradient by its weight, with the roles of input and output exchanged.
struct ConvolutionAdjoint : torch::autograd::Function<ConvolutionAdjoint> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    // The input that the gradient is taken by: only its shape counts, so its memory is never touched.
    const at::Tensor shape =
        at::empty({x.size(0), weight.size(1), kStride * x.size(2), kStride * x.size(3)}, x.options());
    return convolution_gradient(By::kInput, x, shape, weight);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], gradient = gradients[0].contiguous();
    return {at::conv2d(gradient, weight, {}, kStride, kPadding),
            convolution_gradient(By::kWeight, x, gradient, weight)};
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

torch::Tensor WearNetwork::forward(const torch::Tensor& x, const torch::Tensor& time) {
  const std::int64_t images = x.size(0), height_px = shape_.height_px, width_px = shape_.width_px;
  ensure(x.sizes() == at::IntArrayRef({images, 1, height_px, width_px}), "images of another shape than the network's");
  ensure(time.sizes() == at::IntArrayRef({images, time_inputs(shape_.task)}), "time inputs that do not fit the images");

  const std::int64_t bottom = padded(height_px) - height_px, right = padded(width_px) - width_px;
  torch::Tensor maps = at::constant_pad_nd(x, {0, right, 0, bottom}, kPaper);
  const bool adds = shape_.kind == NetworkKind::kResidual;
  std::vector<torch::Tensor> added;  // what the decoder's layers add, the last one's first
  if (adds) added.push_back(at::logit(maps, kDarkest));
  for (auto& layer : encoder_) {
    maps = layer(maps).relu_();
    if (adds) added.push_back(maps);
  }
  if (adds) added.pop_back();  // the decoder's input

  const torch::Tensor when = time_maps_(time_hidden_(time).relu_()).relu_();
  maps = at::cat({maps, when.view({images, shape_.time_maps, maps.size(2), maps.size(3)})}, 1);

  for (auto& layer : decoder_) {
    maps = double_size(maps, layer->weight, layer->bias);
    if (adds) {
      maps = maps.add_(added.back());
      added.pop_back();
    }
    maps = layer.get() == decoder_.back().get() ? maps.sigmoid_() : maps.relu_();
  }
  return maps.slice(2, 0, height_px).slice(3, 0, width_px);
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
  // oneDNN computes 16 maps at a time: for a single one, LibTorch's columns are faster and no larger than the input.
  const bool columns_are_small = kKernel * kKernel * weight.size(1) <= weight.size(0);
  if (!x.is_cpu() || columns_are_small) return at::conv_transpose2d(x, weight, bias, kStride, kPadding);
  return ConvolutionAdjoint::apply(x, weight).add_(bias.view({1, -1, 1, 1}));
}

}  // namespace outsole::wear
