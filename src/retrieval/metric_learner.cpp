#include "retrieval/metric_learner.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>

#include "comm/partition.h"
#include "core/checked.h"
#include "learn/epoch_order.h"
#include "match/column_ncc.h"

namespace outsole::retrieval {

namespace {

double sign_of(bool is_true) { return is_true ? 1 : -1; }

match::ColumnNcc correlate(const MetricTensors& metric, const LearningPairs::Columns& pair) {
  const at::Tensor flat =
      at::full({metric.weight.size(0)}, kFlatComponent, metric.weight.options().requires_grad(false));
  return match::correlate_columns(at::mm(metric.mark, pair.mark), at::mm(metric.exemplar, pair.exemplar), flat);
}

double slack_of(const MetricTensors& metric, const at::Tensor& ncc, bool is_true) {
  const double score = (metric.weight.to(at::kDouble) * ncc.to(at::kDouble)).sum().item<double>();
  return 1 - sign_of(is_true) * (score + metric.bias.item<double>());
}

MetricTensors gradients_of(const MetricTensors& tensors) {
  return {tensors.mark.grad(), tensors.exemplar.grad(), tensors.weight.grad(), tensors.bias.grad()};
}

}  // namespace

MetricTensors MetricTensors::of(const Metric& metric, at::ScalarType type) {
  const auto copy = [&](const at::Tensor& values) { return values.to(type, /*non_blocking=*/false, /*copy=*/true); };
  return {copy(metric.mark_projection).contiguous(), copy(metric.exemplar_projection).contiguous(), copy(metric.weight),
          at::full({1}, metric.bias, type)};
}

double add_pair_gradients(const MetricTensors& metric, const LearningPairs::Columns& pair, bool is_true, double share,
                          MetricTensors& gradients) {
  const match::ColumnNcc forward = correlate(metric, pair);
  const double slack = slack_of(metric, forward.ncc, is_true);
  if (slack <= 0) return 0;
  const double of_score = -sign_of(is_true) * share;
  gradients.weight += forward.ncc * of_score;
  gradients.bias += of_score;
  const match::ColumnGradients back = match::back_from_ncc(forward, metric.weight * of_score);
  gradients.mark += at::mm(back.x, pair.mark.t());
  gradients.exemplar += at::mm(back.y, pair.exemplar.t());
  return slack * share;
}

double hinge_loss(const MetricTensors& metric, const LearningPairs::Columns& pair, bool is_true) {
  return std::max(0.0, slack_of(metric, correlate(metric, pair).ncc, is_true));
}

MetricLearner::MetricLearner(const comm::Communicator& comm, const LearningPairs& pairs,
                             std::vector<std::int64_t> training, std::vector<std::int64_t> held_out,
                             const Metric& start, const FinetuneTerms& terms)
    : comm_(comm),
      pairs_(pairs),
      training_(std::move(training)),
      held_out_(std::move(held_out)),
      terms_(terms),
      mark_mean_(start.mark_mean.to(at::kFloat).unsqueeze(1)),
      exemplar_mean_(start.exemplar_mean.to(at::kFloat).unsqueeze(1)),
      tensors_(MetricTensors::of(start, at::kFloat)) {
  for (at::Tensor* tensor : {&tensors_.mark, &tensors_.exemplar, &tensors_.weight, &tensors_.bias}) {
    tensor->requires_grad_();
  }
}

std::vector<learn::NamedTensor> MetricLearner::parameters() const {
  return {{"mark_projection", tensors_.mark},
          {"exemplar_projection", tensors_.exemplar},
          {"weight", tensors_.weight},
          {"bias", tensors_.bias}};
}

std::int64_t MetricLearner::steps_per_epoch() const { return divide_up(std::ssize(training_), terms_.batch); }

void MetricLearner::begin_epoch(std::int64_t epoch) {
  order_.clear();
  for (const std::int64_t index : learn::epoch_order(std::ssize(training_), terms_.seed, epoch)) {
    order_.push_back(training_[static_cast<std::size_t>(index)]);
  }
}

learn::PendingNumber MetricLearner::add_gradients(std::int64_t step) {
  const c10::NoGradGuard no_recording;  // the way back is our own
  const comm::UnitRange mine = comm::units_of(examples(step), comm_.rank(), comm_.size());
  double loss = comm_.is_root() ? regularize() : 0;
  MetricTensors gradients = gradients_of(tensors_);
  comm_.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const std::int64_t pair = order_[static_cast<std::size_t>(step * terms_.batch + i)];
      loss += add_pair_gradients(tensors_, centred(pair), pairs_.pairs()[static_cast<std::size_t>(pair)].is_true,
                                 1 / static_cast<double>(examples(step)), gradients);
    }
  });
  return loss;
}

double MetricLearner::weight(std::int64_t first, std::int64_t end) const {
  return static_cast<double>(std::min(end * terms_.batch, std::ssize(training_)) - first * terms_.batch);
}

std::int64_t MetricLearner::examples(std::int64_t step) const {
  return std::min(terms_.batch, std::ssize(training_) - step * terms_.batch);
}

/// The mean hinge loss of what is held out.
std::optional<double> MetricLearner::judge(std::int64_t, bool) {
  if (held_out_.empty()) return std::nullopt;
  const c10::NoGradGuard no_recording;
  const comm::UnitRange mine = comm::units_of(std::ssize(held_out_), comm_.rank(), comm_.size());
  std::array<double, 1> loss{};
  comm_.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const std::int64_t pair = held_out_[static_cast<std::size_t>(i)];
      loss[0] += hinge_loss(tensors_, centred(pair), pairs_.pairs()[static_cast<std::size_t>(pair)].is_true);
    }
  });
  comm_.start_sum(std::span<double>(loss)).wait();
  return loss[0] / static_cast<double>(held_out_.size());
}

LearningPairs::Columns MetricLearner::centred(std::int64_t pair) const {
  const LearningPairs::Columns columns = pairs_.columns(pair);
  return {columns.mark - mark_mean_, columns.exemplar - exemplar_mean_};
}

/// The terms that do not depend on pairs.
double MetricLearner::regularize() {
  const double pairs = static_cast<double>(training_.size()), alpha = terms_.alpha / pairs, beta = terms_.beta / pairs;
  MetricTensors gradients = gradients_of(tensors_);
  gradients.weight += tensors_.weight * alpha;
  gradients.mark += tensors_.mark * beta;
  gradients.exemplar += tensors_.exemplar * beta;
  const auto squares = [](const at::Tensor& values) { return values.to(at::kDouble).square().sum().item<double>(); };
  return alpha / 2 * squares(tensors_.weight) + beta / 2 * (squares(tensors_.mark) + squares(tensors_.exemplar));
}

}  // namespace outsole::retrieval
