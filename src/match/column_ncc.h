#pragma once
// Normalized cross-correlation of two sides that have been laid over each other, channel by channel, and how it changes
// with either side. A side is a matrix [K, n]: a row a channel, a column a cell of the support P that both share.
//
//   NCC_k = 1/|P| sum_i x~_k[i] y~_k[i],   x~ = (x - mu_x) / sigma_x over P
//   dNCC/dx[j] = (y~[j] - x~[j] NCC) / (|P| sigma_x)
//
// (Kong et al., IJCV 2019, eq. 2; the gradient printed there has a plus, which is wrong.)

#include <ATen/ATen.h>

namespace outsole::match {

/// What correlate_columns found, and what the way back needs.
struct ColumnNcc {
  at::Tensor ncc;             // [K]; 0 where a side is flat
  at::Tensor x, y;            // [K, n] about their means, of norm 1; 0 where a side is flat
  at::Tensor x_norm, y_norm;  // [K] sqrt(|P|) sigma; 1 where a side is flat
};

/// `x`, `y` [K, n] of one floating type; a channel of either side whose standard deviation is not above `flat_std` [K]
/// is flat, as in ChannelModel.
ColumnNcc correlate_columns(const at::Tensor& x, const at::Tensor& y, const at::Tensor& flat_std);

/// The gradients [K, n] of a value with regard to x and y, from those with regard to the NCC of each channel [K].
struct ColumnGradients {
  at::Tensor x, y;
};
ColumnGradients back_from_ncc(const ColumnNcc& forward, const at::Tensor& ncc_gradient);

}  // namespace outsole::match
