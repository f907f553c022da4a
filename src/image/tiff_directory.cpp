#include "image/tiff_directory.h"

#include "core/errors.h"

namespace outsole::image {

namespace {

/// Whether libtiff takes memory by the value of the tag, which then must be understood here.
bool decides_memory(std::uint16_t tag) {
  return tag == tag::kImageWidth || tag == tag::kImageLength || tag == tag::kBitsPerSample ||
         tag == tag::kSamplesPerPixel || tag == tag::kRowsPerStrip || tag == tag::kTileWidth || tag == tag::kTileLength;
}

/// Bytes of a value of the unsigned types BYTE, SHORT, LONG, RATIONAL, LONG8; 0 for the others, which no tag read here
/// has.
std::uint64_t width_of_type(std::uint64_t type) {
  switch (type) {
    case 1:
      return 1;
    case 3:
      return 2;
    case 4:
      return 4;
    case 5:
    case 16:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

TiffDirectory::TiffDirectory(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {
  require(0, 4);
  is_big_endian_ = file[0] == std::byte{'M'};
  const std::uint64_t version = integer(2, 2);
  if (file[0] != file[1] || (file[0] != std::byte{'I'} && !is_big_endian_) || (version != 42 && version != 43)) {
    fail("neither PNG, JPEG nor TIFF");
  }
  const bool is_big = version == 43;
  const std::uint64_t word = is_big ? 8 : 4, entry_bytes = is_big ? 20 : 12, count_bytes = is_big ? 8 : 2;
  const std::uint64_t directory = integer(is_big ? 8 : 4, word);
  const std::uint64_t entries = integer(directory, count_bytes);
  if (entries > file.size() / entry_bytes) fail("truncated: its directory is larger than the file");
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t entry = directory + count_bytes + i * entry_bytes;
    const auto tag = static_cast<std::uint16_t>(integer(entry, 2));
    Field field{width_of_type(integer(entry + 2, 2)), integer(entry + 4, word), entry + 4 + word};
    if (decides_memory(tag) && field.width == 0) fail("broken TIFF: a size of an unusual type");
    if (field.width == 0) continue;
    if (field.count > file.size() / field.width) fail("truncated: a tag has more values than the file has bytes");
    if (field.count * field.width > word) field.offset = integer(field.offset, word);
    require(field.offset, field.count * field.width);
    // Libtiff takes the first of several: reading the last would tell of another image.
    if (!fields_.emplace(tag, field).second) fail("broken TIFF: a tag appears twice");
  }
  link_ = {word, 1, directory + count_bytes + entries * entry_bytes};
}

bool TiffDirectory::has_next() const { return integer(link_.offset, link_.width) != 0; }

std::uint64_t TiffDirectory::value_or(std::uint16_t tag, std::uint64_t otherwise) const {
  const auto found = fields_.find(tag);
  if (found == fields_.end() || found->second.count == 0) return otherwise;
  return integer(found->second.offset, found->second.width);
}

double TiffDirectory::fraction(std::uint16_t tag) const {
  const auto found = fields_.find(tag);
  if (found == fields_.end() || found->second.count == 0 || found->second.width != 8) return 0;
  const std::uint64_t offset = found->second.offset, denominator = integer(offset + 4, 4);
  return denominator == 0 ? 0 : static_cast<double>(integer(offset, 4)) / static_cast<double>(denominator);
}

/// `length` (1 to 8) bytes at `offset` as an unsigned integer.
std::uint64_t TiffDirectory::integer(std::uint64_t offset, std::uint64_t length) const {
  require(offset, length);
  std::uint64_t value = 0;
  for (std::uint64_t i = 0; i < length; ++i) {
    const std::uint64_t place = is_big_endian_ ? length - 1 - i : i;
    value |= std::to_integer<std::uint64_t>(file_[offset + i]) << (8 * place);
  }
  return value;
}

void TiffDirectory::require(std::uint64_t offset, std::uint64_t length) const {
  if (offset > file_.size() || length > file_.size() - offset) fail("truncated: it ends before its content does");
}

void TiffDirectory::fail(const std::string& what) const { throw DataError(name_ + ": " + what); }

}  // namespace outsole::image
