#include "retrieval/linear_svm.h"

#include <libsvm/svm.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::retrieval {

namespace {

struct FreeModel {
  void operator()(svm_model* model) const { svm_free_and_destroy_model(&model); }
};

/// Rows as LIBSVM wants them: numbered from 1, ended by -1.
std::vector<svm_node> nodes_of(const at::Tensor& features) {
  const std::int64_t rows = features.size(0), columns = features.size(1);
  const auto* values = features.data_ptr<double>();
  std::vector<svm_node> nodes;
  nodes.reserve(static_cast<std::size_t>(rows * (columns + 1)));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) nodes.push_back({narrow<int>(j + 1), values[i * columns + j]});
    nodes.push_back({-1, 0});
  }
  return nodes;
}

}  // namespace

LinearSvm train_linear_svm(const at::Tensor& features, const std::vector<bool>& is_true, double cost) {
  ensure(features.scalar_type() == at::kDouble && features.size(0) == std::ssize(is_true), "an example, a label");
  const auto true_count = std::ranges::count(is_true, true);
  if (true_count == 0 || true_count == std::ssize(is_true)) {
    throw DataError("weights are learned from true pairs and from others, and there are none of one kind");
  }
  const at::Tensor rows = features.contiguous();
  std::vector<svm_node> nodes = nodes_of(rows);
  std::vector<svm_node*> row_nodes;
  std::vector<double> labels;
  for (std::size_t i = 0; i < is_true.size(); ++i) {
    row_nodes.push_back(nodes.data() + static_cast<std::int64_t>(i) * (rows.size(1) + 1));
    labels.push_back(is_true[i] ? 1 : -1);
  }
  const svm_problem problem = {narrow<int>(std::ssize(is_true)), labels.data(), row_nodes.data()};
  svm_parameter parameter = {};
  parameter.svm_type = C_SVC;
  parameter.kernel_type = LINEAR;
  parameter.C = cost;
  parameter.eps = 1e-6;
  parameter.cache_size = 256;  // MB
  parameter.shrinking = 1;
  if (const char* complaint = svm_check_parameter(&problem, &parameter)) throw Bug(complaint);
  svm_set_print_string_function([](const char*) {});
  const std::unique_ptr<svm_model, FreeModel> model(svm_train(&problem, &parameter));

  // The first label that LIBSVM met counts as positive.
  const double sign = model->label[0];
  LinearSvm svm;
  svm.bias = -sign * model->rho[0];
  svm.dual.assign(is_true.size(), 0);
  at::Tensor weight = at::zeros({rows.size(1)}, at::kDouble);
  for (int s = 0; s < model->l; ++s) {
    const std::int64_t example = model->sv_indices[s] - 1;
    const double coefficient = sign * model->sv_coef[0][s];  // dual_i z_i
    svm.dual[static_cast<std::size_t>(example)] = std::abs(coefficient);
    weight += rows[example] * coefficient;
  }
  svm.weight.assign(weight.data_ptr<double>(), weight.data_ptr<double>() + weight.numel());
  return svm;
}

}  // namespace outsole::retrieval
