// TIFF by libtiff: the layouts that Layout names, in strips or tiles, read a row or a row of tiles at a time.

#include <tiffio.h>

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "core/checked.h"
#include "core/errors.h"
#include "image/picture.h"
#include "image/tiff_directory.h"

namespace outsole::image {

namespace {

// --- Libtiff on a file in memory ------------------------------------------------------------------------------------

/// A file that libtiff reads, and what it says while it does.
struct OpenFile {
  Bytes bytes;
  std::uint64_t at = 0;
  std::string said;         // the first message
  bool has_filler = false;  // its JPEG codec met superfluous bytes before an end
  bool is_reading_pixels = false;

  /// While pixels are read whatever libtiff says tells of damage, but for old ways of writing that it understands.
  /// Before that warnings speak of tags that mean nothing here.
  void note(bool is_error, const std::string& message) {
    const auto says = [&](const char* words) { return message.find(words) != std::string::npos; };
    if (!is_error && (!is_reading_pixels || says("Old-style LZW"))) return;
    if (says("extraneous bytes before marker 0xd9")) {
      has_filler = true;
      return;
    }
    if (said.empty()) said = message;
  }
};

template <bool is_error>
int take_message(TIFF*, void* file, const char*, const char* format, va_list values) {
  std::array<char, 200> text{};
  std::vsnprintf(text.data(), text.size(), format, values);
  static_cast<OpenFile*>(file)->note(is_error, text.data());
  return 1;
}

tmsize_t read_bytes_of(thandle_t handle, void* to, tmsize_t count) {
  OpenFile& file = *static_cast<OpenFile*>(handle);
  if (file.at >= file.bytes.size() || count < 0) return 0;
  const std::uint64_t read = std::min<std::uint64_t>(static_cast<std::uint64_t>(count), file.bytes.size() - file.at);
  std::memcpy(to, file.bytes.data() + file.at, read);
  file.at += read;
  return static_cast<tmsize_t>(read);
}

toff_t seek_in(thandle_t handle, toff_t offset, int whence) {
  OpenFile& file = *static_cast<OpenFile*>(handle);
  file.at = offset + (whence == SEEK_CUR ? file.at : whence == SEEK_END ? file.bytes.size() : 0);
  return file.at;
}

int map_file(thandle_t handle, void** base, toff_t* size) {
  const OpenFile& file = *static_cast<OpenFile*>(handle);
  *base = const_cast<std::byte*>(file.bytes.data());
  *size = file.bytes.size();
  return 1;
}

struct CloseTiff {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using Tiff = std::unique_ptr<TIFF, CloseTiff>;

Tiff open_tiff(OpenFile& file, const std::string& name, std::int64_t most_bytes) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  if (!options) throw std::bad_alloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), take_message<true>, &file);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), take_message<false>, &file);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), most_bytes);
  const auto write = [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; };
  const auto close = [](thandle_t) { return 0; };
  const auto size = [](thandle_t handle) -> toff_t { return static_cast<OpenFile*>(handle)->bytes.size(); };
  const auto unmap = [](thandle_t, void*, toff_t) {};
  // "c": a large strip stays one, and is read row by row.
  Tiff tiff(TIFFClientOpenExt(name.c_str(), "rc", &file, read_bytes_of, write, seek_in, close, size, map_file, unmap,
                              options.get()));
  if (!tiff || !file.said.empty()) throw DataError(name + ": broken or truncated TIFF (" + file.said + ")");
  return tiff;
}

template <typename Value>
Value field(TIFF* tiff, std::uint32_t tag, Value otherwise) {
  Value value{};
  return TIFFGetFieldDefaulted(tiff, tag, &value) == 1 ? value : otherwise;
}

// --- What it holds --------------------------------------------------------------------------------------------------

struct Layout {
  std::int64_t height_px = 0, width_px = 0;
  int bits = 1, samples = 1;  // of a pixel, extra ones included
  int colours = 1;            // samples that are no extra ones
  int photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE;
  bool is_planar = false, is_tiled = false;
  std::int64_t tile_height_px = 0, tile_width_px = 0;
  int alpha = -1;  // which sample
  bool is_premultiplied = false;
  bool has_unknown_extra = false;

  int planes() const { return is_planar ? samples : 1; }
  int samples_a_plane() const { return is_planar ? 1 : samples; }
  int depth_bytes() const { return bits == 16 ? 2 : 1; }
};

