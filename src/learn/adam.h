#pragma once
// Adam (Kingma, Ba 2015, algorithm 1) in one pass over memory.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace outsole::learn {

struct AdamOptions {
  double learning_rate = 1e-5;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
};

class Adam {
 public:
  /// Moments start at zero, on the parameters' devices.
  Adam(std::vector<at::Tensor> parameters, const AdamOptions& options);

  /// One step from the parameters' gradients, which must all be defined, at `share` of the learning rate; on CPUs
  /// and NVIDIA's GPUs fused, elsewhere in ATen operations. The gradients are left as they are.
  void step(double share = 1);

  /// For checkpoints: what has to come back for the next step to be the same bit for bit.
  struct State {
    std::int64_t steps = 0;
    std::vector<at::Tensor> first_moments, second_moments;  // one a parameter
  };
  const State& state() const { return state_; }
  /// Copies a saved state in; throws Bug when tensors do not fit.
  void restore(const State& state);

 private:
  void step_on_gpu(double share);

  std::vector<at::Tensor> parameters_;
  AdamOptions options_;
  State state_;
  at::Tensor steps_on_gpu_;  // as CUDA's kernel takes it: one number in 32 bit
};

}  // namespace outsole::learn
