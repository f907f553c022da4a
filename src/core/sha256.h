#pragma once
// SHA-256 of memory and files, by OpenSSL.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace outsole {

/// Hashes what is fed to it piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::span<const std::byte> bytes);
  /// The digest as 64 lower-case hexadecimal digits; call once, last.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_of(std::span<const std::byte> bytes);

/// Reads the file in pieces; throws DataError when it cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace outsole