/// Whether tests have seen pixels come back right from the compression, for such samples.
bool is_tried_compression(const Layout& layout) {
  switch (layout.compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_LZW:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_LZMA:
    case COMPRESSION_ZSTD:
      return TIFFIsCODECConfigured(static_cast<std::uint16_t>(layout.compression)) != 0;
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
      return layout.bits == 1 && layout.samples == 1;
    case COMPRESSION_JPEG:
      return layout.bits == 8 && !layout.is_planar && layout.samples == layout.colours &&
             layout.photometric != PHOTOMETRIC_SEPARATED && layout.photometric != PHOTOMETRIC_PALETTE;
    default:
      return false;
  }
}

/// How many samples of a pixel carry its grey or colour; 0 for a meaning that is not read.
int colours_of(const Layout& layout) {
  switch (layout.photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_PALETTE:
      return 1;
    case PHOTOMETRIC_RGB:
      return 3;
    case PHOTOMETRIC_SEPARATED:
      return 4;
    case PHOTOMETRIC_YCBCR:
      return layout.compression == COMPRESSION_JPEG ? 3 : 0;
    default:
      return 0;
  }
}

bool is_tried_depth(const Layout& layout) {
  const bool is_shallow = layout.bits == 1 || layout.bits == 2 || layout.bits == 4;
  if (is_shallow) return layout.samples == 1;
  if (layout.photometric == PHOTOMETRIC_PALETTE) return layout.bits == 8;
  return layout.bits == 8 || layout.bits == 16;
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) { throw DataError(name + ": TIFF " + what); }

std::string described(const Layout& layout) {
  constexpr const char* kMeanings[] = {"white-is-zero grey", "grey", "RGB", "palette", "a mask", "inks",
                                       "YCbCr colour"};
  const auto meaning = static_cast<std::size_t>(layout.photometric);
  return "of " + std::to_string(layout.samples) + " samples of " + std::to_string(layout.bits) + " bits, " +
         (meaning < std::size(kMeanings) ? kMeanings[meaning] : "meaning " + std::to_string(layout.photometric)) +
         ", compression " + std::to_string(layout.compression) + (layout.is_planar ? ", in planes" : "");
}

/// The extra samples: an alpha is one only if the file says so.
void take_extra_samples(TIFF* tiff, const std::string& name, Layout& layout) {
  std::uint16_t count = 0;
  std::uint16_t* kinds = nullptr;
  if (TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) != 1) count = 0;
  const int extra = layout.samples - layout.colours;
  for (int i = 0; i < extra; ++i) {
    // Those that the tag does not speak of are not said to be anything.
    const int kind = i < count ? kinds[i] : EXTRASAMPLE_UNSPECIFIED;
    const bool is_alpha = kind == EXTRASAMPLE_ASSOCALPHA || kind == EXTRASAMPLE_UNASSALPHA;
    if (is_alpha && layout.alpha >= 0) refuse(name, "with two alpha channels; save it with one");
    if (is_alpha) {
      layout.alpha = layout.colours + i;
      layout.is_premultiplied = kind == EXTRASAMPLE_ASSOCALPHA;
    } else {
      layout.has_unknown_extra = true;
    }
  }
  if (layout.is_premultiplied && layout.photometric == PHOTOMETRIC_MINISWHITE) {
    refuse(name, "whose white is zero and multiplied by its alpha; save it as RGBA or PNG");
  }
}

Layout layout_of(TIFF* tiff, const std::string& name) {
  constexpr int kMostSamples = 8;
  Layout layout;
  layout.height_px = field<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH, 0);
  layout.width_px = field<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH, 0);
  layout.bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  layout.samples = field<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  std::uint16_t photometric = 0;
  if (TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric) != 1) {
    refuse(name, "that does not say what its samples mean (black or white is zero)");
  }
  layout.photometric = photometric;
  layout.compression = field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  layout.is_planar = layout.samples > 1 &&
                     field<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  layout.is_tiled = TIFFIsTiled(tiff) != 0;
  if (layout.is_tiled) {
    layout.tile_height_px = field<std::uint32_t>(tiff, TIFFTAG_TILELENGTH, 0);
    layout.tile_width_px = field<std::uint32_t>(tiff, TIFFTAG_TILEWIDTH, 0);
  }
  layout.colours = colours_of(layout);
  const bool is_inks_of_print = layout.photometric != PHOTOMETRIC_SEPARATED ||
                                field<std::uint16_t>(tiff, TIFFTAG_INKSET, INKSET_CMYK) == INKSET_CMYK;
  const bool has_its_samples = layout.colours > 0 && layout.samples >= layout.colours &&
                               layout.samples <= kMostSamples &&
                               (layout.photometric != PHOTOMETRIC_PALETTE || layout.samples == 1);
  if (!has_its_samples || !is_inks_of_print || !is_tried_depth(layout) || !is_tried_compression(layout)) {
    refuse(name, described(layout) + ": not read; save it as 8- or 16-bit grey or RGB, uncompressed or LZW, or as PNG");
  }
  take_extra_samples(tiff, name, layout);
  return layout;
}

