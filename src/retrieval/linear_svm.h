#pragma once
// A linear support vector machine: what weights tell true pairs from others.

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace outsole::retrieval {

/// w and b that minimize  1/2 |w|^2 + cost * sum_i max(0, 1 - z_i (w . f_i + b)),  z_i = 1 for a true example, else -1.
/// The bias is not regularized.
struct LinearSvm {
  std::vector<double> weight;
  double bias = 0;
  std::vector<double> dual;  // of each example, in [0, cost]: weight = sum_i dual_i z_i f_i
};

/// `features` [n, d] float64, rows are examples. By LIBSVM, to 1e-6 of the optimality conditions. Throws DataError
/// unless there are examples of both kinds.
LinearSvm train_linear_svm(const at::Tensor& features, const std::vector<bool>& is_true, double cost);

}  // namespace outsole::retrieval
