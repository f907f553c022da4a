// One picture, one result: the same picture from every container, depth, meaning of its levels, way up, alpha, order of
// bytes, cut into strips or tiles, and compression.

#include <gmock/gmock.h>
#include <tiffio.h>

#include <cmath>
#include <functional>
#include <map>
#include <random>

#include "core/errors.h"
#include "image/image.h"
#include "picture_files.h"
#include "temporary_folder.h"

namespace outsole::image {
namespace {

using outsole::testing::AlphaKind;
using outsole::testing::exif_of;
using outsole::testing::JpegWay;
using outsole::testing::Picture;
using outsole::testing::PngWay;
using outsole::testing::stored_as;
using outsole::testing::TiffWay;
using outsole::testing::write_jpeg;
using outsole::testing::write_png;
using outsole::testing::write_tiff;
using ::testing::HasSubstr;

// Neither is a multiple of a byte's pixels or a tile, and they differ.
constexpr int kHeight = 37, kWidth = 53;

std::vector<cv::Vec4b> palette_of(int bits, bool is_transparent) {
  std::mt19937 random(static_cast<unsigned>(bits));
  std::vector<cv::Vec4b> palette;
  for (int i = 0; i < 1 << bits; ++i) {
    const auto level = [&] { return static_cast<uchar>(random() & 255); };
    palette.emplace_back(level(), level(), level(), is_transparent && i % 3 == 0 ? uchar{0} : uchar{255});
  }
  return palette;
}

/// Levels of `bits` bits, all of them and black and white among them; transparent: a corner, and a stripe of half.
Picture picture_of(int bits, bool is_colour, bool is_transparent, int block_px = 1) {
  std::mt19937 random(7);
  const int height = block_px == 1 ? kHeight : 5 * block_px, width = block_px == 1 ? kWidth : 6 * block_px;
  Picture picture(height, width);
  const int most = (1 << bits) - 1;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (y % block_px != 0 || x % block_px != 0) {
        picture(y, x) = picture(y - y % block_px, x - x % block_px);
        continue;
      }
      const auto level = [&] { return static_cast<uchar>(static_cast<int>(random() >> 8) % (most + 1) * 255 / most); };
      cv::Vec4b& pixel = picture(y, x) = cv::Vec4b::all(level());
      if (y + x == 0) pixel = cv::Vec4b::all(255);
      if (y + x == block_px) pixel = cv::Vec4b::all(0);
      if (is_colour && y + x > block_px) pixel = {level(), level(), level(), 255};
      pixel[3] = 255;
      if (is_transparent && y < 9 && x < 20 && y + x > 1) pixel[3] = 0;
      if (is_transparent && y == 20) pixel[3] = 100;
      if (is_transparent && y == 21) pixel[3] = 200;
    }
  }
  return picture;
}

Picture picture_of(const std::vector<cv::Vec4b>& palette) {
  std::mt19937 random(9);
  Picture picture(kHeight, kWidth);
  for (cv::Vec4b& pixel : picture) pixel = palette[random() % palette.size()];
  return picture;
}

/// What is seen of the picture on paper, at 8 or 16 bits.
cv::Mat seen(const Picture& picture, int bits) {
  const std::int64_t white = bits == 16 ? 65535 : 255, factor = white / 255;
  cv::Mat grey(picture.size(), bits == 16 ? CV_16UC1 : CV_8UC1);
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      const cv::Vec4b& p = picture(y, x);
      const std::int64_t luminance = (factor * (299 * p[0] + 587 * p[1] + 114 * p[2]) + 500) / 1000;
      const std::int64_t alpha = factor * p[3];
      const std::int64_t level = (luminance * alpha + white / 2) / white + white - alpha;
      if (bits == 16) {
        grey.at<std::uint16_t>(y, x) = static_cast<std::uint16_t>(level);
      } else {
        grey.at<std::uint8_t>(y, x) = static_cast<std::uint8_t>(level);
      }
    }
  }
  return grey;
}

cv::Mat mask_of(const Picture& picture) {
  cv::Mat alpha;
  cv::extractChannel(picture, alpha, 3);
  const cv::Mat mask = alpha >= 128;
  return cv::countNonZero(mask) == picture.rows * picture.cols ? cv::Mat() : mask;
}