/// What must hold before libtiff sees the file: it takes memory by these.
void check_directory(const TiffDirectory& directory, const std::string& name, const DecodeLimits& limits) {
  constexpr std::uint64_t kLongestTile = 1 << 13, kMaxLength = INT32_MAX;
  const auto at_least = [&](std::uint16_t tag) { return directory.value_or(tag, 0); };
  if (std::max(at_least(tag::kTileWidth), at_least(tag::kTileLength)) > kLongestTile) {
    refuse(name, "with tiles of more than " + std::to_string(kLongestTile) + " pixels a side");
  }
  const std::uint64_t height = at_least(tag::kImageLength), width = at_least(tag::kImageWidth);
  if (height > kMaxLength || width > kMaxLength) refuse(name, "of impossible size");
  const bool is_deep_colour =
      directory.value_or(tag::kBitsPerSample, 1) == 16 && directory.value_or(tag::kSamplesPerPixel, 1) > 1;
  check_size(static_cast<std::int64_t>(height), static_cast<std::int64_t>(width), is_deep_colour, limits, name);
  constexpr std::uint64_t kReducedCopy = 1;
  if ((directory.value_or(tag::kSubfileType, 0) & kReducedCopy) != 0) {
    refuse(name, "whose first page is a reduced copy; save the full one alone");
  }
}

/// Libtiff mends what contradicts itself, a palette that is missing for example: by a guess, which a reader of evidence
/// does not make.
void require_no_guess(const TiffDirectory& directory, const Layout& layout, const std::string& name) {
  const auto says = [&](std::uint16_t tag, std::uint64_t otherwise, std::int64_t value) {
    return directory.value_or(tag, otherwise) == static_cast<std::uint64_t>(value);
  };
  const bool is_as_said = says(tag::kImageLength, 0, layout.height_px) && says(tag::kImageWidth, 0, layout.width_px) &&
                          says(tag::kBitsPerSample, 1, layout.bits) && says(tag::kSamplesPerPixel, 1, layout.samples) &&
                          says(tag::kPhotometric, 0, layout.photometric);
  if (!is_as_said) refuse(name, "that contradicts itself (" + described(layout) + "?); save it anew");
}

// --- Its pixels -----------------------------------------------------------------------------------------------------

/// Grey of every value of a sample with fewer than 8 bits, or colours of a palette.
struct Table {
  std::vector<std::uint8_t> red, green, blue;  // green and blue empty: grey
};

std::optional<Table> table_of(TIFF* tiff, const Layout& layout, const std::string& name) {
  const int values = 1 << std::min(layout.bits, 8);
  Table table;
  if (layout.photometric != PHOTOMETRIC_PALETTE) {
    if (layout.bits >= 8) return std::nullopt;
    for (int v = 0; v < values; ++v) table.red.push_back(static_cast<std::uint8_t>(v * 255 / (values - 1)));
    return table;
  }
  std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue) != 1) refuse(name, "with a palette that it lacks");
  const auto most = [&](const std::uint16_t* levels) { return *std::max_element(levels, levels + values); };
  // Some programs write levels of 8 bits where 16 are meant.
  const bool is_shallow = std::max({most(red), most(green), most(blue)}) < 256;
  const auto shown = [&](const std::uint16_t* levels) {
    std::vector<std::uint8_t> shallow;
    for (int v = 0; v < values; ++v) {
      shallow.push_back(static_cast<std::uint8_t>(is_shallow ? levels[v] : levels[v] * 255 / 65535));
    }
    return shallow;
  };
  table.red = shown(red);
  table.green = shown(green);
  table.blue = shown(blue);
  return table;
}

/// Brings runs of samples as the file packs them to the picture.
class Painter {
 public:
  Painter(Picture& picture, const Layout& layout, std::optional<Table> table)
      : picture_(picture), layout_(layout), table_(std::move(table)) {
    if (table_) looked_up_.resize(3 * static_cast<std::size_t>(layout.width_px));
  }

