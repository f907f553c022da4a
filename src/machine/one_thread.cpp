#include "machine/one_thread.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

namespace outsole::machine {

namespace {

/// OpenBLAS has threads of its own, which LibTorch does not know of.
void set_blas_threads(int threads) {
  using SetThreads = void (*)(int);
  if (const auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(threads);
}

int blas_threads() {
  using GetThreads = int (*)();
  const auto get = reinterpret_cast<GetThreads>(dlsym(RTLD_DEFAULT, "openblas_get_num_threads"));
  return get == nullptr ? 1 : get();
}

}  // namespace

OneThread::OneThread() : threads_(at::get_num_threads()), blas_threads_(blas_threads()) {
  at::set_num_threads(1);
  set_blas_threads(1);
}

OneThread::~OneThread() {
  at::set_num_threads(threads_);
  set_blas_threads(blas_threads_);
}

}  // namespace outsole::machine