double largest_difference(const cv::Mat& a, const cv::Mat& b) {
  if (a.size() != b.size()) return 1e9;
  return a.empty() ? 0 : cv::norm(a, b, cv::NORM_INF);
}

class OnePicture : public outsole::testing::TemporaryFolder {
 protected:
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  /// Reads the file and holds it to what is seen of the picture, at the depth that it is kept in.
  void expect(const std::filesystem::path& file, const Picture& picture, int bits, const std::string& way,
              double tolerance = 0) {
    ++inputs_;
    try {
      const DecodedImage image = read_image(file);
      EXPECT_EQ(image.grey.depth(), bits == 16 ? CV_16U : CV_8U) << way;
      EXPECT_LE(largest_difference(image.grey, seen(picture, bits)), tolerance) << way;
      EXPECT_EQ(largest_difference(image.support, mask_of(picture)), 0) << way;
    } catch (const DataError& error) {
      ADD_FAILURE() << way << ": " << error.what();
    }
  }

  /// The same to 8 bits, for what loses a little on the way.
  void expect_levels(const std::filesystem::path& file, const Picture& picture, const std::string& way,
                     double tolerance = 0) {
    ++inputs_;
    try {
      EXPECT_LE(largest_difference(to_8_bit(read_image(file).grey), seen(picture, 8)), tolerance) << way;
    } catch (const DataError& error) {
      ADD_FAILURE() << way << ": " << error.what();
    }
  }

  std::string refusal(const std::filesystem::path& file) {
    ++inputs_;
    try {
      read_image(file);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file.string()));
      return error.what();
    }
    return "no refusal";
  }

  int inputs_ = 0;
};

TEST_F(OnePicture, FromPngOfEveryTypeAndDepth) {
  for (const bool is_interlaced : {false, true}) {
    for (const int depth : {1, 2, 4, 8, 16}) {
      for (const int colour : {0, 2, 3, 4, 6}) {
        if ((colour == 3 && depth == 16) || (colour != 0 && colour != 3 && depth < 8)) continue;
        for (const bool is_transparent : {false, true}) {
          const bool has_alpha = colour == 3 || colour == 4 || colour == 6;
          if (is_transparent && !has_alpha) continue;
          PngWay way{.depth = depth, .colour = colour, .is_interlaced = is_interlaced};
          if (colour == 3) way.palette = palette_of(depth, is_transparent);
          const Picture picture =
              colour == 3 ? picture_of(way.palette) : picture_of(std::min(depth, 8), (colour & 2) != 0, is_transparent);
          write_png(path("a.png"), picture, way);
          expect(path("a.png"), picture, depth,
                 "PNG colour " + std::to_string(colour) + " depth " + std::to_string(depth) +
                     (is_interlaced ? " interlaced" : "") + (is_transparent ? " transparent" : ""));
        }
      }
    }
  }
  EXPECT_GE(inputs_, 30);
}

TEST_F(OnePicture, FromPngWithATransparentGrey) {
  for (const int depth : {1, 4, 8, 16}) {
    Picture picture = picture_of(std::min(depth, 8), false, false);
    write_png(path("a.png"), picture, {.depth = depth, .colour = 0, .transparent_grey = 0});
    for (cv::Vec4b& pixel : picture) pixel[3] = pixel[0] == 0 ? 0 : 255;
    expect(path("a.png"), picture, depth, "PNG with a transparent grey, depth " + std::to_string(depth));
  }
}

TEST_F(OnePicture, FromJpegOfEveryKind) {
  using Colours = JpegWay::Colours;
  for (const Colours colours :
       {Colours::kGrey, Colours::kYCbCr, Colours::kRgb, Colours::kAdobeCmyk, Colours::kAdobeYcck}) {
    for (const bool is_progressive : {false, true}) {
      for (const bool is_arithmetic : {false, true}) {
        for (const int restart_interval : {0, 3}) {
          // Blocks of one level each are kept exactly.
          const bool has_colour = colours == Colours::kRgb || colours == Colours::kAdobeCmyk;
          const Picture picture = picture_of(8, has_colour, false, 8);
          write_jpeg(path("a.jpg"), picture, {colours, is_progressive, is_arithmetic, restart_interval});
          expect(path("a.jpg"), picture, 8,
                 "JPEG colours " + std::to_string(static_cast<int>(colours)) + (is_progressive ? " progressive" : "") +
                     (is_arithmetic ? " arithmetic" : "") + " restart " + std::to_string(restart_interval));
        }
      }
    }
  }
  EXPECT_EQ(inputs_, 40);
}

