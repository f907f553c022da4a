#include "wear/halo.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "core/checked.h"
#include "core/clock.h"

namespace outsole::wear {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kRowAxis = 2;

at::Tensor first_rows(const at::Tensor& maps, std::int64_t count) { return maps.narrow(kRowAxis, 0, count); }
at::Tensor last_rows(const at::Tensor& maps, std::int64_t count) {
  return maps.narrow(kRowAxis, maps.size(kRowAxis) - count, count);
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}
std::span<std::byte> writable_bytes_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

}  // namespace

/// Rows that go to both neighbours and come from them; those of a neighbour that there is not are undefined.
struct BorderRows {
  at::Tensor above, below;
};

/// On its way from its construction until `arrived`.
class RowExchange {
 public:
  /// Sends `rows` and will receive so many of each neighbour's.
  RowExchange(ImageTeam& team, const BorderRows& rows, std::int64_t from_above, std::int64_t from_below)
      : team_(team), device_(rows.above.defined() ? rows.above.device() : rows.below.device()) {
    const double start_s = now_s();
    const BorderRows packed{packed_on_host(rows.above), packed_on_host(rows.below)};
    arriving_ = {place_for(packed.above, from_above), place_for(packed.below, from_below)};
    const int rank = team.ranks_->rank();
    pending_ = team.ranks_->start_exchange<std::byte>(
        {team.has_above() ? rank - 1 : -1, bytes_of(packed.above), writable_bytes_of(arriving_.above)},
        {team.has_below() ? rank + 1 : -1, bytes_of(packed.below), writable_bytes_of(arriving_.below)});
    ++team.costs_.exchanges;
    team.costs_.sent_bytes += static_cast<std::int64_t>(bytes_of(packed.above).size() + bytes_of(packed.below).size());
    if (team.waits_at_once()) pending_.wait();
    team.costs_.seconds += now_s() - start_s;
  }

  /// What has come, on the device of what was sent.
  BorderRows arrived() {
    const double start_s = now_s();
    pending_.wait();
    for (at::Tensor* rows : {&arriving_.above, &arriving_.below}) {
      if (!rows->defined()) continue;
      *rows = rows->to(device_);
      if (team_.on_arrival_) team_.on_arrival_(*rows);
    }
    team_.costs_.seconds += now_s() - start_s;
    return arriving_;
  }

 private:
  static at::Tensor packed_on_host(const at::Tensor& rows) {
    return rows.defined() ? rows.to(at::kCPU).contiguous() : rows;
  }
  /// Memory for `count` rows like those that go to the same neighbour.
  static at::Tensor place_for(const at::Tensor& sent, std::int64_t count) {
    if (!sent.defined()) return {};
    std::vector<std::int64_t> sizes = sent.sizes().vec();
    sizes[kRowAxis] = count;
    return at::empty(sizes, sent.options());
  }

  ImageTeam& team_;
  at::Device device_;
  BorderRows arriving_;
  comm::PendingExchange pending_;
};

namespace {

/// A slab's own border rows for its neighbours, and theirs.
RowExchange exchange_border_rows(ImageTeam& team, const at::Tensor& maps) {
  return {team,
          {team.has_above() ? first_rows(maps, 1) : at::Tensor(), team.has_below() ? last_rows(maps, 1) : at::Tensor()},
          1,
          1};
}

/// What is known to the backward pass of a layer. Not LibTorch's own way to save tensors, so that they can be dropped
/// as soon as they are no longer needed.
void keep(AutogradContext* context, const char* name, const at::Tensor& tensor) {
  if (tensor.defined()) context->saved_data[name] = tensor;
}
at::Tensor kept(AutogradContext* context, const char* name) {
  const auto found = context->saved_data.find(name);
  return found == context->saved_data.end() ? at::Tensor() : found->second.toTensor();
}
void keep(AutogradContext* context, ImageTeam* team) {
  context->saved_data["team"] = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(team));
}
ImageTeam* team_kept(AutogradContext* context) {
  return reinterpret_cast<ImageTeam*>(static_cast<std::intptr_t>(context->saved_data.at("team").toInt()));
}

bool is_split(const ImageTeam* team) { return team != nullptr && team->is_split(); }

/// A tensor whose shape alone counts, of x's; its memory is not touched. On a GPU, which has no such memory, x itself.
at::Tensor shape_of(const at::Tensor& x) { return x.is_cpu() ? at::empty(x.sizes(), x.options()) : x; }

