#include "core/out_of_memory.h"

#include <algorithm>
#include <array>
#include <new>
#include <string_view>

namespace outsole {

namespace {

/// What libraries whose errors have no class of their own for it say: LibTorch on the CPU ("can't allocate memory") and
/// on a GPU, CUDA's libraries by their codes, OpenCV.
constexpr std::array<std::string_view, 4> kWords = {"allocate memory", "out of memory", "ALLOC_FAILED",
                                                    "Insufficient memory"};

}  // namespace

std::optional<std::string> out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "out of memory";
  const std::string_view words = error.what();
  if (std::ranges::none_of(kWords, [&](std::string_view word) { return words.find(word) != words.npos; })) return {};
  return "out of memory (" + std::string(words.substr(0, words.find('\n'))) + ")";  // LibTorch adds a trace
}

}  // namespace outsole