std::string described(const TiffWay& way) {
  return "TIFF " + way.mode + " bits " + std::to_string(way.bits) + " photometric " + std::to_string(way.photometric) +
         " compression " + std::to_string(way.compression) + " predictor " + std::to_string(way.predictor) +
         (way.is_planar ? " planar" : "") + " tile " + std::to_string(way.tile_px) + " strip " +
         std::to_string(way.rows_per_strip) + " alpha " + std::to_string(static_cast<int>(way.alpha)) +
         " orientation " + std::to_string(way.orientation) + " fill order " + std::to_string(way.fill_order);
}

/// All meanings x depths x alphas that are read.
std::vector<TiffWay> tiff_layouts() {
  std::vector<TiffWay> layouts;
  for (const int photometric : {0, 1}) {
    for (const int bits : {1, 2, 4, 8, 16}) layouts.push_back({.bits = bits, .photometric = photometric});
  }
  for (const int bits : {1, 2, 4, 8}) {
    layouts.push_back({.bits = bits, .photometric = PHOTOMETRIC_PALETTE, .palette = palette_of(bits, false)});
  }
  for (const int bits : {8, 16}) {
    layouts.push_back({.bits = bits, .photometric = PHOTOMETRIC_RGB});
    layouts.push_back({.bits = bits, .photometric = PHOTOMETRIC_SEPARATED});
    layouts.push_back({.bits = bits, .photometric = PHOTOMETRIC_MINISWHITE, .alpha = AlphaKind::kStraight});
    layouts.push_back({.bits = bits, .photometric = PHOTOMETRIC_SEPARATED, .alpha = AlphaKind::kStraight});
    for (const int photometric : {PHOTOMETRIC_MINISBLACK, PHOTOMETRIC_RGB}) {
      for (const AlphaKind alpha : {AlphaKind::kStraight, AlphaKind::kPremultiplied, AlphaKind::kUnspecified}) {
        layouts.push_back({.bits = bits, .photometric = photometric, .alpha = alpha});
      }
    }
  }
  return layouts;
}

/// The picture that a layout can keep. A sample that is not said to be alpha hides nothing.
Picture picture_for(const TiffWay& way) {
  if (!way.palette.empty()) return picture_of(way.palette);
  const bool is_colour = way.photometric == PHOTOMETRIC_RGB || way.photometric == PHOTOMETRIC_SEPARATED;
  const bool is_transparent = way.alpha == AlphaKind::kStraight || way.alpha == AlphaKind::kPremultiplied;
  return picture_of(std::min(way.bits, 8), is_colour, is_transparent);
}

TEST_F(OnePicture, FromTiffOfEveryLayoutCutAndCompression) {
  for (TiffWay way : tiff_layouts()) {
    const Picture picture = picture_for(way);
    // Grey of a premultiplied colour is that of rounded samples.
    const bool is_rounded = way.alpha == AlphaKind::kPremultiplied && way.photometric == PHOTOMETRIC_RGB;
    for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS}) {
      for (const bool is_planar : {false, true}) {
        if (is_planar && (way.photometric < 2 || !way.palette.empty()) && way.alpha == AlphaKind::kNone) continue;
        for (const int tile_px : {0, 16}) {
          way.compression = compression;
          way.is_planar = is_planar;
          way.tile_px = tile_px;
          write_tiff(path("a.tif"), picture, way);
          expect(path("a.tif"), picture, way.bits, described(way), is_rounded ? 1 : 0);
        }
      }
    }
  }
  EXPECT_GE(inputs_, 300);
}

