#include "retrieval/feature_moments.h"

#include <array>

#include "core/errors.h"

namespace outsole::retrieval {

namespace {

/// All tensors, in the order in which they are packed.
template <typename Moments>
auto tensors_of(Moments& moments) {
  return std::array{&moments.x, &moments.y, &moments.xx, &moments.yy, &moments.xy};
}

}  // namespace

FeatureMoments::FeatureMoments(std::int64_t channels)
    : x(at::zeros({channels}, at::kDouble)),
      y(at::zeros({channels}, at::kDouble)),
      xx(at::zeros({channels, channels}, at::kDouble)),
      yy(at::zeros({channels, channels}, at::kDouble)),
      xy(at::zeros({channels, channels}, at::kDouble)) {}

void FeatureMoments::add_columns(const at::Tensor& mark, const at::Tensor& exemplar) {
  ensure(mark.sizes() == exemplar.sizes() && mark.size(0) == channels(), "both sides have as many columns");
  const at::Tensor a = mark.to(at::kDouble), b = exemplar.to(at::kDouble);
  columns += static_cast<double>(a.size(1));
  x += a.sum(1);
  y += b.sum(1);
  xx += at::mm(a, a.t());
  yy += at::mm(b, b.t());
  xy += at::mm(a, b.t());
}

void FeatureMoments::add(const FeatureMoments& other) {
  columns += other.columns;
  const auto own = tensors_of(*this);
  const auto others = tensors_of(other);
  for (std::size_t i = 0; i < own.size(); ++i) *own[i] += *others[i];
}

std::vector<double> FeatureMoments::packed() const {
  std::vector<double> numbers = {columns};
  for (const at::Tensor* tensor : tensors_of(*this)) {
    const auto* values = tensor->data_ptr<double>();
    numbers.insert(numbers.end(), values, values + tensor->numel());
  }
  return numbers;
}

FeatureMoments FeatureMoments::unpacked(std::span<const double> numbers, std::int64_t channels) {
  FeatureMoments moments(channels);
  ensure(std::ssize(numbers) == 1 + 2 * channels + 3 * channels * channels, "moments of so many channels");
  moments.columns = numbers[0];
  const double* position = numbers.data() + 1;
  for (at::Tensor* tensor : tensors_of(moments)) {
    std::copy_n(position, tensor->numel(), tensor->data_ptr<double>());
    position += tensor->numel();
  }
  return moments;
}

FeatureStatistics statistics_of(const FeatureMoments& moments) {
  ensure(moments.columns > 0, "statistics of no columns");
  const at::Tensor x = moments.x / moments.columns, y = moments.y / moments.columns;
  return {x, y, moments.xx / moments.columns - at::outer(x, x), moments.yy / moments.columns - at::outer(y, y),
          moments.xy / moments.columns - at::outer(x, y)};
}

}  // namespace outsole::retrieval
