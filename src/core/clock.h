#pragma once
// Time taken.

#include <chrono>

namespace outsole {

/// Seconds since some moment, by a clock that nobody sets: differences count.
inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace outsole