TEST_F(OnePicture, FromTiffOfEveryOrderOfBytesAndBits) {
  for (TiffWay way : tiff_layouts()) {
    if (way.alpha == AlphaKind::kPremultiplied) continue;
    const Picture picture = picture_for(way);
    for (const std::string mode : {"wl", "wb", "wl8", "wb8"}) {
      for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW}) {
        for (const int fill_order : {1, 2}) {
          way.mode = mode;
          way.compression = compression;
          way.fill_order = fill_order;
          write_tiff(path("a.tif"), picture, way);
          expect(path("a.tif"), picture, way.bits, described(way));
        }
      }
    }
  }
  EXPECT_GE(inputs_, 300);
}

TEST_F(OnePicture, FromTiffOfRarerCompressions) {
  const auto try_it = [&](TiffWay way, const Picture& picture) {
    if (TIFFIsCODECConfigured(static_cast<std::uint16_t>(way.compression)) == 0) return;
    for (const int tile_px : {0, 16}) {
      for (const int rows_per_strip : {1, 5, kHeight}) {
        way.tile_px = tile_px;
        way.rows_per_strip = rows_per_strip;
        write_tiff(path("a.tif"), picture, way);
        expect(path("a.tif"), picture, way.bits, described(way));
      }
    }
  };
  for (const int photometric : {0, 1}) {
    for (const int compression : {COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3, COMPRESSION_CCITTFAX4}) {
      try_it({.bits = 1, .photometric = photometric, .compression = compression}, picture_of(1, false, false));
    }
  }
  for (const int bits : {8, 16}) {
    for (const int photometric : {0, 1, 2}) {
      const Picture picture = picture_of(8, photometric == 2, false);
      for (const int compression : {COMPRESSION_DEFLATE, COMPRESSION_LZMA, COMPRESSION_ZSTD}) {
        try_it({.bits = bits, .photometric = photometric, .compression = compression}, picture);
      }
      for (const int compression : {COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
        try_it({.bits = bits, .photometric = photometric, .compression = compression, .predictor = 2}, picture);
      }
    }
  }
  EXPECT_GE(inputs_, 60);
}

TEST_F(OnePicture, FromJpegInTiff) {
  for (const int photometric : {0, 1, 2, 6}) {
    for (const int tile_px : {0, 16}) {
      const Picture picture = picture_of(8, photometric == 2, false, 8);
      const TiffWay way{
          .photometric = photometric, .compression = COMPRESSION_JPEG, .tile_px = tile_px, .rows_per_strip = 16};
      write_tiff(path("a.tif"), picture, way);
      expect(path("a.tif"), picture, 8, described(way));
    }
  }
}

TEST_F(OnePicture, WhicheverWayUpItIsStored) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const auto said = [&](const std::filesystem::path& file) {
      for (const Oddity& oddity : read_image(file).oddities) {
        if (oddity.what.find("turned upright") != std::string::npos) return oddity.detail;
      }
      return std::string();
    };
    const std::string expected = orientation == 1 ? "" : "orientation " + std::to_string(orientation);
    const Picture opaque = picture_of(8, true, false), transparent = picture_of(8, true, true);
    for (const int bits : {8, 16}) {
      for (const bool is_transparent : {false, true}) {
        const Picture& picture = is_transparent ? transparent : opaque;
        for (const int tile_px : {0, 16}) {
          TiffWay way{.bits = bits, .photometric = 2, .tile_px = tile_px, .orientation = orientation};
          way.alpha = is_transparent ? AlphaKind::kStraight : AlphaKind::kNone;
          write_tiff(path("a.tif"), stored_as(picture, orientation), way);
          expect(path("a.tif"), picture, bits, described(way));
          EXPECT_EQ(said(path("a.tif")), expected);
        }
        write_png(path("a.png"), stored_as(picture, orientation),
                  {.depth = bits, .colour = is_transparent ? 6 : 2, .exif = exif_of(orientation)});
        expect(path("a.png"), picture, bits, "PNG orientation " + std::to_string(orientation));
        EXPECT_EQ(said(path("a.png")), expected);
      }
    }
    for (const bool is_big_endian : {false, true}) {
      const Picture blocks = picture_of(8, false, false, 8);
      write_jpeg(path("a.jpg"), stored_as(blocks, orientation), {.exif = exif_of(orientation, 0, is_big_endian)});
      expect(path("a.jpg"), blocks, 8, "JPEG orientation " + std::to_string(orientation));
      EXPECT_EQ(said(path("a.jpg")), expected);
    }
  }
  EXPECT_GE(inputs_, 100);
}

