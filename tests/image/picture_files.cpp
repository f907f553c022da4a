#include "picture_files.h"

#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>

#include <algorithm>
#include <cmath>
#include <cstdio>  // jpeglib.h needs it
#include <cstring>
#include <fstream>
#include <memory>

namespace outsole::testing {

namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open_file(const std::filesystem::path& path) { return {std::fopen(path.c_str(), "wb"), std::fclose}; }

/// Samples of one row, packed high bits first; 16 bits in the machine's order or big-endian.
std::vector<std::uint8_t> packed(const std::vector<int>& samples, int bits, bool is_big_endian) {
  std::vector<std::uint8_t> bytes((samples.size() * static_cast<std::size_t>(bits) + 7) / 8, 0);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto sample = static_cast<std::uint16_t>(samples[i]);
    if (bits == 16 && is_big_endian) {
      bytes[2 * i] = static_cast<std::uint8_t>(sample >> 8);
      bytes[2 * i + 1] = static_cast<std::uint8_t>(sample);
    } else if (bits == 16) {
      std::memcpy(&bytes[2 * i], &sample, 2);
    } else {
      const std::size_t bit = i * static_cast<std::size_t>(bits);
      bytes[bit / 8] =
          static_cast<std::uint8_t>(bytes[bit / 8] | sample << (8 - static_cast<std::size_t>(bits) - bit % 8));
    }
  }
  return bytes;
}

/// An 8-bit level as a sample of `bits`, of which only the `used` low or high ones are used.
int scaled(int level, int bits, int used = 0, bool uses_high = false) {
  const int kept = used > 0 ? used : bits;
  const int sample = static_cast<int>(std::lround(level * ((1 << kept) - 1) / 255.0));
  return uses_high ? sample << (bits - kept) : sample;
}

void put_le(std::string& bytes, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
}

}  // namespace

Picture stored_as(const Picture& upright, int orientation) {
  const int height = upright.rows, width = upright.cols;
  const bool is_turned = orientation >= 5;
  Picture stored(is_turned ? width : height, is_turned ? height : width);
  for (int r = 0; r < stored.rows; ++r) {
    for (int c = 0; c < stored.cols; ++c) {
      const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
      const bool from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
      const int down = is_turned ? c : r, across = is_turned ? r : c;
      stored(r, c) = upright(from_bottom ? height - 1 - down : down, from_right ? width - 1 - across : across);
    }
  }
  return stored;
}

std::vector<int> indices_of(const Picture& picture, const std::vector<cv::Vec4b>& palette) {
  std::vector<int> indices;
  for (const cv::Vec4b& pixel : picture) {
    indices.push_back(static_cast<int>(std::find(palette.begin(), palette.end(), pixel) - palette.begin()));
  }
  return indices;
}

std::string exif_of(int orientation, double dpi, bool is_big_endian) {
  std::string bytes;
  const auto put = [&](std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) {
      bytes += static_cast<char>(value >> (8 * (is_big_endian ? count - 1 - i : i)) & 255);
    }
  };
  const std::uint64_t entries = dpi > 0 ? 4 : 1, values_at = 8 + 2 + 12 * entries + 4;
  bytes = is_big_endian ? "MM" : "II";
  put(42, 2);
  put(8, 4);
  put(entries, 2);
  const auto put_short = [&](std::uint64_t tag, std::uint64_t value) {
    put(tag, 2);
    put(3, 2);
    put(1, 4);
    put(value, 2);
    put(0, 2);
  };
  put_short(0x0112, static_cast<std::uint64_t>(orientation));
  if (dpi > 0) {
    for (const std::uint64_t tag : {0x011A, 0x011B}) {
      put(tag, 2);
      put(5, 2);
      put(1, 4);
      put(values_at, 4);
    }
    put_short(0x0128, 2);
  }
  put(0, 4);
  put(static_cast<std::uint64_t>(std::lround(dpi * 10)), 4);
  put(10, 4);
  return bytes;
}

