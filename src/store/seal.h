#pragma once
// The first 512 bytes of our files, which HDF5 leaves to us: a title, and the SHA-256 of all bytes after them. So an
// altered file is told before HDF5 looks at it, and a shard that was damaged between two runs before a view is put over
// it.

#include <cstdint>
#include <filesystem>
#include <string>

namespace outsole::store {

inline constexpr std::int64_t kSealBytes = 512;  // HDF5's smallest user block

enum class Sealed { kView, kShard };

/// Writes the seal of a closed file that left kSealBytes for it. Throws EnvironmentError.
void write_seal(const std::filesystem::path& path, Sealed what);

/// Checks the seal and returns the SHA-256 of the whole file. Throws DataError when there is no such file, it is none
/// of ours, or it was altered.
std::string check_seal(const std::filesystem::path& path, Sealed what);

}  // namespace outsole::store
