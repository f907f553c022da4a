// What the decoders tell apart: filler and lost pixels; resolutions that are meant and those that are not.

#include <gmock/gmock.h>
#include <tiffio.h>
#include <zlib.h>

#include <random>
#include <thread>

#include "core/errors.h"
#include "image/image.h"
#include "picture_files.h"
#include "temporary_folder.h"

namespace outsole::image {
namespace {

using outsole::testing::exif_of;
using outsole::testing::JpegWay;
using outsole::testing::Picture;
using outsole::testing::PngWay;
using outsole::testing::TiffWay;
using outsole::testing::write_jpeg;
using outsole::testing::write_png;
using outsole::testing::write_tiff;
using ::testing::HasSubstr;

Picture noisy_picture(int height_px = 48, int width_px = 64) {
  std::mt19937 random(3);
  Picture picture(height_px, width_px);
  for (cv::Vec4b& pixel : picture) {
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uchar>(random() >> 8 & 255);
    pixel[3] = 255;
  }
  return picture;
}

bool same_pixels(const cv::Mat& a, const cv::Mat& b) {
  return a.type() == b.type() && a.size() == b.size() && cv::norm(a, b, cv::NORM_INF) == 0;
}

class Decoders : public outsole::testing::TemporaryFolder {
 protected:
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  std::string refusal(const std::filesystem::path& file) const {
    try {
      read_image(file);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file.string()));
      return error.what();
    }
    return "no refusal";
  }

  /// The detail of the oddity that speaks of `what`; "none" without one.
  static std::string oddity(const DecodedImage& image, const std::string& what) {
    for (const Oddity& one : image.oddities) {
      if (one.what.find(what) != std::string::npos) return one.detail;
    }
    return "none";
  }

  std::vector<std::string> jpegs() const {
    using Colours = JpegWay::Colours;
    std::vector<std::string> all;
    for (const Colours colours : {Colours::kGrey, Colours::kYCbCr}) {
      for (const bool is_progressive : {false, true}) {
        for (const int restart_interval : {0, 5}) {
          write_jpeg(path("whole.jpg"), noisy_picture(), {colours, is_progressive, false, restart_interval});
          all.push_back(read(path("whole.jpg")));
        }
      }
    }
    return all;
  }
};

using Fillers = Decoders;
using LostPixels = Decoders;
using Resolution = Decoders;

// --- Filler and damage ----------------------------------------------------------------------------------------------

TEST_F(Fillers, BeforeTheEndOfAJpegIsPassedOverAndSaid) {
  std::mt19937 random(5);
  std::string any(40, '\0');
  for (char& c : any) c = static_cast<char>(random() % 255);  // no 0xFF
  const std::vector<std::string> fillers = {
      std::string(1, '\0'),    std::string(3, '\0'),
      std::string(40, '\x5A'), std::string("\xFF\xD0", 2) + std::string(40, '\x5A'),
      std::string(1000, '\0'), std::string(7, ' ') + "\r\n",
      "padded by the camera",  any};
  int number = 0;
  for (const std::string& jpeg : jpegs()) {
    const DecodedImage clean = read_image(write("clean.jpg", jpeg));
    EXPECT_EQ(oddity(clean, "superfluous"), "none");
    for (const std::string& filler : fillers) {
      std::string padded = jpeg;
      padded.insert(padded.size() - 2, filler);
      SCOPED_TRACE(number++);
      const DecodedImage image = read_image(write("padded.jpg", padded));
      EXPECT_TRUE(same_pixels(image.grey, clean.grey));
      // A few bytes the decoder takes with the last pixels.
      EXPECT_TRUE(filler.size() <= 8 || oddity(image, "superfluous").empty());
    }
    // What follows the end belongs to others: a second picture of a phone, a trailer.
    const DecodedImage trailed = read_image(write("trailed.jpg", jpeg + any + jpeg));
    EXPECT_TRUE(same_pixels(trailed.grey, clean.grey));
  }
}

TEST_F(Fillers, BetweenTheSegmentsOfAJpegCostsNothing) {
  for (std::string jpeg : jpegs()) {
    const DecodedImage clean = read_image(write("clean.jpg", jpeg));
    jpeg.insert(2 + 2 + 16, std::string(5, '\0'));  // behind the start and JFIF
    EXPECT_TRUE(same_pixels(read_image(write("a.jpg", jpeg)).grey, clean.grey));
  }
}