void write_png(const std::filesystem::path& path, const Picture& picture, const PngWay& way) {
  const File file = open_file(path);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file.get());
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.cols), static_cast<png_uint_32>(picture.rows), way.depth,
               way.colour, way.is_interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (way.x_per_metre > 0) {
    png_set_pHYs(png, info, static_cast<png_uint_32>(std::lround(way.x_per_metre)),
                 static_cast<png_uint_32>(std::lround(way.y_per_metre)),
                 way.has_metre ? PNG_RESOLUTION_METER : PNG_RESOLUTION_UNKNOWN);
  }
  if (way.stated_bits > 0) {
    const auto bits = static_cast<png_byte>(way.stated_bits);
    const png_color_8 significant{bits, bits, bits, bits, bits};
    png_set_sBIT(png, info, &significant);
  }
  std::string exif = way.exif;
  if (!exif.empty()) {
    png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), reinterpret_cast<png_bytep>(exif.data()));
  }
  if (way.transparent_grey >= 0) {
    png_color_16 colour{};
    colour.gray = static_cast<png_uint_16>(way.transparent_grey);
    png_set_tRNS(png, info, nullptr, 0, &colour);
  }
  if (way.colour == PNG_COLOR_TYPE_PALETTE) {
    std::vector<png_color> colours;
    std::vector<png_byte> alphas;
    bool is_opaque = true;
    for (const cv::Vec4b& c : way.palette) {
      colours.push_back({c[0], c[1], c[2]});
      alphas.push_back(c[3]);
      is_opaque &= c[3] == 255;
    }
    png_set_PLTE(png, info, colours.data(), static_cast<int>(colours.size()));
    if (!is_opaque) png_set_tRNS(png, info, alphas.data(), static_cast<int>(alphas.size()), nullptr);
  }
  png_write_info(png, info);

  const std::vector<int> indices = indices_of(picture, way.palette);
  std::vector<std::vector<std::uint8_t>> rows;
  for (int y = 0; y < picture.rows; ++y) {
    std::vector<int> samples;
    for (int x = 0; x < picture.cols; ++x) {
      const cv::Vec4b& pixel = picture(y, x);
      const auto add = [&](int level) { samples.push_back(scaled(level, way.depth, way.used_bits)); };
      if (way.colour == PNG_COLOR_TYPE_PALETTE) {
        samples.push_back(indices[static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.cols) +
                                  static_cast<std::size_t>(x)]);
        continue;
      }
      add(pixel[0]);
      if ((way.colour & PNG_COLOR_MASK_COLOR) != 0) {
        add(pixel[1]);
        add(pixel[2]);
      }
      if ((way.colour & PNG_COLOR_MASK_ALPHA) != 0) add(pixel[3]);
    }
    rows.push_back(packed(samples, way.depth, /*is_big_endian=*/true));
  }
  std::vector<png_bytep> pointers;
  for (auto& row : rows) pointers.push_back(row.data());
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

