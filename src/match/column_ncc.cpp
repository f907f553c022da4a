#include "match/column_ncc.h"

namespace outsole::match {

namespace {

/// One side about its mean, of norm 1.
struct UnitSide {
  at::Tensor values, norm;  // [K, n], [K, 1]
  at::Tensor live;          // [K, 1] bool
};

UnitSide unit_side(const at::Tensor& values, const at::Tensor& flat_std) {
  const at::Tensor centred = values - values.mean(1, true);
  const at::Tensor square_sum = centred.square().sum(1, true);
  const at::Tensor least =
      flat_std.to(values.scalar_type()).square().unsqueeze(1) * static_cast<double>(values.size(1));
  const at::Tensor live = square_sum > least;
  const at::Tensor norm = at::where(live, square_sum.sqrt(), at::ones_like(square_sum));
  return {centred / norm, norm, live};
}

}  // namespace

ColumnNcc correlate_columns(const at::Tensor& x, const at::Tensor& y, const at::Tensor& flat_std) {
  const UnitSide unit_x = unit_side(x, flat_std), unit_y = unit_side(y, flat_std);
  const at::Tensor live = unit_x.live.logical_and(unit_y.live);
  const at::Tensor x_values = unit_x.values * live, y_values = unit_y.values * live;
  return {(x_values * y_values).sum(1), x_values, y_values, unit_x.norm.squeeze(1), unit_y.norm.squeeze(1)};
}

ColumnGradients back_from_ncc(const ColumnNcc& forward, const at::Tensor& ncc_gradient) {
  const at::Tensor ncc = forward.ncc.unsqueeze(1);
  const auto side = [&](const at::Tensor& own, const at::Tensor& other, const at::Tensor& norm) {
    return (other - own * ncc) * (ncc_gradient / norm).unsqueeze(1);
  };
  return {side(forward.x, forward.y, forward.x_norm), side(forward.y, forward.x, forward.y_norm)};
}

}  // namespace outsole::match