// --- Convolution ----------------------------------------------------------------------------------------------------

enum class By { kInput, kWeight };

/// The gradient of conv2d(x, weight, stride, padding) by x or by weight. The other one counts by its shape alone.
at::Tensor convolution_gradient(By by, const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
                                at::IntArrayRef stride, at::IntArrayRef padding) {
  const bool by_input = by == By::kInput;
  const auto gradients = at::convolution_backward(gradient, x, weight, {}, stride, padding, {1, 1}, false, {0, 0}, 1,
                                                  {by_input, !by_input, false});
  return by_input ? std::get<0>(gradients) : std::get<1>(gradients);
}

/// Of the layers, and of a single border row, whose kernel has one row.
constexpr std::int64_t kBothStrides[] = {kStride, kStride}, kBothPaddings[] = {kPadding, kPadding};
constexpr std::int64_t kRowStride[] = {1, kStride}, kRowPadding[] = {0, kPadding};

at::Tensor kernel_row(const at::Tensor& weight, std::int64_t row) { return weight.narrow(2, row, 1).contiguous(); }

/// The row above a slab meets the kernel's first row at the slab's first row of output; the one below it the kernel's
/// last row at the last. Of a transposed convolution it is the other way round.
struct KernelRows {
  std::int64_t of_above, of_below;
};
constexpr KernelRows kHalving{0, kKernel - 1}, kDoubling{kKernel - 1, 0};

/// Adds what the neighbours' rows contribute to the border rows of `result`.
template <typename Contribution>
void add_to_border_rows(const at::Tensor& result, const BorderRows& rows, const Contribution& contribution) {
  if (rows.above.defined()) first_rows(result, 1).add_(contribution(rows.above, true));
  if (rows.below.defined()) last_rows(result, 1).add_(contribution(rows.below, false));
}

/// `of_row(gradient of the output's border row, kernel's row)` for both neighbours that there are: what their rows are
/// owed.
template <typename OfRow>
BorderRows owed(const ImageTeam& team, const at::Tensor& gradient, const at::Tensor& weight, KernelRows kernel_rows,
                const OfRow& of_row) {
  BorderRows rows;
  if (team.has_above())
    rows.above = of_row(first_rows(gradient, 1).contiguous(), kernel_row(weight, kernel_rows.of_above));
  if (team.has_below())
    rows.below = of_row(last_rows(gradient, 1).contiguous(), kernel_row(weight, kernel_rows.of_below));
  return rows;
}

void add_what_was_owed(const at::Tensor& gradient, const BorderRows& rows) {
  if (rows.above.defined()) first_rows(gradient, 1).add_(rows.above);
  if (rows.below.defined()) last_rows(gradient, 1).add_(rows.below);
}

/// Adds what the neighbours' rows, kept in the forward pass, contribute to the weight's gradient:
/// `contribution(neighbour's row, gradient of the output's border row, kernel's row)`.
template <typename Contribution>
void add_to_kernel_rows(const at::Tensor& by_weight, AutogradContext* context, const at::Tensor& gradient,
                        KernelRows kernel_rows, const Contribution& contribution) {
  for (const bool is_above : {true, false}) {
    const at::Tensor row = kept(context, is_above ? "above" : "below");
    if (!row.defined()) continue;
    const std::int64_t row_of_kernel = is_above ? kernel_rows.of_above : kernel_rows.of_below;
    const at::Tensor of_row = (is_above ? first_rows(gradient, 1) : last_rows(gradient, 1)).contiguous();
    by_weight.narrow(2, row_of_kernel, 1)
        .add_(contribution(row, of_row, kernel_row(kept(context, "weight"), row_of_kernel)));
  }
}

