#pragma once
// A learner that shows what one is: weight and bias of a line through points that the ranks share.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "comm/partition.h"
#include "learn/learner.h"

namespace outsole::testing {

inline constexpr std::int64_t kPoints = 50, kBatch = 8, kSteps = 7;  // an epoch's; the last step has two points

inline learn::Subject line_subject(std::uint64_t seed = 1) {
  return {.identity = {{"seed", seed}, {"points", kPoints}},
          .changed_by = {{"points", "the number of points"}},
          .structure = {{"curve", {{"kind", "line"}, {"inputs", 3}}}},
          .model_schema = "outsole.model",
          .model_version = 2,
          .examples = "points",
          .to_save_memory = "use fewer points"};
}

/// y = x w + b for points x [kPoints, 3] with y = x (1, -2, 3) + 0.5 and a little noise; the loss is the mean of
/// squares.
class Line : public learn::Learner {
 public:
  Line(int rank, int ranks) : rank_(rank), ranks_(ranks) {
    at::manual_seed(7);
    x_ = at::randn({kPoints, 3});
    y_ = at::mv(x_, at::tensor({1.0F, -2.0F, 3.0F})) + 0.5 + 0.01 * at::randn({kPoints});
  }

  std::vector<learn::NamedTensor> parameters() const override { return {{"slope", slope_}, {"offset", offset_}}; }
  std::int64_t steps_per_epoch() const override { return kSteps; }
  void begin_epoch(std::int64_t epoch) override { epoch_ = epoch; }

  learn::PendingNumber add_gradients(std::int64_t step) override {
    if (before_step) before_step(epoch_, step);
    const comm::UnitRange mine = comm::units_of(examples(step), rank_, ranks_);
    if (mine.size() == 0) return 0;
    const at::Tensor rows = at::arange(mine.begin, mine.end) + step * kBatch;
    const at::Tensor points = at::remainder(rows + 5 * epoch_, kPoints);  // another order each epoch
    const at::Tensor loss = squares_of(points).sum() / examples(step);
    loss.backward();
    return loss.item<double>();
  }

  bool losses_are_late() const override { return is_late; }

  double weight(std::int64_t first, std::int64_t end) const override {
    return static_cast<double>(std::min(end * kBatch, kPoints) - first * kBatch);
  }
  std::int64_t examples(std::int64_t step) const override { return std::min(kBatch, kPoints - step * kBatch); }

  std::optional<double> judge(std::int64_t epochs_done, bool is_last) override {
    if (epochs_done % 2 != 0 && !is_last) return std::nullopt;
    const c10::NoGradGuard no_gradients;
    return squares_of(at::arange(kPoints)).mean().item<double>();
  }

  std::optional<learn::BestGuess> best_guess() const override {
    return learn::BestGuess{y_.var(/*unbiased=*/false).item<double>(), "the mean of all points"};
  }

  at::Tensor squares_of(const at::Tensor& points) const {
    return (at::mv(x_.index_select(0, points), slope_) + offset_ - y_.index_select(0, points)).square();
  }

  /// What a test does before a rank's part of a step.
  std::function<void(std::int64_t epoch, std::int64_t step)> before_step;
  bool is_late = false;  // with its losses

 private:
  int rank_, ranks_;
  at::Tensor x_, y_, slope_ = at::zeros({3}).requires_grad_(), offset_ = at::zeros({1}).requires_grad_();
  std::int64_t epoch_ = 0;
};

}  // namespace outsole::testing
