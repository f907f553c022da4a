#pragma once

namespace outsole::machine {

/// While it lives this process computes LibTorch's operations and matrix products on one thread: how many threads share
/// a product changes its last bits. Not for use within a parallel region.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_, blas_threads_;
};

}  // namespace outsole::machine
