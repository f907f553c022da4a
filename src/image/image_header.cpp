#include "image/image_header.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::image {

namespace {

using Bytes = std::span<const std::byte>;

/// Reads integers of a file that may lie about every offset.
class Reader {
 public:
  Reader(Bytes file, const std::string& name, bool big_endian) : file_(file), name_(name), big_endian_(big_endian) {}

  std::uint64_t size() const { return file_.size(); }

  void require(std::uint64_t offset, std::uint64_t length) const {
    if (offset > size() || length > size() - offset) fail("truncated: it ends before its content does");
  }

  /// `length` (1 to 8) bytes at `offset` as an unsigned integer.
  std::uint64_t integer(std::uint64_t offset, std::uint64_t length) const {
    require(offset, length);
    std::uint64_t value = 0;
    for (std::uint64_t i = 0; i < length; ++i) {
      const std::uint64_t place = big_endian_ ? length - 1 - i : i;
      value |= std::to_integer<std::uint64_t>(file_[offset + i]) << (8 * place);
    }
    return value;
  }

  std::string_view text(std::uint64_t offset, std::uint64_t length) const {
    require(offset, length);
    return {reinterpret_cast<const char*>(file_.data()) + offset, length};
  }

  [[noreturn]] void fail(const std::string& what) const { throw DataError(name_ + ": " + what); }

