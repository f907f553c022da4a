#pragma once
// What an image file says of itself, read and bounds-checked before a codec sees the file. Codecs trust sizes, and fill
// what a truncated file lacks without an error; this does neither.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace outsole::image {

enum class ImageFormat { kPng, kJpeg, kTiff };

struct ImageHeader {
  ImageFormat format = ImageFormat::kPng;
  std::int64_t height_px = 0;
  std::int64_t width_px = 0;
  std::int64_t bits_per_sample = 8;
  std::int64_t samples_per_pixel = 1;
  double dpi = 0;              // pixels an inch; 0: not said, or not the same along both axes
  bool white_is_zero = false;  // TIFF only: grey values run from white to black
  bool several_pages = false;  // TIFF only: more follow the first
};

/// Reads the header of a PNG (IHDR), JPEG (SOF) or TIFF (first directory, classic or BigTIFF) held in `file`, and
/// follows its structure to the end: PNG chunks to IEND, JPEG segments and scans to EOI, TIFF strips or tiles. Throws
/// DataError naming `name` when the file is empty, of another kind, truncated, or of a kind of samples that is not read
/// (floating point, 12 bit and so on).
ImageHeader read_image_header(std::span<const std::byte> file, const std::string& name);

}  // namespace outsole::image