void write_jpeg(const std::filesystem::path& path, const Picture& picture, const JpegWay& way) {
  using Colours = JpegWay::Colours;
  const File file = open_file(path);
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_stdio_dest(&jpeg, file.get());
  jpeg.image_width = static_cast<JDIMENSION>(picture.cols);
  jpeg.image_height = static_cast<JDIMENSION>(picture.rows);
  const bool is_inks = way.colours == Colours::kAdobeCmyk || way.colours == Colours::kAdobeYcck;
  jpeg.input_components = way.colours == Colours::kGrey ? 1 : is_inks ? 4 : 3;
  jpeg.in_color_space = way.colours == Colours::kGrey ? JCS_GRAYSCALE : is_inks ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  constexpr J_COLOR_SPACE kSpaces[] = {JCS_GRAYSCALE, JCS_YCbCr, JCS_RGB, JCS_CMYK, JCS_YCCK};
  jpeg_set_colorspace(&jpeg, kSpaces[static_cast<int>(way.colours)]);
  jpeg_set_quality(&jpeg, 100, TRUE);
  if (way.is_progressive) jpeg_simple_progression(&jpeg);
  jpeg.arith_code = way.is_arithmetic ? TRUE : FALSE;
  jpeg.restart_interval = static_cast<unsigned int>(way.restart_interval);
  jpeg.density_unit = static_cast<UINT8>(way.density_unit);
  jpeg.X_density = static_cast<UINT16>(way.x_density);
  jpeg.Y_density = static_cast<UINT16>(way.y_density);
  jpeg_start_compress(&jpeg, TRUE);
  if (!way.exif.empty()) {
    const std::string marker = std::string("Exif\0\0", 6) + way.exif;
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(marker.data()),
                      static_cast<unsigned int>(marker.size()));
  }
  for (int y = 0; y < picture.rows; ++y) {
    std::vector<JSAMPLE> row;
    for (int x = 0; x < picture.cols; ++x) {
      const cv::Vec4b& pixel = picture(y, x);
      row.push_back(pixel[0]);
      if (jpeg.input_components >= 3) {
        row.push_back(pixel[1]);
        row.push_back(pixel[2]);
      }
      if (is_inks) row.push_back(255);  // Adobe: no black ink
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&jpeg, &pointer, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
}

namespace {

/// The samples of a pixel as a layout keeps them.
std::vector<int> samples_of(const cv::Vec4b& pixel, const TiffWay& way, int index) {
  if (way.photometric == PHOTOMETRIC_PALETTE) return {index};
  const auto level = [&](int l) { return scaled(l, way.bits, way.used_bits, way.uses_high_bits); };
  const int white = level(255), alpha = level(pixel[3]);
  const auto multiplied = [&](int sample) {
    if (way.alpha != AlphaKind::kPremultiplied) return sample;
    return static_cast<int>((std::int64_t{sample} * alpha + white / 2) / white);
  };
  std::vector<int> samples;
  switch (way.photometric) {
    case PHOTOMETRIC_MINISWHITE:
      samples = {white - level(pixel[0])};
      break;
    case PHOTOMETRIC_MINISBLACK:
      samples = {multiplied(level(pixel[0]))};
      break;
    case PHOTOMETRIC_SEPARATED:
      samples = {white - level(pixel[0]), white - level(pixel[1]), white - level(pixel[2]), 0};
      break;
    default:
      samples = {multiplied(level(pixel[0])), multiplied(level(pixel[1])), multiplied(level(pixel[2]))};
  }
  if (way.alpha != AlphaKind::kNone) samples.push_back(alpha);
  return samples;
}

}  // namespace

void write_tiff(const std::filesystem::path& path, const Picture& picture, const TiffWay& way) {
  TIFFSetWarningHandler(nullptr);  // old ways of writing are wanted here
  TIFF* tiff = TIFFOpen(path.c_str(), way.mode.c_str());
  const std::vector<int> indices = indices_of(picture, way.palette);
  const auto index_at = [&](int y, int x) {
    return indices[static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.cols) + static_cast<std::size_t>(x)];
  };
  const auto samples = static_cast<int>(samples_of(picture(0, 0), way, 0).size());
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, picture.cols);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, picture.rows);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, way.bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, samples);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, way.photometric);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, way.compression);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, way.is_planar ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  if (way.predictor != 1) TIFFSetField(tiff, TIFFTAG_PREDICTOR, way.predictor);
  if (way.orientation != 1) TIFFSetField(tiff, TIFFTAG_ORIENTATION, way.orientation);
  if (way.fill_order != 1) TIFFSetField(tiff, TIFFTAG_FILLORDER, way.fill_order);
  if (way.max_sample_value > 0) TIFFSetField(tiff, TIFFTAG_MAXSAMPLEVALUE, way.max_sample_value);
  if (way.compression == COMPRESSION_JPEG) {
    TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, 100);
    if (way.photometric == PHOTOMETRIC_YCBCR) {
      TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, 1, 1);
    }
  }
  if (way.x_dpi > 0) {
    TIFFSetField(tiff, TIFFTAG_XRESOLUTION, way.x_dpi);
    TIFFSetField(tiff, TIFFTAG_YRESOLUTION, way.y_dpi);
    TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, way.resolution_unit);
  }
  if (way.alpha != AlphaKind::kNone) {
    const std::uint16_t kind = way.alpha == AlphaKind::kStraight        ? EXTRASAMPLE_UNASSALPHA
                               : way.alpha == AlphaKind::kPremultiplied ? EXTRASAMPLE_ASSOCALPHA
                                                                        : EXTRASAMPLE_UNSPECIFIED;
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &kind);
  }
  if (way.photometric == PHOTOMETRIC_PALETTE) {
    std::vector<std::vector<std::uint16_t>> map(3, std::vector<std::uint16_t>(std::size_t{1} << way.bits, 0));
    for (std::size_t i = 0; i < way.palette.size(); ++i) {
      for (int c = 0; c < 3; ++c)
        map[static_cast<std::size_t>(c)][i] = static_cast<std::uint16_t>(way.palette[i][c] * 257);
    }
    TIFFSetField(tiff, TIFFTAG_COLORMAP, map[0].data(), map[1].data(), map[2].data());
  }
  const int planes = way.is_planar ? samples : 1;
  /// Samples of `count` pixels from (y, x) on, of one plane or all; beyond the picture 0.
  const auto run = [&](int y, int x, int count, int plane) {
    std::vector<int> values;
    for (int i = x; i < x + count; ++i) {
      const bool is_inside = y < picture.rows && i < picture.cols;
      const std::vector<int> all = is_inside ? samples_of(picture(y, i), way, way.palette.empty() ? 0 : index_at(y, i))
                                             : std::vector<int>(static_cast<std::size_t>(samples), 0);
      if (way.is_planar) {
        values.push_back(all[static_cast<std::size_t>(plane)]);
      } else {
        values.insert(values.end(), all.begin(), all.end());
      }
    }
    return packed(values, way.bits, /*is_big_endian=*/false);
  };
  if (way.tile_px > 0) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, way.tile_px);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, way.tile_px);
    for (int plane = 0; plane < planes; ++plane) {
      for (int top = 0; top < picture.rows; top += way.tile_px) {
        for (int left = 0; left < picture.cols; left += way.tile_px) {
          std::vector<std::uint8_t> tile;
          for (int y = top; y < top + way.tile_px; ++y) {
            const auto row = run(y, left, way.tile_px, plane);
            tile.insert(tile.end(), row.begin(), row.end());
          }
          TIFFWriteTile(tiff, tile.data(), static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(top), 0,
                        static_cast<std::uint16_t>(plane));
        }
      }
    }
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, way.rows_per_strip);
    for (int plane = 0; plane < planes; ++plane) {
      for (int y = 0; y < picture.rows; ++y) {
        auto row = run(y, 0, picture.cols, plane);
        TIFFWriteScanline(tiff, row.data(), static_cast<std::uint32_t>(y), static_cast<std::uint16_t>(plane));
      }
    }
  }
  TIFFClose(tiff);
}

