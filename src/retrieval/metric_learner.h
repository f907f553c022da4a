#pragma once
// Fine-tuning: projections, weights and bias of a metric learned together, by gradient descent on the hinge loss of
// pairs at their best pose,
//
//   alpha/2 |W|^2 + beta/2 (|U|^2 + |V|^2) + sum_i max(0, 1 - z_i (sum_k W_k NCC_k(U X_i, V Y_i) + b))
//
// (Kong et al., IJCV 2019, eq. 9, with b inside the product: outside, as it is printed, nothing would bound it.) What
// is descended is this divided by the number of pairs.

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "learn/learner.h"
#include "retrieval/learning_pairs.h"
#include "retrieval/metric.h"

namespace outsole::retrieval {

struct FinetuneTerms {
  double alpha = 100, beta = 1;
  std::int64_t batch = 32;  // pairs a step
  std::uint64_t seed = 1;   // of their order
};

/// What is tuned, of one floating type: U, V [K, C], W [K], b [1].
struct MetricTensors {
  at::Tensor mark, exemplar, weight, bias;

  static MetricTensors of(const Metric& metric, at::ScalarType type);
};

/// The hinge loss of one pair, and what it adds to the gradients, times `share`; nothing where the margin is kept.
/// `pair` of the tensors' type, less the means of the sides.
double add_pair_gradients(const MetricTensors& metric, const LearningPairs::Columns& pair, bool is_true, double share,
                          MetricTensors& gradients);

/// The hinge loss of one pair.
double hinge_loss(const MetricTensors& metric, const LearningPairs::Columns& pair, bool is_true);

/// Every rank has the same tensors; of a batch each takes its share.
class MetricLearner : public learn::Learner {
 public:
  /// From `start` on, with the pairs `training` (positions), judged by those of `held_out`, of which nothing is
  /// learned. References must outlive it.
  MetricLearner(const comm::Communicator& comm, const LearningPairs& pairs, std::vector<std::int64_t> training,
                std::vector<std::int64_t> held_out, const Metric& start, const FinetuneTerms& terms);

  std::vector<learn::NamedTensor> parameters() const override;
  std::int64_t steps_per_epoch() const override;
  void begin_epoch(std::int64_t epoch) override;
  learn::PendingNumber add_gradients(std::int64_t step) override;
  double weight(std::int64_t first, std::int64_t end) const override;
  std::int64_t examples(std::int64_t step) const override;
  std::optional<double> judge(std::int64_t epochs_done, bool is_last) override;

 private:
  LearningPairs::Columns centred(std::int64_t pair) const;
  double regularize();

  const comm::Communicator& comm_;
  const LearningPairs& pairs_;
  const std::vector<std::int64_t> training_, held_out_;
  const FinetuneTerms terms_;
  at::Tensor mark_mean_, exemplar_mean_;  // [C, 1] float32
  MetricTensors tensors_;
  std::vector<std::int64_t> order_;  // the epoch's
};

}  // namespace outsole::retrieval
