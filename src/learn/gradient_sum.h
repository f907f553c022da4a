#pragma once
// Adds up gradients over ranks while the backward pass still runs, as PyTorch's DistributedDataParallel and Horovod do:
// parameters are gathered into buckets, last layer first, and a bucket's non-blocking allreduce starts when its last
// gradient is there.

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace outsole::learn {

class GradientSum {
 public:
  /// `parameters` in the order of the forward pass, the same on every rank; must require gradients. The gradients
  /// become views into the buckets' memory, so nothing is copied on CPUs; on one rank that is all it does. Of GPUs MPI
  /// sums pinned copies. Throws EnvironmentError when the parameters are on a GPU and
  /// MPI cannot be called from the thread that runs LibTorch's backward pass there. Not collective.
  GradientSum(std::vector<at::Tensor> parameters, const comm::Communicator& comm,
              std::int64_t bucket_bytes = std::int64_t{4} << 20);
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  /// Sets the gradients to zero before a step's backward pass; there is one a step.
  void zero();
  /// Waits for all buckets; afterwards every rank's gradients are the sums. A rank that ran no backward pass (it had no
  /// pair in this batch) takes part with zeros. Collective: every rank, once a step, after its backward pass.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outsole::learn