TEST_F(OnePicture, FromFewerBitsInSixteen) {
  const Picture picture = picture_of(8, false, false);
  for (const int bits : {8, 10, 12, 14}) {
    const std::string way = std::to_string(bits) + " bits in 16";
    for (const int photometric : {0, 1, 2}) {
      for (const std::string mode : {"wl", "wb"}) {
        for (const bool uses_high_bits : {false, true}) {
          write_tiff(path("a.tif"), picture,
                     {.mode = mode,
                      .bits = 16,
                      .photometric = photometric,
                      .used_bits = bits,
                      .uses_high_bits = uses_high_bits});
          expect_levels(path("a.tif"), picture, "TIFF " + way + (uses_high_bits ? ", high ones" : ""));
        }
      }
    }
    for (const int colour : {0, 2, 4, 6}) {
      const Picture own = picture_of(8, (colour & 2) != 0, false);
      write_png(path("a.png"), own, {.depth = 16, .colour = colour, .used_bits = bits});
      // Luminance of rounded colours.
      expect_levels(path("a.png"), own, "PNG colour " + std::to_string(colour) + ", " + way, (colour & 2) != 0 ? 1 : 0);
    }
  }
  EXPECT_GE(inputs_, 60);
}

TEST_F(OnePicture, SaysWhenFewerBitsAreStretched) {
  const Picture picture = picture_of(8, false, false);
  write_png(path("a.png"), picture, {.depth = 16, .used_bits = 12});
  const DecodedImage image = read_image(path("a.png"));
  ASSERT_EQ(image.oddities.size(), 1U);
  EXPECT_THAT(image.oddities[0].what, HasSubstr("fewer than 16 bits"));
  EXPECT_EQ(image.oddities[0].detail, "12 bits");
}

TEST_F(OnePicture, SaysThatItHasNoPaper) {
  Picture dark(kHeight, kWidth, cv::Vec4b(25, 25, 25, 255));
  const auto says_so = [&] {
    write_png(path("a.png"), dark, {.colour = 2});
    const std::vector<Oddity> oddities = read_image(path("a.png")).oddities;
    return !oddities.empty() && oddities[0].what.find("without paper") != std::string::npos;
  };
  EXPECT_TRUE(says_so());
  dark(7, 9) = {26, 26, 26, 255};
  EXPECT_FALSE(says_so());
}

TEST_F(OnePicture, TakesTheFilesWordForItsBits) {
  Picture dark = picture_of(8, false, false);
  for (cv::Vec4b& pixel : dark) pixel = {static_cast<uchar>(pixel[0] / 20), 0, 0, 255};  // at most 5 % of white
  write_png(path("all.png"), dark, {.depth = 16, .stated_bits = 16});
  EXPECT_LE(largest_difference(read_image(path("all.png")).grey, cv::Mat::zeros(dark.size(), CV_16U)), 12 * 257);
  // 13 bits, of which the brightest level uses 12.
  write_tiff(path("a.tif"), dark, {.bits = 16, .used_bits = 13, .max_sample_value = 8191});
  EXPECT_LE(largest_difference(read_image(path("a.tif")).grey, cv::Mat::zeros(dark.size(), CV_16U)), 12 * 257 + 9);
}

TEST_F(OnePicture, RefusesANearlyWhitePictureOfWhiteIsZeroThatMayHaveFewerBits) {
  Picture pale(kHeight, kWidth, cv::Vec4b::all(255));
  pale(3, 4) = {250, 250, 250, 255};
  write_tiff(path("a.tif"), pale, {.bits = 16, .photometric = 0});
  EXPECT_THAT(refusal(path("a.tif")), HasSubstr("a nearly white picture, or one of fewer bits"));
  pale(3, 4) = cv::Vec4b::all(255);
  write_tiff(path("b.tif"), pale, {.bits = 16, .photometric = 0});
  expect(path("b.tif"), pale, 16, "blank");
}

