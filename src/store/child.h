#pragma once
// Untrusted files are first read in a child process, because crafted HDF5 files can crash the library.

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

namespace outsole::store {

/// Runs `work` in a forked child and returns its answer; a DataError or EnvironmentError it throws is thrown
/// here. When the child crashes, or runs longer than `limit`, throws DataError naming `path`.
std::string run_in_child(const std::filesystem::path& path, const std::function<std::string()>& work,
                         std::chrono::milliseconds limit);

}  // namespace outsole::store