  /// `planes`: the first sample of the run in each plane.
  void paint(std::int64_t y, std::int64_t x, std::int64_t count, std::span<const std::uint8_t* const> planes) {
    const int row = static_cast<int>(y), column = static_cast<int>(x), pixels = static_cast<int>(count);
    if (table_) {
      const bool is_grey = table_->green.empty();
      look_up(planes[0], pixels);
      put(picture_, is_grey ? Samples::kGrey : Samples::kRgb, row, column, pixels,
          interleaved(looked_up_.data(), 1, is_grey ? 1 : 3));
      return;
    }
    Run run;
    run.step = layout_.samples_a_plane();
    const auto sample = [&](int s) {
      return layout_.is_planar ? planes[static_cast<std::size_t>(s)] : planes[0] + s * layout_.depth_bytes();
    };
    for (int s = 0; s < layout_.colours; ++s) run.sample[static_cast<std::size_t>(s)] = sample(s);
    if (layout_.alpha >= 0) run.alpha = sample(layout_.alpha);
    const Samples samples = layout_.colours == 1   ? Samples::kGrey
                            : layout_.colours == 3 ? Samples::kRgb
                                                   : Samples::kInks;
    put(picture_, samples, row, column, pixels, run);
  }

 private:
  void look_up(const std::uint8_t* packed, int count) {
    const int mask = (1 << layout_.bits) - 1;
    std::uint8_t* to = looked_up_.data();
    for (int i = 0; i < count; ++i) {
      const int bit = i * layout_.bits;
      const auto value = static_cast<std::size_t>(packed[bit / 8] >> (8 - layout_.bits - bit % 8) & mask);
      *to++ = table_->red[value];
      if (table_->green.empty()) continue;
      *to++ = table_->green[value];
      *to++ = table_->blue[value];
    }
  }

  Picture& picture_;
  const Layout& layout_;
  std::optional<Table> table_;
  std::vector<std::uint8_t> looked_up_;
};

/// Whether libtiff's rows are as long as ours: otherwise it means other samples than Layout does.
bool has_row_bytes(const Layout& layout, tmsize_t row_bytes, std::int64_t width_px) {
  return row_bytes == (width_px * layout.samples_a_plane() * layout.bits + 7) / 8;
}

/// Rows one by one; of planes, which libtiff cannot read beside each other, a strip of each.
bool read_strips(TIFF* tiff, const Layout& layout, Painter& painter) {
  if (!has_row_bytes(layout, TIFFScanlineSize(tiff), layout.width_px)) return false;
  const auto row_bytes = static_cast<std::size_t>(TIFFScanlineSize(tiff));
  std::vector<const std::uint8_t*> row(static_cast<std::size_t>(layout.planes()));
  if (!layout.is_planar) {
    std::vector<std::uint8_t> buffer(row_bytes);
    row[0] = buffer.data();
    for (std::int64_t y = 0; y < layout.height_px; ++y) {
      if (TIFFReadScanline(tiff, buffer.data(), static_cast<std::uint32_t>(y)) != 1) return false;
      painter.paint(y, 0, layout.width_px, row);
    }
    return true;
  }
  const std::int64_t strip_rows =
      std::clamp<std::int64_t>(field<std::uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP, UINT32_MAX), 1, layout.height_px);
  const std::size_t strip_bytes = static_cast<std::size_t>(strip_rows) * row_bytes;
  std::vector<std::uint8_t> buffer(row.size() * strip_bytes);
  for (std::int64_t top = 0; top < layout.height_px; top += strip_rows) {
    const std::int64_t rows = std::min(strip_rows, layout.height_px - top);
    const auto wanted = static_cast<tmsize_t>(static_cast<std::size_t>(rows) * row_bytes);
    for (std::size_t plane = 0; plane < row.size(); ++plane) {
      const auto strip = TIFFComputeStrip(tiff, static_cast<std::uint32_t>(top), static_cast<std::uint16_t>(plane));
      if (TIFFReadEncodedStrip(tiff, strip, buffer.data() + plane * strip_bytes, wanted) != wanted) return false;
    }
    for (std::int64_t y = 0; y < rows; ++y) {
      for (std::size_t plane = 0; plane < row.size(); ++plane) {
        row[plane] = buffer.data() + plane * strip_bytes + static_cast<std::size_t>(y) * row_bytes;
      }
      painter.paint(top + y, 0, layout.width_px, row);
    }
  }
  return true;
}