struct HalvedSize : torch::autograd::Function<HalvedSize> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, ImageTeam* team) {
    std::optional<RowExchange> exchange;
    if (is_split(team)) exchange.emplace(exchange_border_rows(*team, x));
    at::Tensor result = at::conv2d(x, weight, bias, kStride, kPadding);
    BorderRows rows;
    if (exchange) rows = exchange->arrived();
    add_to_border_rows(result, rows, [&](const at::Tensor& row, bool is_above) {
      return at::conv2d(row, kernel_row(weight, is_above ? kHalving.of_above : kHalving.of_below), {}, kRowStride,
                        kRowPadding);
    });
    keep(context, "x", x);
    keep(context, "above", rows.above);
    keep(context, "below", rows.below);
    keep(context, "weight", weight);
    keep(context, team);
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    ImageTeam* const team = team_kept(context);
    const at::Tensor weight = kept(context, "weight"), gradient = gradients[0].contiguous();
    const bool by_input = context->needs_input_grad(0);
    std::optional<RowExchange> exchange;
    if (is_split(team) && by_input) {
      const auto of_row = [&](const at::Tensor& row, const at::Tensor& row_of_kernel) {
        const at::Tensor shape = at::empty({row.size(0), weight.size(1), 1, kStride * row.size(3)}, row.options());
        return convolution_gradient(By::kInput, row, shape, row_of_kernel, kRowStride, kRowPadding);
      };
      exchange.emplace(*team, owed(*team, gradient, weight, kHalving, of_row), 1, 1);
    }
    at::Tensor x = kept(context, "x");
    context->saved_data.erase("x");
    const std::vector<std::int64_t> bias_sizes{weight.size(0)};
    auto [none, by_weight, by_bias] =
        at::convolution_backward(gradient, x, weight, at::IntArrayRef(bias_sizes), kBothStrides, kBothPaddings, {1, 1},
                                 false, {0, 0}, 1, {false, true, true});
    add_to_kernel_rows(by_weight, context, gradient, kHalving,
                       [&](const at::Tensor& row, const at::Tensor& of_row, const at::Tensor& row_of_kernel) {
                         return convolution_gradient(By::kWeight, of_row, row, row_of_kernel, kRowStride, kRowPadding);
                       });
    if (!by_input) return {{}, by_weight, by_bias, {}};
    const at::Tensor shape = shape_of(x);
    x.reset();
    at::Tensor by_x = convolution_gradient(By::kInput, gradient, shape, weight, kBothStrides, kBothPaddings);
    if (exchange) add_what_was_owed(by_x, exchange->arrived());
    return {by_x, by_weight, by_bias, {}};
  }
};

// --- Transposed convolution -----------------------------------------------------------------------------------------

/// oneDNN computes 16 maps at a time: for a single one, LibTorch's columns are faster and no larger than the input.
bool uses_columns(const at::Tensor& x, const at::Tensor& weight) {
  return !x.is_cpu() || kKernel * kKernel * weight.size(1) <= weight.size(0);
}

/// Without bias: the gradient of a strided convolution by its input; so its own gradients are that convolution and the
/// gradient by its weight, with the roles of input and output exchanged.
at::Tensor doubled(const at::Tensor& x, const at::Tensor& weight) {
  // The input that the gradient is taken by: only its shape counts, so its memory is never touched.
  const at::Tensor shape =
      at::empty({x.size(0), weight.size(1), kStride * x.size(2), kStride * x.size(3)}, x.options());
  return convolution_gradient(By::kInput, x, shape, weight, kBothStrides, kBothPaddings);
}

struct DoubledSize : torch::autograd::Function<DoubledSize> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, ImageTeam* team) {
    std::optional<RowExchange> exchange;
    if (is_split(team)) exchange.emplace(exchange_border_rows(*team, x));
    at::Tensor result = uses_columns(x, weight) ? at::conv_transpose2d(x, weight, bias, kStride, kPadding)
                                                : doubled(x, weight).add_(bias.view({1, -1, 1, 1}));
    BorderRows rows;
    if (exchange) rows = exchange->arrived();
    add_to_border_rows(result, rows, [&](const at::Tensor& row, bool is_above) {
      return at::conv_transpose2d(row, kernel_row(weight, is_above ? kDoubling.of_above : kDoubling.of_below), {},
                                  kRowStride, kRowPadding);
    });
    keep(context, "x", x);
    keep(context, "above", rows.above);
    keep(context, "below", rows.below);
    keep(context, "weight", weight);
    keep(context, team);
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    ImageTeam* const team = team_kept(context);
    const at::Tensor weight = kept(context, "weight"), gradient = gradients[0].contiguous();
    std::optional<RowExchange> exchange;
    if (is_split(team)) {
      const auto of_row = [&](const at::Tensor& row, const at::Tensor& row_of_kernel) {
        return at::conv2d(row, row_of_kernel, {}, kRowStride, kRowPadding);
      };
      exchange.emplace(*team, owed(*team, gradient, weight, kDoubling, of_row), 1, 1);
    }
    at::Tensor x = kept(context, "x");
    context->saved_data.erase("x");
    at::Tensor by_x, by_weight, by_bias;
    if (uses_columns(x, weight)) {
      const std::vector<std::int64_t> bias_sizes{weight.size(1)};
      std::tie(by_x, by_weight, by_bias) =
          at::convolution_backward(gradient, x, weight, at::IntArrayRef(bias_sizes), kBothStrides, kBothPaddings,
                                   {1, 1}, true, {0, 0}, 1, {true, true, true});
    } else {
      by_weight = convolution_gradient(By::kWeight, x, gradient, weight, kBothStrides, kBothPaddings);
      x.reset();
      by_x = at::conv2d(gradient, weight, {}, kStride, kPadding);
      by_bias = gradient.sum({0, 2, 3});
    }
    add_to_kernel_rows(by_weight, context, gradient, kDoubling,
                       [&](const at::Tensor& row, const at::Tensor& of_row, const at::Tensor& row_of_kernel) {
                         return convolution_gradient(By::kWeight, row, of_row, row_of_kernel, kRowStride, kRowPadding);
                       });
    if (exchange) add_what_was_owed(by_x, exchange->arrived());
    return {by_x, by_weight, by_bias, {}};
  }
};

