#pragma once
// Files that jobs read and write, as bytes.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace outsole::testing {

std::string read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, std::string_view bytes);

/// SHA-256 of every file below the folder by its relative path, but for provenance, which may vary.
std::map<std::string, std::string> digests(const std::filesystem::path& folder);

}  // namespace outsole::testing
