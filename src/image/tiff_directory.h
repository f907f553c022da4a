#pragma once
// The first directory of a TIFF, and EXIF data, which are a TIFF without pixels: tags and their values, bounds-checked.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace outsole::image {

/// Numbers of tags, as in TIFF and EXIF.
namespace tag {
inline constexpr std::uint16_t kSubfileType = 254, kImageWidth = 256, kImageLength = 257, kBitsPerSample = 258,
                               kPhotometric = 262, kOrientation = 274, kSamplesPerPixel = 277, kRowsPerStrip = 278,
                               kMaxSampleValue = 281, kXResolution = 282, kYResolution = 283, kResolutionUnit = 296,
                               kTileWidth = 322, kTileLength = 323;
}

class TiffDirectory {
 public:
  /// Reads the directory of `file` (classic or BigTIFF, either byte order), which must outlive this. Throws DataError
  /// naming `name` for what is no TIFF, for values outside of the file, a tag that appears twice, or a size whose type
  /// says nothing to us.
  TiffDirectory(std::span<const std::byte> file, const std::string& name);

  /// Whether another directory follows: another page, or something that belongs to this one.
  bool has_next() const;
  bool has(std::uint16_t tag) const { return fields_.contains(tag); }

  /// The first value of an unsigned integer tag.
  std::uint64_t value_or(std::uint16_t tag, std::uint64_t otherwise) const;

  /// A number stored as two LONGs, numerator and denominator; 0 where the tag is missing or not a fraction.
  double fraction(std::uint16_t tag) const;

 private:
  /// The values of a tag: `count` integers of `width` bytes from `offset`.
  struct Field {
    std::uint64_t width = 0, count = 0, offset = 0;
  };

  std::uint64_t integer(std::uint64_t offset, std::uint64_t length) const;
  void require(std::uint64_t offset, std::uint64_t length) const;
  [[noreturn]] void fail(const std::string& what) const;

  std::span<const std::byte> file_;
  std::string name_;
  bool is_big_endian_ = false;
  std::map<std::uint16_t, Field> fields_;
  Field link_;  // to the next directory
};

}  // namespace outsole::image
