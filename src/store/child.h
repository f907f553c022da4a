#pragma once
// Untrusted files are first read in a child process, because crafted HDF5 files can crash the library.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace outsole::store {

/// What a child may take before the file counts as crafted.
struct ChildLimits {
  std::chrono::milliseconds time;
  std::int64_t memory_bytes;  // more than the process has now
};

/// Runs `work` in a forked child and returns its answer; a DataError or EnvironmentError it throws is thrown
/// here. When the child crashes or goes beyond a limit, throws DataError naming `path`.
std::string run_in_child(const std::filesystem::path& path, const std::function<std::string()>& work,
                         const ChildLimits& limits);

}  // namespace outsole::store
