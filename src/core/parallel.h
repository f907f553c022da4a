#pragma once
// A loop whose turns threads share.

#include <cstddef>
#include <exception>

namespace outsole {

/// Calls work(i) for every i in [0, count), in any order, on all OpenMP threads of this rank (one after another unless
/// `on_threads`). Afterwards throws one of the exceptions that turns threw.
template <typename Work>
void for_each_on_threads(std::size_t count, Work&& work, bool on_threads = true) {
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) if (on_threads)
  for (std::size_t i = 0; i < count; ++i) {
    try {
      work(i);
    } catch (...) {
#pragma omp critical(outsole_turn_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace outsole