std::string bare_tiff(std::vector<BareTag> tags, const std::string& strip) {
  constexpr int kOffsets = 273, kCounts = 279;
  const auto has = [&](int number) {
    return std::ranges::any_of(tags, [&](const BareTag& t) { return t.number == number; });
  };
  if (!has(kOffsets)) tags.push_back({kOffsets, 4, {8}});
  if (!has(kCounts)) tags.push_back({kCounts, 4, {static_cast<double>(strip.size())}});
  std::ranges::sort(tags, {}, &BareTag::number);
  std::string file = "II*";
  file += '\0';
  const std::string pixels = strip + (strip.size() % 2 == 0 ? "" : std::string(1, '\0'));
  put_le(file, 8 + pixels.size(), 4);
  file += pixels;
  std::string directory, values;
  put_le(directory, tags.size(), 2);
  const std::size_t values_at = file.size() + 2 + 12 * tags.size() + 4;
  for (const BareTag& t : tags) {
    std::string data;
    for (const double value : t.values) {
      if (t.type == 5) put_le(data, static_cast<std::uint64_t>(std::llround(value * 1000)), 4);
      put_le(data, t.type == 5 ? 1000 : static_cast<std::uint64_t>(value), t.type == 3 ? 2 : 4);
    }
    put_le(directory, static_cast<std::uint64_t>(t.number), 2);
    put_le(directory, static_cast<std::uint64_t>(t.type), 2);
    put_le(directory, t.values.size(), 4);
    if (data.size() > 4) {
      put_le(directory, values_at + values.size(), 4);
      values += data + std::string(data.size() % 2, '\0');
    } else {
      directory += data + std::string(4 - data.size(), '\0');
    }
  }
  put_le(directory, 0, 4);
  return file + directory + values;
}

}  // namespace outsole::testing