TEST_F(LostPixels, OfAJpegThatEndsEarly) {
  const std::string end("\xFF\xD9", 2);
  for (const std::string& jpeg : jpegs()) {
    const std::size_t scan = jpeg.find(std::string("\xFF\xDA", 2)) + 20;
    for (int part = 1; part < 10; ++part) {
      const std::size_t at = scan + (jpeg.size() - 2 - scan) * static_cast<std::size_t>(part) / 10;
      EXPECT_NE(refusal(write("cut.jpg", jpeg.substr(0, at) + end)), "no refusal") << "cut at tenth " << part;
      EXPECT_NE(refusal(write("cut.jpg", jpeg.substr(0, at))), "no refusal") << "without end at tenth " << part;
    }
  }
}

/// A decoder that went astray may come to the end by chance; most do not.
TEST_F(LostPixels, OfAJpegWithAHole) {
  int tried = 0, refused = 0;
  for (const std::string& jpeg : jpegs()) {
    const std::size_t scan = jpeg.find(std::string("\xFF\xDA", 2)) + 20;
    for (int part = 1; part < 10; ++part) {
      const std::size_t at = scan + (jpeg.size() - 2 - scan) * static_cast<std::size_t>(part) / 10;
      std::string gap = jpeg, zeros = jpeg;
      gap.erase(at, 60);
      zeros.replace(at, 60, std::string(60, '\0'));
      for (const std::string& holed : {gap, zeros}) {
        ++tried;
        refused += refusal(write("hole.jpg", holed)) != "no refusal";
      }
    }
  }
  EXPECT_GE(10 * refused, 9 * tried);
}

/// Twenty bytes more in the middle leave as many over at the end, as filler does: by where its pixels end, and whether
/// what is left over would be pixels, nearly all are told apart.
TEST_F(LostPixels, OfAJpegWhosePixelsEndBeforeItsData) {
  int tried = 0, refused = 0;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    write_jpeg(path("whole.jpg"), noisy_picture(), {});
    std::string jpeg = read(path("whole.jpg"));
    const std::size_t scan = jpeg.find(std::string("\xFF\xDA", 2)) + 12;
    const std::size_t at = scan + random() % (jpeg.size() - scan - 40);
    std::string more;
    for (int i = 0; i < 20; ++i) more += static_cast<char>(random() % 255);
    jpeg.insert(at, more);
    ++tried;
    refused += refusal(write("more.jpg", jpeg)) != "no refusal";
  }
  EXPECT_GE(10 * refused, 9 * tried);
}

std::string chunk(const std::string& type, const std::string& data) {
  const auto number = [](std::uint32_t value) {
    std::string bytes;
    for (int i = 3; i >= 0; --i) bytes += static_cast<char>(value >> (8 * i) & 255);
    return bytes;
  };
  const std::string content = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
  return number(static_cast<std::uint32_t>(data.size())) + content + number(static_cast<std::uint32_t>(crc));
}

/// The beginning up to the pixels, and the pixels' data.
std::pair<std::string, std::string> taken_apart(const std::string& png) {
  std::string head = png.substr(0, 33), data;
  for (std::size_t at = 33; at < png.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(png[at + i]);
    if (png.substr(at + 4, 4) == "IDAT") data += png.substr(at + 8, length);
    at += 12 + length;
  }
  return {head, data};
}

TEST_F(Fillers, BehindThePixelsOfAPngIsPassedOverAndSaid) {
  write_png(path("a.png"), noisy_picture(), {.colour = 2});
  const DecodedImage clean = read_image(path("a.png"));
  const auto [head, data] = taken_apart(read(path("a.png")));
  const DecodedImage more =
      read_image(write("b.png", head + chunk("IDAT", data + std::string(9, '\x33')) + chunk("IEND", "")));
  EXPECT_TRUE(same_pixels(more.grey, clean.grey));
  EXPECT_EQ(oddity(more, "superfluous"), "");
  const DecodedImage behind = read_image(write("c.png", read(path("a.png")) + "trailer"));
  EXPECT_TRUE(same_pixels(behind.grey, clean.grey));
}

TEST_F(LostPixels, OfAPng) {
  write_png(path("a.png"), noisy_picture(), {.colour = 2});
  const auto [head, data] = taken_apart(read(path("a.png")));
  const std::string end = chunk("IEND", "");
  EXPECT_EQ(refusal(write("same.png", head + chunk("IDAT", data) + end)), "no refusal");
  std::string checksum = data;
  checksum.back() = static_cast<char>(checksum.back() ^ 1);
  EXPECT_THAT(refusal(write("checksum.png", head + chunk("IDAT", checksum) + end)), HasSubstr("damaged"));
  for (int part = 0; part < 10; ++part) {
    const std::string half = data.substr(0, data.size() * static_cast<std::size_t>(part) / 10);
    EXPECT_NE(refusal(write("half.png", head + chunk("IDAT", half) + end)), "no refusal");
  }
  EXPECT_NE(refusal(write("none.png", head + end)), "no refusal");
  std::string flipped = read(path("a.png"));
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 4);
  EXPECT_NE(refusal(write("flipped.png", flipped)), "no refusal");
}