TEST_F(OnePicture, SaysThatAnExtraSampleIsPassedOver) {
  const Picture picture = picture_of(8, true, false);
  for (const int photometric : {1, 2}) {
    write_tiff(path("a.tif"), picture, {.photometric = photometric, .alpha = AlphaKind::kUnspecified});
    const DecodedImage image = read_image(path("a.tif"));
    EXPECT_TRUE(image.support.empty());
    ASSERT_EQ(image.oddities.size(), 1U);
    EXPECT_THAT(image.oddities[0].what, HasSubstr("not said to be transparency"));
  }
}

// --- What no test has seen come back right is refused ----------------------------------------------------------------

using outsole::testing::bare_tiff;
using outsole::testing::BareTag;

/// 8 x 8 pixels of 8-bit grey, but for what is changed.
std::string unusual_tiff(const std::map<int, std::vector<double>>& changes) {
  std::map<int, std::vector<double>> tags = {{256, {8}}, {257, {8}}, {258, {8}}, {259, {1}},
                                             {262, {1}}, {277, {1}}, {278, {8}}};
  for (const auto& [number, values] : changes) {
    if (values.empty()) {
      tags.erase(number);
    } else {
      tags[number] = values;
    }
  }
  std::vector<BareTag> all;
  for (const auto& [number, values] : tags) all.push_back({number, 3, values});
  return bare_tiff(all, std::string(1024, '\x40'));
}

TEST_F(OnePicture, RefusesLayoutsThatAreNotReadByName) {
  const std::vector<std::pair<std::string, std::map<int, std::vector<double>>>> layouts = {
      {"3 bits", {{258, {3}}}},
      {"6 bits", {{258, {6}}}},
      {"10 bits", {{258, {10}}}},
      {"12 bits", {{258, {12}}}},
      {"14 bits", {{258, {14}}}},
      {"24 bits", {{258, {24}}}},
      {"32 bits", {{258, {32}}}},
      {"64 bits", {{258, {64}}}},
      {"signed", {{339, {2}}}},
      {"floating point", {{258, {32}}, {339, {3}}}},
      {"complex", {{258, {32}}, {339, {6}}}},
      {"no meaning", {{262, {}}}},
      {"mask", {{262, {4}}}},
      {"YCbCr uncompressed", {{262, {6}}, {258, {8, 8, 8}}, {277, {3}}, {530, {1, 1}}}},
      {"CIELab", {{262, {8}}, {258, {8, 8, 8}}, {277, {3}}}},
      {"ICCLab", {{262, {9}}, {258, {8, 8, 8}}, {277, {3}}}},
      {"ITULab", {{262, {10}}, {258, {8, 8, 8}}, {277, {3}}}},
      {"colour filter array of a camera", {{262, {32803}}}},
      {"linear raw", {{262, {34892}}, {258, {16, 16, 16}}, {277, {3}}}},
      {"LogLuv", {{262, {32845}}, {258, {16, 16, 16}}, {277, {3}}, {259, {34676}}}},
      {"other inks", {{262, {5}}, {258, {8, 8, 8, 8}}, {277, {4}}, {332, {2}}}},
      {"three inks", {{262, {5}}, {258, {8, 8, 8}}, {277, {3}}}},
      {"RGB of two samples", {{262, {2}}, {258, {8, 8}}, {277, {2}}}},
      {"RGB of 4 bits", {{262, {2}}, {258, {4, 4, 4}}, {277, {3}}}},
      {"RGB of 32 bits", {{262, {2}}, {258, {32, 32, 32}}, {277, {3}}}},
      {"RGB of unequal bits", {{262, {2}}, {258, {5, 6, 5}}, {277, {3}}}},
      {"grey of 4 bits with alpha", {{258, {4, 4}}, {277, {2}}, {338, {2}}}},
      {"palette of 16 bits", {{262, {3}}, {258, {16}}}},
      {"palette without one", {{262, {3}}}},
      {"palette with alpha", {{262, {3}}, {258, {8, 8}}, {277, {2}}, {338, {2}}, {320, std::vector<double>(768, 7)}}},
      {"two alphas", {{262, {2}}, {258, {8, 8, 8, 8, 8}}, {277, {5}}, {338, {2, 1}}}},
      {"premultiplied white-is-zero", {{262, {0}}, {258, {8, 8}}, {277, {2}}, {338, {1}}}},
      {"nine samples", {{262, {1}}, {258, std::vector<double>(9, 8)}, {277, {9}}}},
      {"old JPEG", {{259, {6}}}},
      {"T.85", {{259, {9}}, {258, {1}}}},
      {"JBIG", {{259, {34661}}, {258, {1}}}},
      {"NeXT", {{259, {32766}}, {258, {2}}}},
      {"ThunderScan", {{259, {32809}}, {258, {4}}}},
      {"PixarLog", {{259, {32909}}}},
      {"JPEG 2000", {{259, {34712}}}},
      {"LERC", {{259, {34887}}}},
      {"WebP", {{259, {50001}}, {262, {2}}, {258, {8, 8, 8}}, {277, {3}}}},
      {"JPEG XL", {{259, {50002}}}},
      {"JPEG of inks", {{259, {7}}, {262, {5}}, {258, {8, 8, 8, 8}}, {277, {4}}}},
      {"a compression nobody knows", {{259, {4711}}}},
      {"fax of grey", {{259, {4}}}},
      {"a reduced copy", {{254, {1}}}},
  };
  for (const auto& [name, changes] : layouts) {
    EXPECT_NE(refusal(write("a.tif", unusual_tiff(changes))), "no refusal") << name;
  }
  EXPECT_NE(read_image(write("usual.tif", unusual_tiff({}))).grey.at<uchar>(3, 3), 0);
}

