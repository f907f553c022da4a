#include "store/seal.h"

#include <algorithm>
#include <fstream>
#include <span>
#include <string_view>
#include <vector>

#include "core/errors.h"
#include "core/sha256.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n";

std::string_view title_of(Sealed what) {
  return what == Sealed::kView ? "outsole store\nsha256 of the bytes after these 512: "
                               : "outsole shard\nsha256 of the bytes after these 512: ";
}

std::string seal_of(Sealed what, const std::string& sha256) {
  std::string seal = std::string(title_of(what)) + sha256 + "\n";
  seal.resize(kSealBytes, '\0');
  return seal;
}

struct Hashes {
  std::string file;        // of all bytes
  std::string after_seal;  // of those after the seal
};

Hashes hash_sealed(std::ifstream& stream, const fs::path& path) {
  Sha256 file, after_seal;
  std::vector<char> buffer(1 << 20);
  std::int64_t skip = kSealBytes;
  stream.seekg(0);
  while (stream) {
    stream.read(buffer.data(), std::ssize(buffer));
    const auto bytes = std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(stream.gcount())));
    file.update(bytes);
    after_seal.update(bytes.subspan(static_cast<std::size_t>(std::min(skip, std::ssize(bytes)))));
    skip -= std::min(skip, std::ssize(bytes));
  }
  if (stream.bad()) throw DataError(path.string() + ": reading failed");
  return {file.hex(), after_seal.hex()};
}

/// Why a file that begins like this has no seal of ours.
std::string complaint_of(std::string_view head, Sealed what) {
  if (what == Sealed::kShard) return ": was altered since it was written, or is of an older version of outsole";
  const bool hdf5 = head.substr(0, kHdf5Signature.size()) == kHdf5Signature;
  if (hdf5 || head.starts_with(title_of(Sealed::kShard)))
    return ": is an HDF5 file, but not the view of a store (a shard is opened through NAME.h5)";
  return ": is not a store of outsole";
}

}  // namespace

void write_seal(const fs::path& path, Sealed what) {
  std::ifstream content(path, std::ios::binary);
  const std::string seal = seal_of(what, hash_sealed(content, path).after_seal);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(seal.data(), std::ssize(seal));
  file.close();
  if (!file) throw EnvironmentError(path.string() + ": its first bytes cannot be written");
}

std::string check_seal(const fs::path& path, Sealed what) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw DataError(path.string() + ": does not exist");
  if (fs::is_directory(status)) throw DataError(path.string() + ": is a folder, not a store (NAME.h5)");
  if (!fs::is_regular_file(status)) throw DataError(path.string() + ": is not a regular file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path.string() + ": cannot be opened for reading");

  std::string head(kSealBytes, '\0');
  file.read(head.data(), std::ssize(head));
  head.resize(static_cast<std::size_t>(file.gcount()));
  file.clear();
  if (head.empty()) throw DataError(path.string() + ": is empty");
  if (!head.starts_with(title_of(what))) throw DataError(path.string() + complaint_of(head, what));
  const Hashes hashes = hash_sealed(file, path);
  if (head != seal_of(what, hashes.after_seal)) {
    throw DataError(path.string() + ": was truncated or altered since it was written (its SHA-256 differs)");
  }
  return hashes.file;
}

}  // namespace outsole::store