 private:
  Bytes file_;
  const std::string& name_;
  bool big_endian_;
};

bool starts_with(Bytes file, std::string_view signature) {
  return file.size() >= signature.size() &&
         std::equal(signature.begin(), signature.end(), reinterpret_cast<const char*>(file.data()));
}

/// The resolution that a file states along each axis, if it is one.
double common_dpi(double x_dpi, double y_dpi) {
  constexpr double kMostDpi = 1e5, kTolerance = 0.01;
  const bool is_sound = x_dpi > 0 && x_dpi <= kMostDpi && std::abs(x_dpi - y_dpi) <= kTolerance * x_dpi;
  return is_sound ? x_dpi : 0;
}

constexpr double kMetresAnInch = 0.0254, kCmAnInch = 2.54;

// --- PNG: 8 bytes of signature, then chunks of length, type, data, CRC
// -------------------------------------------------

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

/// Follows the chunks to the end; the resolution, where one states it, goes to `header`.
void read_png_chunks(const Reader& reader, ImageHeader& header) {
  bool has_pixels = false;
  for (std::uint64_t offset = kPngSignature.size();;) {
    const std::uint64_t length = reader.integer(offset, 4);
    const std::string_view type = reader.text(offset + 4, 4);
    reader.require(offset + 8, length + 4);
    has_pixels |= type == "IDAT";
    if (type == "pHYs" && length == 9 && reader.integer(offset + 16, 1) == 1) {  // pixels a metre
      header.dpi = common_dpi(kMetresAnInch * static_cast<double>(reader.integer(offset + 8, 4)),
                              kMetresAnInch * static_cast<double>(reader.integer(offset + 12, 4)));
    }
    if (type == "IEND") break;
    offset += length + 12;
  }
  if (!has_pixels) reader.fail("PNG without pixels (no IDAT chunk)");
}

ImageHeader read_png_header(Bytes file, const std::string& name) {
  const Reader reader(file, name, /*big_endian=*/true);
  if (reader.integer(8, 4) != 13 || reader.text(12, 4) != "IHDR")
    reader.fail("broken PNG: it does not begin with IHDR");
  ImageHeader header;
  header.format = ImageFormat::kPng;
  header.width_px = static_cast<std::int64_t>(reader.integer(16, 4));
  header.height_px = static_cast<std::int64_t>(reader.integer(20, 4));
  header.bits_per_sample = reader.integer(24, 1) == 16 ? 16 : 8;  // 1, 2 and 4 bits are read as 8
  constexpr int kSamplesOfColourType[] = {1, 0, 3, 3, 2, 0, 4};   // type 3 is a palette of RGB
  const std::uint64_t colour_type = reader.integer(25, 1);
  if (colour_type > 6 || kSamplesOfColourType[colour_type] == 0) reader.fail("broken PNG: unknown colour type");
  header.samples_per_pixel = kSamplesOfColourType[colour_type];
  read_png_chunks(reader, header);
  return header;
}

// --- JPEG: segments of marker, length, data; after SOS entropy-coded bytes up to the next marker
// -------------------------

bool is_start_of_frame(std::uint64_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/// The offset of the first marker with a segment (0xFF and a byte that is neither stuffing, a restart nor TEM) at or
/// after `offset`.
std::uint64_t next_marker(const Reader& reader, std::uint64_t offset) {
  for (;; ++offset) {
    if (reader.integer(offset, 1) != 0xFF) continue;
    const std::uint64_t code = reader.integer(offset + 1, 1);
    if (code != 0x00 && code != 0x01 && code != 0xFF && !(code >= 0xD0 && code <= 0xD7)) return offset;
  }
}

/// The density of a JFIF segment whose data begins at `offset`: pixels an inch (unit 1) or a centimetre (unit 2).
double jfif_dpi(const Reader& reader, std::uint64_t offset) {
  const std::uint64_t unit = reader.integer(offset + 7, 1);
  if (unit != 1 && unit != 2) return 0;
  const double factor = unit == 1 ? 1 : kCmAnInch;
  return common_dpi(factor * static_cast<double>(reader.integer(offset + 8, 2)),
                    factor * static_cast<double>(reader.integer(offset + 10, 2)));
}

ImageHeader read_jpeg_header(Bytes file, const std::string& name) {
  constexpr std::uint64_t kStartOfScan = 0xDA, kEndOfImage = 0xD9, kApp0 = 0xE0;
  const Reader reader(file, name, /*big_endian=*/true);
  ImageHeader header;
  header.format = ImageFormat::kJpeg;
  bool has_frame = false, has_scan = false;
  for (std::uint64_t offset = 2;;) {
    offset = next_marker(reader, offset);
    const std::uint64_t marker = reader.integer(offset + 1, 1);
    if (marker == kEndOfImage) break;
    const std::uint64_t length = reader.integer(offset + 2, 2);
    reader.require(offset + 2, length);
    if (length < 2) reader.fail("broken JPEG: a segment shorter than its own length field");
    if (is_start_of_frame(marker) && !has_frame) {
      if (reader.integer(offset + 4, 1) != 8) reader.fail("JPEG with other than 8 bits a sample is not read");
      header.height_px = static_cast<std::int64_t>(reader.integer(offset + 5, 2));
      header.width_px = static_cast<std::int64_t>(reader.integer(offset + 7, 2));
      header.samples_per_pixel = static_cast<std::int64_t>(reader.integer(offset + 9, 1));
      has_frame = true;
    }
    if (marker == kApp0 && length >= 14 && reader.text(offset + 4, 5) == std::string_view("JFIF\0", 5)) {
      header.dpi = jfif_dpi(reader, offset + 4);
    }
    has_scan |= marker == kStartOfScan;
    offset += 2 + length;
  }
  if (!has_frame || !has_scan) reader.fail("JPEG without pixels (no frame or no scan)");
  return header;
}

// --- TIFF: a directory of tags that point at strips or tiles ---------------------------------------------------------

constexpr std::uint64_t kImageWidth = 256, kImageLength = 257, kBitsPerSample = 258, kCompression = 259,
                        kPhotometric = 262, kStripOffsets = 273, kOrientation = 274, kSamplesPerPixel = 277,
                        kRowsPerStrip = 278, kStripByteCounts = 279, kXResolution = 282, kYResolution = 283,
                        kPlanarConfiguration = 284, kResolutionUnit = 296, kTileWidth = 322, kTileLength = 323,
                        kTileOffsets = 324, kTileByteCounts = 325, kSampleFormat = 339;

/// The values of a tag: `count` integers of `width` bytes from `offset`.
struct TiffField {
  std::uint64_t width = 0, count = 0, offset = 0;
};

/// The first directory of a classic TIFF or a BigTIFF.
class TiffDirectory {
 public:
  TiffDirectory(const Reader& reader, bool is_big) : reader_(reader) {
    const std::uint64_t word = is_big ? 8 : 4, entry_bytes = is_big ? 20 : 12, count_bytes = is_big ? 8 : 2;
    const std::uint64_t directory = reader.integer(is_big ? 8 : 4, word);
    const std::uint64_t entries = reader.integer(directory, count_bytes);
    if (entries > reader.size() / entry_bytes) reader.fail("truncated: its directory is larger than the file");
    for (std::uint64_t i = 0; i < entries; ++i) {
      const std::uint64_t entry = directory + count_bytes + i * entry_bytes;
      const std::uint64_t tag = reader.integer(entry, 2);
      TiffField field{width_of_type(reader.integer(entry + 2, 2)), reader.integer(entry + 4, word), entry + 4 + word};
      if (decides_memory(tag) && field.width == 0) reader.fail("broken TIFF: a size of an unusual type");
      if (field.width == 0) continue;
      if (field.count > reader.size() / field.width)
        reader.fail("truncated: a tag has more values than the file has bytes");
      if (field.count * field.width > word) field.offset = reader.integer(field.offset, word);
      reader.require(field.offset, field.count * field.width);
      // Libtiff takes the first of several: reading the last would tell of another image.
      if (!fields_.emplace(tag, field).second) reader.fail("broken TIFF: a tag appears twice");
    }
    has_next_ = reader.integer(directory + count_bytes + entries * entry_bytes, word) != 0;
  }

  bool has_next() const { return has_next_; }
  bool has(std::uint64_t tag) const { return fields_.contains(tag); }
  std::uint64_t count(std::uint64_t tag) const { return has(tag) ? fields_.at(tag).count : 0; }

  std::uint64_t value(std::uint64_t tag, std::uint64_t index) const {
    const TiffField& field = fields_.at(tag);
    return reader_.integer(field.offset + index * field.width, field.width);
  }

  std::uint64_t value_or(std::uint64_t tag, std::uint64_t otherwise) const {
    return count(tag) > 0 ? value(tag, 0) : otherwise;
  }

  /// A number stored as two LONGs, numerator and denominator; 0 where the tag is missing or not a fraction.
  double fraction(std::uint64_t tag) const {
    if (count(tag) == 0 || fields_.at(tag).width != 8) return 0;
    const std::uint64_t offset = fields_.at(tag).offset, denominator = reader_.integer(offset + 4, 4);
    return denominator == 0 ? 0 : static_cast<double>(reader_.integer(offset, 4)) / static_cast<double>(denominator);
  }

 private:
  /// Whether libtiff takes memory by the value of the tag, which then must be understood here.
  static bool decides_memory(std::uint64_t tag) {
    return tag == kImageWidth || tag == kImageLength || tag == kBitsPerSample || tag == kSamplesPerPixel ||
           tag == kRowsPerStrip || tag == kTileWidth || tag == kTileLength;
  }

  /// Bytes of a value of the unsigned types BYTE, SHORT, LONG, RATIONAL, LONG8; 0 for the others, which no tag read
  /// here has.
  static std::uint64_t width_of_type(std::uint64_t type) {
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

  const Reader& reader_;
  std::map<std::uint64_t, TiffField> fields_;
  bool has_next_ = false;
};

/// Every strip or tile that the size asks for must be listed and lie inside the file; libtiff fills missing ones.
void require_tiff_pixels(const Reader& reader, const TiffDirectory& directory, const ImageHeader& header) {
  const bool tiled = directory.has(kTileOffsets);
  const std::uint64_t offsets_tag = tiled ? kTileOffsets : kStripOffsets;
  const std::uint64_t counts_tag = tiled ? kTileByteCounts : kStripByteCounts;
  const std::int64_t piece_height_px = static_cast<std::int64_t>(
      std::min<std::uint64_t>(directory.value_or(tiled ? kTileLength : kRowsPerStrip, INT64_MAX), header.height_px));
  const std::int64_t piece_width_px = static_cast<std::int64_t>(
      tiled ? std::min<std::uint64_t>(directory.value_or(kTileWidth, INT64_MAX), header.width_px) : header.width_px);
  if (piece_height_px == 0 || piece_width_px == 0) reader.fail("broken TIFF: strips or tiles without pixels");
  // A tile is decoded whole, also where the image is smaller.
  constexpr std::uint64_t kLongestTile = 1 << 13;
  if (tiled && std::max(directory.value_or(kTileLength, 0), directory.value_or(kTileWidth, 0)) > kLongestTile) {
    reader.fail("TIFF with tiles of more than " + std::to_string(kLongestTile) + " pixels a side");
  }

  const bool separate_planes = directory.value_or(kPlanarConfiguration, 1) == 2;
  const std::int64_t planes = separate_planes ? header.samples_per_pixel : 1;
  const std::int64_t pieces = checked_product(
      {divide_up(header.height_px, piece_height_px), divide_up(header.width_px, piece_width_px), planes},
      "TIFF strips");
  if (directory.count(offsets_tag) < static_cast<std::uint64_t>(pieces) ||
      directory.count(counts_tag) < static_cast<std::uint64_t>(pieces)) {
    reader.fail("truncated TIFF: it lists fewer strips or tiles than its size needs");
  }
  std::uint64_t stored_bytes = 0;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const std::uint64_t length = directory.value(counts_tag, i);
    reader.require(directory.value(offsets_tag, i), length);
    if (length == 0) reader.fail("truncated TIFF: strip or tile " + std::to_string(i) + " is empty");
    stored_bytes += length;
  }
  const bool is_compressed = directory.value_or(kCompression, 1) != 1;
  const std::int64_t pixel_bits = directory.value_or(kBitsPerSample, 1) * header.samples_per_pixel;
  const std::int64_t needed_bits = checked_product({header.height_px, header.width_px, pixel_bits}, "TIFF pixels");
  if (!is_compressed && stored_bytes < static_cast<std::uint64_t>(needed_bits / 8)) {
    reader.fail("truncated TIFF: fewer bytes than pixels");
  }
}

ImageHeader read_tiff_header(Bytes file, const std::string& name) {
  const Reader reader(file, name, /*big_endian=*/starts_with(file, "MM"));
  const std::uint64_t version = reader.integer(2, 2);
  if (version != 42 && version != 43) reader.fail("neither PNG, JPEG nor TIFF");
  const TiffDirectory directory(reader, /*is_big=*/version == 43);

  if (directory.value_or(kSampleFormat, 1) != 1) {
    reader.fail("TIFF of signed or floating-point samples; convert it to 8 or 16 bit unsigned");
  }
  const std::uint64_t bits = directory.value_or(kBitsPerSample, 1);
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16) {
    reader.fail("TIFF of " + std::to_string(bits) + " bits a sample; convert it to 8 or 16 bit");
  }
  if (directory.value_or(kOrientation, 1) != 1) {
    reader.fail("TIFF that is to be turned for display (orientation tag); save it upright");
  }
  constexpr std::uint64_t kMaxLength = INT32_MAX;
  const std::uint64_t height = directory.value_or(kImageLength, 0), width = directory.value_or(kImageWidth, 0);
  const std::uint64_t samples = directory.value_or(kSamplesPerPixel, 1);
  if (height > kMaxLength || width > kMaxLength) reader.fail("TIFF of impossible size");
  // OpenCV reads two samples as one grey channel and drops the alpha channel without a word.
  if (samples != 1 && samples != 3 && samples != 4) {
    reader.fail("TIFF of " + std::to_string(samples) + " samples a pixel; save it as grey, RGB or RGBA, or as PNG");
  }
  ImageHeader header;
  header.format = ImageFormat::kTiff;
  header.height_px = static_cast<std::int64_t>(height);
  header.width_px = static_cast<std::int64_t>(width);
  header.bits_per_sample = bits == 16 ? 16 : 8;
  header.samples_per_pixel = static_cast<std::int64_t>(samples);
  header.white_is_zero = directory.value_or(kPhotometric, 1) == 0;
  header.several_pages = directory.has_next();
  constexpr std::uint64_t kInch = 2, kCentimetre = 3;
  if (const std::uint64_t unit = directory.value_or(kResolutionUnit, kInch); unit == kInch || unit == kCentimetre) {
    const double factor = unit == kInch ? 1 : kCmAnInch;
    header.dpi = common_dpi(factor * directory.fraction(kXResolution), factor * directory.fraction(kYResolution));
  }
  if (header.height_px > 0 && header.width_px > 0) require_tiff_pixels(reader, directory, header);
  return header;
}

}  // namespace

ImageHeader read_image_header(Bytes file, const std::string& name) {
  if (file.empty()) throw DataError(name + ": empty file");
  ImageHeader header;
  if (starts_with(file, kPngSignature)) {
    header = read_png_header(file, name);
  } else if (starts_with(file, "\xFF\xD8\xFF")) {
    header = read_jpeg_header(file, name);
  } else if (starts_with(file, "II") || starts_with(file, "MM")) {
    header = read_tiff_header(file, name);
  } else {
    throw DataError(name + ": neither PNG, JPEG nor TIFF, whatever its extension");
  }
  if (header.height_px <= 0 || header.width_px <= 0) throw DataError(name + ": an image without pixels");
  return header;
}

}  // namespace outsole::image