TEST_F(OnePicture, RefusesJpegOfInksThatDoesNotSayWhichWayTheyCount) {
  write_jpeg(path("a.jpg"), picture_of(8, true, false, 8), {JpegWay::Colours::kAdobeCmyk});
  std::string bytes = read(path("a.jpg"));
  const std::size_t adobe = bytes.find("Adobe");
  ASSERT_NE(adobe, std::string::npos);
  bytes[adobe] = 'a';
  EXPECT_THAT(refusal(write("b.jpg", bytes)), HasSubstr("four inks"));
}

TEST_F(OnePicture, NamesFormatsThatAreNotReadAndWhatToDo) {
  const std::vector<std::pair<std::string, std::string>> beginnings = {
      {std::string("BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0", 22), "BMP"},
      {std::string("BM\x36\0\0\0\0\0\0\0\x8A\0\0\0\x7C\0\0\0\1\0\0\0", 22), "BMP"},
      {std::string("RIFF\x24\0\0\0WEBPVP8 ", 16), "WebP"},
      {std::string("RIFF\x24\0\0\0WEBPVP8L", 16), "WebP"},
      {"GIF87a......", "GIF"},
      {"GIF89a......", "GIF"},
      {std::string("\0\0\0\x18"
                   "ftypheic\0\0\0\0mif1heic",
                   24),
       "HEIC"},
      {std::string("\0\0\0\x18"
                   "ftypmif1\0\0\0\0mif1heic",
                   24),
       "HEIC"},
      {std::string("\0\0\0\x18"
                   "ftypheix\0\0\0\0mif1heic",
                   24),
       "HEIC"},
      {std::string("\0\0\0\x18"
                   "ftypavif\0\0\0\0mif1avif",
                   24),
       "AVIF"},
      {std::string("\0\0\0\x18"
                   "ftypqt  \0\0\0\0qt      ",
                   24),
       "video"},
      {std::string("\0\0\0\x0CjP  \r\n\x87\n\0\0\0\x14", 16), "JPEG 2000"},
      {std::string("\xFF\x4F\xFF\x51\0\x2F", 6), "JPEG 2000"},
      {std::string("\0\0\0\x0CJXL \r\n\x87\n", 12), "JPEG XL"},
      {"%PDF-1.4\n%....", "PDF"},
      {"\r\n%PDF-1.7\n%....", "PDF"},
      {std::string("8BPS\0\1", 6), "Photoshop"},
      {std::string("II\xBC\x01 \0\0\0", 8), "JPEG XR"},
  };
  for (const auto& [beginning, name] : beginnings) {
    for (const std::string extension : {".jpg", ".tif"}) {
      const std::string said = refusal(write("a" + extension, beginning + std::string(40, '\0')));
      EXPECT_THAT(said, HasSubstr(name));
      EXPECT_THAT(said, HasSubstr("is not read"));
    }
  }
}

}  // namespace
}  // namespace outsole::image