bool read_tiles(TIFF* tiff, const Layout& layout, Painter& painter) {
  if (!has_row_bytes(layout, TIFFTileRowSize(tiff), layout.tile_width_px)) return false;
  const auto row_bytes = static_cast<std::size_t>(TIFFTileRowSize(tiff));
  const tmsize_t tile_bytes = TIFFTileSize(tiff);
  constexpr tmsize_t kMostTileBytes = tmsize_t{1} << 28;
  if (tile_bytes != TIFFTileRowSize(tiff) * layout.tile_height_px || tile_bytes > kMostTileBytes / layout.planes()) {
    return false;
  }
  std::vector<std::uint8_t> buffer(static_cast<std::size_t>(layout.planes()) * static_cast<std::size_t>(tile_bytes));
  std::vector<const std::uint8_t*> row(static_cast<std::size_t>(layout.planes()));
  for (std::int64_t top = 0; top < layout.height_px; top += layout.tile_height_px) {
    for (std::int64_t left = 0; left < layout.width_px; left += layout.tile_width_px) {
      const auto tile = [&](std::size_t plane) { return buffer.data() + plane * static_cast<std::size_t>(tile_bytes); };
      for (std::size_t plane = 0; plane < row.size(); ++plane) {
        if (TIFFReadTile(tiff, tile(plane), static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(top), 0,
                         static_cast<std::uint16_t>(plane)) != tile_bytes) {
          return false;
        }
      }
      const std::int64_t rows = std::min(layout.tile_height_px, layout.height_px - top);
      for (std::int64_t y = 0; y < rows; ++y) {
        for (std::size_t plane = 0; plane < row.size(); ++plane) {
          row[plane] = tile(plane) + static_cast<std::size_t>(y) * row_bytes;
        }
        painter.paint(top + y, left, std::min(layout.tile_width_px, layout.width_px - left), row);
      }
    }
  }
  return true;
}

// --- What it says of them -------------------------------------------------------------------------------------------

void take_facts(const TiffDirectory& directory, const Layout& layout, Picture& picture) {
  constexpr std::uint64_t kInch = 2, kCentimetre = 3;
  picture.white_is_zero = layout.photometric == PHOTOMETRIC_MINISWHITE;
  picture.is_premultiplied = layout.is_premultiplied;
  const std::uint64_t orientation = directory.value_or(tag::kOrientation, 1);
  if (orientation >= 1 && orientation <= 8) picture.orientation = static_cast<int>(orientation);
  const std::uint64_t unit = directory.value_or(tag::kResolutionUnit, kInch);
  const double factor = unit == kCentimetre ? kCmAnInch : 1;
  picture.resolutions.push_back({factor * directory.fraction(tag::kXResolution),
                                 factor * directory.fraction(tag::kYResolution), unit != kInch && unit != kCentimetre});
  const std::uint64_t most = directory.value_or(tag::kMaxSampleValue, 0);
  if (layout.bits == 16 && std::has_single_bit(most + 1)) picture.stated_bits = std::bit_width(most);
  if (layout.has_unknown_extra) {
    picture.oddities.push_back({"a sample of its pixels is not said to be transparency, and is passed over",
                                "sample " + std::to_string(layout.samples) + " of " + std::to_string(layout.samples)});
  }
  if (directory.has_next()) picture.oddities.push_back({"a TIFF of several pages, of which the first is read", ""});
}

}  // namespace

Picture decode_tiff(Bytes file, const std::string& name, const DecodeLimits& limits) {
  const TiffDirectory directory(file, name);
  constexpr std::uint16_t kSampleFormat = 339;
  if (directory.value_or(kSampleFormat, 1) != 1) {
    refuse(name, "of signed or floating-point samples; convert it to 8 or 16 bit unsigned");
  }
  check_directory(directory, name, limits);
  OpenFile open_file;
  open_file.bytes = file;
  constexpr std::int64_t kMostBytesAPixel = 16, kLeastBytes = std::int64_t{64} << 20;
  const Tiff tiff = open_tiff(open_file, name, std::max(kLeastBytes, kMostBytesAPixel * limits.max_pixels));
  const Layout layout = layout_of(tiff.get(), name);
  require_no_guess(directory, layout, name);
  if (layout.photometric == PHOTOMETRIC_YCBCR) TIFFSetField(tiff.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);

  Picture picture = blank_picture(layout.height_px, layout.width_px, layout.bits, layout.alpha >= 0);
  Painter painter(picture, layout, table_of(tiff.get(), layout, name));
  open_file.is_reading_pixels = true;
  const bool is_whole =
      layout.is_tiled ? read_tiles(tiff.get(), layout, painter) : read_strips(tiff.get(), layout, painter);
  if (!is_whole || !open_file.said.empty()) {
    throw DataError(name + ": truncated, or its pixels are damaged (" +
                    (open_file.said.empty() ? "a strip or tile is not what its size promises" : open_file.said) + ")");
  }
  if (open_file.has_filler) picture.oddities.push_back({kFiller, ""});
  take_facts(directory, layout, picture);
  return picture;
}

}  // namespace outsole::image
