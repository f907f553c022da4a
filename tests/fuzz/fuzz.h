#pragma once
// What every fuzz target shares. A target is one file that defines LLVMFuzzerTestOneInput: clang's libFuzzer calls it
// (preset fuzz), or replay.cpp does, with the seeds and changes of them (every build).

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "core/errors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace outsole::fuzz {

/// A folder of this process, in memory where the machine has such a place; it is left to the next start to clear.
inline const std::filesystem::path& scratch_folder() {
  static const std::filesystem::path folder = [] {
    const std::filesystem::path memory = "/dev/shm";
    std::string name = (std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path()) /
                       "outsole-fuzz-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    std::atexit([] {
      std::error_code ignored;
      std::filesystem::remove_all(scratch_folder(), ignored);
    });
    return std::filesystem::path(name);
  }();
  return folder;
}

inline std::filesystem::path write_scratch(const std::string& name, std::string_view bytes) {
  const std::filesystem::path path = scratch_folder() / name;
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// What must hold whatever the input is; ends the process when it does not.
inline void require(bool holds, const std::string& fact) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", fact.c_str());
  std::abort();
}

/// Runs `work`, which may read its input or refuse it: by a DataError or UsageError that names `culprit`. Returns
/// whether it was read. Any other exception ends the process.
template <typename Work>
bool reads_or_refuses(std::string_view culprit, const Work& work) {
  try {
    work();
    return true;
  } catch (const DataError& error) {
    require(std::string_view(error.what()).find(culprit) != std::string_view::npos,
            "the message names the culprit: " + std::string(error.what()));
  } catch (const UsageError& error) {
    require(std::string_view(error.what()).find(culprit) != std::string_view::npos,
            "the message names the culprit: " + std::string(error.what()));
  } catch (const std::exception& error) {
    require(false, "bad input is a DataError or a UsageError, not: " + std::string(error.what()));
  }
  return false;
}

}  // namespace outsole::fuzz