TEST_F(LostPixels, OfATiff) {
  for (const int compression :
       {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS, COMPRESSION_JPEG}) {
    for (const int tile_px : {0, 16}) {
      write_tiff(path("a.tif"), noisy_picture(),
                 {.photometric = 2, .compression = compression, .tile_px = tile_px, .rows_per_strip = 16});
      const std::string tiff = read(path("a.tif"));
      EXPECT_EQ(refusal(path("a.tif")), "no refusal");
      for (std::size_t length = 0; length < tiff.size(); length += 1 + tiff.size() / 53) {
        EXPECT_NE(refusal(write("cut.tif", tiff.substr(0, length))), "no refusal")
            << "compression " << compression << " cut to " << length << " of " << tiff.size();
      }
      if (compression == COMPRESSION_NONE) continue;
      std::string hole = tiff;
      hole.replace(hole.size() / 3, 300, std::string(300, '\xFF'));
      EXPECT_NE(refusal(write("hole.tif", hole)), "no refusal") << "compression " << compression << " tile " << tile_px;
    }
  }
}

TEST_F(LostPixels, IsNoticedWithoutATemporaryFolderAndSaysNothingItself) {
  const std::string jpeg = jpegs().front();
  ::testing::internal::CaptureStderr();
  EXPECT_NE(refusal(write("a.jpg", jpeg.substr(0, jpeg.size() / 2))), "no refusal");
  write_tiff(path("a.tif"), noisy_picture(), {.compression = COMPRESSION_LZW});
  std::string tiff = read(path("a.tif"));
  tiff.replace(tiff.size() / 2, 100, std::string(100, '\xFF'));
  EXPECT_NE(refusal(write("b.tif", tiff)), "no refusal");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(Decoders, ReadOnManyThreadsAtOnce) {
  write_jpeg(path("a.jpg"), noisy_picture(), {.colours = JpegWay::Colours::kYCbCr});
  write_png(path("b.png"), noisy_picture(), {.colour = 2});
  write_tiff(path("c.tif"), noisy_picture(), {.photometric = 2, .compression = COMPRESSION_LZW});
  const std::string tiff = read(path("c.tif"));
  write("d.tif", tiff.substr(0, tiff.size() / 2));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        for (const char* name : {"a.jpg", "b.png", "c.tif"}) read_image(path(name));
        EXPECT_NE(refusal(path("d.tif")), "no refusal");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// --- Resolution -----------------------------------------------------------------------------------------------------

TEST_F(Resolution, IsTheSameWhateverItIsRoundedTo) {
  for (const int dpi : {75, 100, 150, 200, 240, 300, 400, 600, 1200, 2400}) {
    const double a_metre = dpi / 0.0254;
    write_png(path("a.png"), noisy_picture(), {.x_per_metre = a_metre, .y_per_metre = a_metre});
    EXPECT_EQ(read_image(path("a.png")).dpi, dpi);
    write_tiff(path("a.tif"), noisy_picture(), {.x_dpi = double(dpi), .y_dpi = double(dpi)});
    EXPECT_EQ(read_image(path("a.tif")).dpi, dpi);
    const double a_cm = std::round(100 * dpi / 2.54) / 100;
    write_tiff(path("b.tif"), noisy_picture(), {.x_dpi = a_cm, .y_dpi = a_cm, .resolution_unit = 3});
    EXPECT_EQ(read_image(path("b.tif")).dpi, dpi);
    write_jpeg(path("a.jpg"), noisy_picture(), {.density_unit = 1, .x_density = dpi, .y_density = dpi});
    EXPECT_EQ(read_image(path("a.jpg")).dpi, dpi);
    const int whole_cm = static_cast<int>(std::lround(dpi / 2.54));
    write_jpeg(path("b.jpg"), noisy_picture(), {.density_unit = 2, .x_density = whole_cm, .y_density = whole_cm});
    EXPECT_EQ(read_image(path("b.jpg")).dpi, dpi);
    write_jpeg(path("c.jpg"), noisy_picture(), {.exif = exif_of(1, dpi)});
    EXPECT_EQ(read_image(path("c.jpg")).dpi, dpi);
  }
}

TEST_F(Resolution, IsNotBelievedWhereNoScannerHasIt) {
  for (const double dpi : {1.0, 2.0, 9.0, 72.0, 96.0, 30000.0}) {
    const std::string said = std::to_string(static_cast<int>(dpi)) + " dpi";
    const int whole = static_cast<int>(dpi);
    write_tiff(path("a.tif"), noisy_picture(), {.x_dpi = dpi, .y_dpi = dpi});
    write_png(path("a.png"), noisy_picture(), {.x_per_metre = dpi / 0.0254, .y_per_metre = dpi / 0.0254});
    write_jpeg(path("a.jpg"), noisy_picture(), {.density_unit = 1, .x_density = whole, .y_density = whole});
    for (const char* name : {"a.tif", "a.png", "a.jpg"}) {
      const DecodedImage image = read_image(path(name));
      EXPECT_EQ(image.dpi, 0) << name << " " << dpi;
      EXPECT_NE(oddity(image, "not believed"), "none") << name << " " << dpi;
    }
    EXPECT_EQ(oddity(read_image(path("a.jpg")), "not believed"), said);
  }
  write_jpeg(path("phone.jpg"), noisy_picture(), {.exif = exif_of(1, 72)});
  EXPECT_EQ(read_image(path("phone.jpg")).dpi, 0);
  EXPECT_EQ(oddity(read_image(path("phone.jpg")), "not believed"), "72 dpi");
}

TEST_F(Resolution, IsTheOneThatCanBeBelieved) {
  write_jpeg(path("a.jpg"), noisy_picture(),
             {.density_unit = 1, .x_density = 72, .y_density = 72, .exif = exif_of(1, 300)});
  const DecodedImage image = read_image(path("a.jpg"));
  EXPECT_EQ(image.dpi, 300);
  EXPECT_EQ(oddity(image, "not believed"), "none");
}

TEST_F(Resolution, OfNothingIsNone) {
  write_jpeg(path("a.jpg"), noisy_picture(), {});
  write_png(path("a.png"), noisy_picture(), {.x_per_metre = 1, .y_per_metre = 1, .has_metre = false});
  write_tiff(path("a.tif"), noisy_picture(), {});
  write_tiff(path("b.tif"), noisy_picture(), {.x_dpi = 300, .y_dpi = 300, .resolution_unit = 1});
  for (const char* name : {"a.jpg", "a.png", "a.tif", "b.tif"}) {
    const DecodedImage image = read_image(path(name));
    EXPECT_EQ(image.dpi, 0) << name;
    EXPECT_TRUE(image.oddities.empty()) << name;
  }
}

TEST_F(Resolution, OfPixelsThatAreNotSquareIsRefused) {
  for (const auto& [x, y] : std::vector<std::pair<int, int>>{{204, 98}, {204, 196}, {600, 300}, {300, 600}, {1, 2}}) {
    write_tiff(path("a.tif"), noisy_picture(), {.x_dpi = double(x), .y_dpi = double(y)});
    write_tiff(path("b.tif"), noisy_picture(), {.x_dpi = x / 2.54, .y_dpi = y / 2.54, .resolution_unit = 3});
    write_tiff(path("c.tif"), noisy_picture(), {.x_dpi = double(x), .y_dpi = double(y), .resolution_unit = 1});
    write_png(path("a.png"), noisy_picture(), {.x_per_metre = x / 0.0254, .y_per_metre = y / 0.0254});
    write_png(path("b.png"), noisy_picture(), {.x_per_metre = double(x), .y_per_metre = double(y), .has_metre = false});
    write_jpeg(path("a.jpg"), noisy_picture(), {.density_unit = 1, .x_density = x, .y_density = y});
    write_jpeg(path("b.jpg"), noisy_picture(), {.density_unit = 0, .x_density = x, .y_density = y});
    for (const char* name : {"a.tif", "b.tif", "c.tif", "a.png", "b.png", "a.jpg", "b.jpg"}) {
      EXPECT_THAT(refusal(path(name)), HasSubstr("not square")) << name;
    }
  }
}

TEST_F(Resolution, OfBrokenExifDataIsNoneAndSaid) {
  for (const std::string& exif : {std::string("II"), std::string("XX*\0\x08\0\0\0", 8), exif_of(6).substr(0, 16)}) {
    write_jpeg(path("a.jpg"), noisy_picture(), {.exif = exif});
    EXPECT_NE(oddity(read_image(path("a.jpg")), "EXIF data are broken"), "none");
  }
}

}  // namespace
}  // namespace outsole::image