// --- Rows of images -------------------------------------------------------------------------------------------------

struct NeighbouringRows : torch::autograd::Function<NeighbouringRows> {
  /// How many rows a slab has from its neighbours, and they from it.
  struct Counts {
    std::int64_t from_above, from_below, to_above, to_below;
  };

  static Counts counts(const ImageTeam& team, std::int64_t reach) {
    const comm::UnitRange& rows = team.slab().rows;
    return {team.has_above() ? reach : 0, team.has_below() ? std::min(reach, team.height_px() - rows.end) : 0,
            team.has_above() ? std::min(reach, rows.size()) : 0, team.has_below() ? reach : 0};
  }

  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, std::int64_t reach, ImageTeam* team) {
    const auto [from_above, from_below, to_above, to_below] = counts(*team, reach);
    RowExchange exchange(*team,
                         {to_above > 0 ? first_rows(rows, to_above) : at::Tensor(),
                          to_below > 0 ? last_rows(rows, to_below) : at::Tensor()},
                         from_above, from_below);
    keep(context, team);
    context->saved_data["reach"] = reach;
    const BorderRows border = exchange.arrived();
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : {border.above, rows, border.below}) {
      if (part.defined()) parts.push_back(part);
    }
    return at::cat(parts, kRowAxis);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    ImageTeam& team = *team_kept(context);
    const auto [from_above, from_below, to_above, to_below] = counts(team, context->saved_data.at("reach").toInt());
    const at::Tensor& gradient = gradients[0];
    RowExchange exchange(team,
                         {from_above > 0 ? first_rows(gradient, from_above) : at::Tensor(),
                          from_below > 0 ? last_rows(gradient, from_below) : at::Tensor()},
                         to_above, to_below);
    at::Tensor own = gradient.narrow(kRowAxis, from_above, gradient.size(kRowAxis) - from_above - from_below).clone();
    const BorderRows border = exchange.arrived();
    if (border.above.defined()) first_rows(own, to_above).add_(border.above);
    if (border.below.defined()) last_rows(own, to_below).add_(border.below);
    return {own, {}, {}};
  }
};

}  // namespace

ImageTeam::ImageTeam(std::int64_t height_px) : height_px_(height_px), slab_(slab_of(height_px, 0, 1)) {}

ImageTeam::ImageTeam(std::int64_t height_px, const comm::Communicator& ranks)
    : height_px_(height_px), ranks_(ranks), slab_(slab_of(height_px, ranks.rank(), ranks.size())) {}

at::Tensor halve_size(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, ImageTeam* team) {
  return HalvedSize::apply(x, weight, bias, team);
}

at::Tensor double_size(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, ImageTeam* team) {
  return DoubledSize::apply(x, weight, bias, team);
}

at::Tensor with_neighbouring_rows(const at::Tensor& rows, std::int64_t reach, ImageTeam* team) {
  if (!is_split(team)) return rows;
  return NeighbouringRows::apply(rows, reach, team);
}

}  // namespace outsole::wear
