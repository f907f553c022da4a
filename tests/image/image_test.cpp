#include "image/image.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <opencv2/imgcodecs.hpp>
#include <thread>

#include "core/errors.h"
#include "core/sha256.h"
#include "message_of.h"
#include "temporary_folder.h"

namespace outsole::image {
namespace {

using ::testing::HasSubstr;

cv::Mat gradient(int type, int height_px = 40, int width_px = 60) {
  cv::Mat image(height_px, width_px, type);
  const double white = image.depth() == CV_16U ? 65535 : 255;
  for (int y = 0; y < height_px; ++y) {
    for (int x = 0; x < width_px; ++x) {
      const double level = white * (y * width_px + x) / (height_px * width_px - 1);
      cv::Mat pixel(1, 1, type, cv::Scalar(level, white - level, std::floor(level / 2), white));
      pixel.copyTo(image(cv::Rect(x, y, 1, 1)));
    }
  }
  return image;
}

bool equal(const cv::Mat& a, const cv::Mat& b) {
  return a.type() == b.type() && a.size() == b.size() && cv::norm(a, b, cv::NORM_INF) == 0;
}

class ImageFile : public testing::TemporaryFolder {
 protected:
  std::filesystem::path save(const std::string& name, const cv::Mat& image, const std::vector<int>& how = {}) const {
    const std::filesystem::path path = folder_ / name;
    EXPECT_TRUE(cv::imwrite(path.string(), image, how));
    return path;
  }

  /// The message of the DataError that reading `path` ends with.
  static std::string refusal(const std::filesystem::path& path, const DecodeLimits& limits = {}) {
    try {
      read_image(path, limits);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
      return error.what();
    }
    return "no refusal";
  }
};

using ReadImage = ImageFile;
using ReadMark = ImageFile;
using WriteImage = ImageFile;

TEST_F(ReadImage, KeepsGreyPixelsOfEveryLosslessFormatAndDepth) {
  for (const int type : {CV_8UC1, CV_16UC1}) {
    const cv::Mat image = gradient(type);
    for (const std::string name : {"a.png", "a.tif", "a.TIFF"}) {
      const DecodedImage read_back = read_image(save(name, image));
      EXPECT_TRUE(equal(read_back.grey, image)) << name << " type " << type;
      EXPECT_FALSE(read_back.was_colour);
      EXPECT_TRUE(read_back.support.empty());
    }
  }
}

TEST_F(ReadImage, KeepsPixelsOfUncompressedTiff) {
  const cv::Mat image = gradient(CV_8UC1);
  EXPECT_TRUE(equal(read_image(save("a.tif", image, {cv::IMWRITE_TIFF_COMPRESSION, 1})).grey, image));
}

TEST_F(ReadImage, ReadsJpegWithinItsLoss) {
  const cv::Mat image = gradient(CV_8UC1);
  const DecodedImage read_back = read_image(save("a.jpg", image, {cv::IMWRITE_JPEG_QUALITY, 98}));
  EXPECT_EQ(read_back.grey.type(), CV_8UC1);
  EXPECT_LE(cv::norm(read_back.grey, image, cv::NORM_INF), 6);
}

TEST_F(ReadImage, ReadsProgressiveJpeg) {
  const cv::Mat image = gradient(CV_8UC3);
  EXPECT_EQ(read_image(save("a.jpg", image, {cv::IMWRITE_JPEG_PROGRESSIVE, 1})).grey.size(), image.size());
}

TEST_F(ReadImage, ConvertsColourByLuminance) {
  for (const int type : {CV_8UC3, CV_16UC3}) {
    const cv::Mat image = gradient(type);
    for (const std::string name : {"a.png", "a.tif"}) {
      const DecodedImage read_back = read_image(save(name, image));
      EXPECT_TRUE(read_back.was_colour);
      ASSERT_EQ(read_back.grey.type(), CV_MAKETYPE(CV_MAT_DEPTH(type), 1));
      cv::Mat wide, grey;
      image.convertTo(wide, CV_64F);
      read_back.grey.convertTo(grey, CV_64F);
      for (int y = 0; y < image.rows; ++y) {
        for (int x = 0; x < image.cols; ++x) {
          const auto bgr = wide.at<cv::Vec3d>(y, x);
          const double luminance = 0.299 * bgr[2] + 0.587 * bgr[1] + 0.114 * bgr[0];
          ASSERT_LE(std::abs(grey.at<double>(y, x) - luminance), 0.5 + 1e-6);
        }
      }
    }
  }
}

TEST_F(ReadImage, CallsEqualChannelsGrey) {
  const cv::Mat grey = gradient(CV_8UC1);
  cv::Mat three;
  cv::merge(std::vector<cv::Mat>{grey, grey, grey}, three);
  const DecodedImage read_back = read_image(save("a.png", three));
  EXPECT_FALSE(read_back.was_colour);
  EXPECT_TRUE(equal(read_back.grey, grey));
}

TEST_F(ReadImage, ReadsOneBitPng) {
  const cv::Mat image = gradient(CV_8UC1) > 100;
  EXPECT_TRUE(equal(read_image(save("a.png", image, {cv::IMWRITE_PNG_BILEVEL, 1})).grey, image));
}

TEST_F(ReadImage, TakesAlphaForTheSupport) {
  cv::Mat image = gradient(CV_8UC4);
  std::vector<cv::Mat> channels;
  cv::split(image, channels);
  channels[3](cv::Rect(0, 0, 60, 10)) = 127;
  channels[3](cv::Rect(0, 10, 60, 10)) = 128;
  cv::merge(channels, image);
  const DecodedImage read_back = read_image(save("a.png", image));
  cv::Mat expected(image.size(), CV_8UC1, cv::Scalar(255));
  expected(cv::Rect(0, 0, 60, 10)) = 0;
  EXPECT_TRUE(equal(read_back.support, expected));
}

TEST_F(ReadImage, OpaqueAlphaIsNoMask) { EXPECT_TRUE(read_image(save("a.png", gradient(CV_8UC4))).support.empty()); }

TEST_F(ReadImage, TellsTheDigestOfTheFile) {
  const auto path = save("a.png", gradient(CV_8UC1));
  EXPECT_EQ(read_image(path).source_sha256, sha256_of_file(path));
}

TEST_F(ReadImage, GoesByContentNotByExtension) {
  const cv::Mat image = gradient(CV_8UC1);
  const auto path = save("a.png", image);
  std::filesystem::rename(path, folder_ / "a.jpg");
  EXPECT_TRUE(equal(read_image(folder_ / "a.jpg").grey, image));
}

TEST_F(ReadImage, InvertsWhiteIsZeroTiffOfBothDepths) {
  for (const int type : {CV_8UC1, CV_16UC1}) {
    const cv::Mat image = gradient(type);
    const auto path = save("a.tif", image, {cv::IMWRITE_TIFF_COMPRESSION, 1});
    std::string bytes = read(path);
    const std::string photometric("\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00", 12);
    const std::size_t entry = bytes.find(photometric);
    ASSERT_NE(entry, std::string::npos);
    bytes[entry + 8] = 0;
    const cv::Mat inverted = (type == CV_8UC1 ? 255 : 65535) - image;
    EXPECT_TRUE(equal(read_image(write("b.tif", bytes)).grey, inverted)) << "type " << type;
  }
}

TEST_F(ReadImage, RefusesWhatIsNoImage) {
  EXPECT_THAT(refusal(write("a.png", "")), HasSubstr("empty"));
  EXPECT_THAT(refusal(write("b.png", "a plain text")), HasSubstr("neither PNG, JPEG nor TIFF"));
  EXPECT_THAT(refusal(write("c.tif", "II*")), HasSubstr("truncated"));
  EXPECT_THAT(refusal(write("d.tif", "II, some text")), HasSubstr("neither"));
  std::filesystem::create_directory(folder_ / "folder.png");
  EXPECT_THAT(refusal(folder_ / "folder.png"), HasSubstr("not a file"));
}

TEST_F(ReadImage, BlamesTheDiskForAFileThatIsGone) {
  EXPECT_THAT(outsole::testing::message_of<EnvironmentError>([&] { read_image(folder_ / "gone.png"); }),
              HasSubstr((folder_ / "gone.png").string() + ": does not exist"));
}

TEST_F(ReadImage, RefusesEveryTruncation) {
  const cv::Mat image = gradient(CV_8UC3, 64, 48);
  const std::vector<std::filesystem::path> whole = {
      save("a.png", image), save("b.jpg", image), save("c.jpg", image, {cv::IMWRITE_JPEG_PROGRESSIVE, 1}),
      save("d.tif", image), save("e.tif", image, {cv::IMWRITE_TIFF_COMPRESSION, 1})};
  for (const auto& path : whole) {
    const std::string bytes = read(path);
    for (std::size_t length = 0; length + 1 < bytes.size(); length += 1 + bytes.size() / 97) {
      const auto cut = write("cut" + path.extension().string(), std::string_view(bytes).substr(0, length));
      EXPECT_NE(refusal(cut), "no refusal") << path << " cut to " << length << " of " << bytes.size() << " bytes";
    }
  }
}

TEST_F(ReadImage, RefusesDamagedPixelsThatTheCodecPaintsOver) {
  cv::Mat noise(64, 64, CV_8UC1);
  cv::RNG(1).fill(noise, cv::RNG::UNIFORM, 0, 256);
  for (const std::string name : {"a.png", "a.jpg", "a.tif"}) {
    std::string bytes = read(save(name, noise, {cv::IMWRITE_TIFF_COMPRESSION, 5}));
    bytes.replace(bytes.size() / 2, 40, std::string("\xFF\xD0\xFF\xD1", 4) + std::string(36, '\xFE'));
    EXPECT_NE(refusal(write(name, bytes)), "no refusal") << name;
  }
}

TEST_F(ReadImage, SwallowsNothingThatOtherThreadsPrintMeanwhile) {
  const std::filesystem::path path = save("large.jpg", gradient(CV_8U, 400, 300));
  std::atomic<bool> is_read{false};
  std::ptrdiff_t printed = 0;
  ::testing::internal::CaptureStderr();
  std::thread other([&] {
    for (; !is_read; ++printed) std::fputs("another thread's line\n", stderr);
  });
  for (int i = 0; i < 50; ++i) read_image(path);
  is_read = true;
  other.join();
  const std::string seen = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(seen, '\n'), printed);
}

TEST_F(ReadImage, SurvivesEveryFlippedByte) {
  const cv::Mat image = gradient(CV_8UC1, 6, 7);
  for (const std::string name : {"a.png", "a.jpg", "a.tif"}) {
    const std::string bytes = read(save(name, image));
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 600); ++i) {
      for (const char flip : {'\x01', '\x80', '\xFF'}) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        try {
          const DecodedImage read_back = read_image(write("b.png", damaged), {.max_pixels = 1 << 16});
          EXPECT_LE(read_back.grey.total(), std::size_t{1} << 16);
        } catch (const DataError&) {
          // Refused by name: as good as read.
        }
      }
    }
  }
}

TEST_F(ReadImage, RefusesAbsurdSizesBeforeDecoding) {
  std::string png = read(save("a.png", gradient(CV_8UC1)));
  png.replace(16, 8, std::string("\x00\x01\x86\xA0\x00\x01\x86\xA0", 8));  // 100000 x 100000
  EXPECT_THAT(refusal(write("b.png", png)), HasSubstr("100000 x 100000 pixels"));
  png.replace(16, 8, std::string(8, '\xFF'));
  EXPECT_THAT(refusal(write("c.png", png)), HasSubstr("above the limit"));
  png.replace(16, 8, std::string(8, '\0'));
  EXPECT_THAT(refusal(write("d.png", png)), HasSubstr("without pixels"));

  EXPECT_THAT(refusal(folder_ / "a.png", {.max_pixels = 40 * 60 - 1}), HasSubstr("40 x 60 pixels"));
  EXPECT_EQ(refusal(folder_ / "a.png", {.max_pixels = 40 * 60}), "no refusal");
  EXPECT_THAT(refusal(folder_ / "a.png", {.max_file_bytes = 10}), HasSubstr("above the limit of 10"));
}

TEST_F(ReadImage, CountsDeepColourTwice) {
  const auto path = save("a.png", gradient(CV_16UC4));
  EXPECT_THAT(refusal(path, {.max_pixels = 2 * 40 * 60 - 1}), HasSubstr("16-bit colour"));
  EXPECT_EQ(refusal(path, {.max_pixels = 2 * 40 * 60}), "no refusal");
}

TEST_F(ReadImage, SeesTheFrameThatLibjpegSeesBehindAMarkerWithoutSegment) {
  std::string jpeg = read(save("a.jpg", gradient(CV_8UC1)));
  jpeg.insert(2, "\xFF\x01");
  EXPECT_EQ(read_image(write("b.jpg", jpeg)).grey.size(), cv::Size(60, 40));
}

/// Where the directory of a little-endian TIFF holds `tag`: 12 bytes of tag, type, count and value.
std::size_t place_of_tag(const std::string& tiff, std::uint16_t tag) {
  const auto word = [&](std::size_t at, int bytes) {
    std::size_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= std::size_t{static_cast<unsigned char>(tiff.at(at + i))} << (8 * i);
    return value;
  };
  const std::size_t directory = word(4, 4);
  for (std::size_t i = 0; i < word(directory, 2); ++i) {
    if (word(directory + 2 + 12 * i, 2) == tag) return directory + 2 + 12 * i;
  }
  ADD_FAILURE() << "no tag " << tag;
  return directory;
}

TEST_F(ReadImage, RefusesATiffWhoseSizeLibtiffWouldReadOtherwise) {
  constexpr std::uint16_t kWidth = 256, kResolutionUnit = 296;
  const std::string tiff =
      read(save("a.tif", gradient(CV_8UC1), {cv::IMWRITE_TIFF_RESUNIT, 2, cv::IMWRITE_TIFF_XDPI, 300}));
  std::string twice = tiff;
  twice.replace(place_of_tag(tiff, kResolutionUnit), 2, std::string("\x00\x01", 2));  // another width
  EXPECT_THAT(refusal(write("b.tif", twice)), HasSubstr("twice"));
  std::string is_signed = tiff;
  is_signed[place_of_tag(tiff, kWidth) + 2] = 9;  // type SLONG
  EXPECT_THAT(refusal(write("c.tif", is_signed)), HasSubstr("unusual type"));
}

TEST_F(ReadImage, RefusesTilesThatAreLargeWhateverTheImage) {
  // 16 x 16 pixels in one tile of 32768 x 32768, of which libtiff would take a buffer.
  const std::string tiff(
      "II*\0\x08\0\0\0\x07\0"
      "\x00\x01\x03\0\x01\0\0\0\x10\0\0\0"    // width
      "\x01\x01\x03\0\x01\0\0\0\x10\0\0\0"    // length
      "\x02\x01\x03\0\x01\0\0\0\x08\0\0\0"    // bits
      "\x42\x01\x03\0\x01\0\0\0\x00\x80\0\0"  // tile width
      "\x43\x01\x03\0\x01\0\0\0\x00\x80\0\0"  // tile length
      "\x44\x01\x04\0\x01\0\0\0\x08\0\0\0"    // tile offset
      "\x45\x01\x04\0\x01\0\0\0\x10\0\0\0"    // tile bytes
      "\0\0\0\0",
      10 + 7 * 12 + 4);
  EXPECT_THAT(refusal(write("a.tif", tiff)), HasSubstr("tiles of more than 8192"));
}

TEST_F(ReadImage, RefusesSamplesThatAreNotWholeNumbers) {
  const cv::Mat values(8, 8, CV_32FC1, cv::Scalar(0.5));
  EXPECT_THAT(refusal(save("a.tif", values)), HasSubstr("floating-point"));
}

TEST_F(ReadImage, ReadsTheFirstPageOfSeveral) {
  const cv::Mat first = gradient(CV_8UC1);
  const auto path = folder_ / "a.tif";
  ASSERT_TRUE(cv::imwritemulti(path.string(), std::vector<cv::Mat>{first, cv::Mat::zeros(9, 9, CV_8UC1)}));
  EXPECT_TRUE(equal(read_image(path).grey, first));
}

TEST_F(ReadImage, ReadsFid300) {
  const char* data = std::getenv("OUTSOLE_DATA");
  const auto path = std::filesystem::path(data != nullptr ? data : "") / "fid300/references/00001.png";
  if (data == nullptr || !std::filesystem::exists(path)) GTEST_SKIP() << "OUTSOLE_DATA names no folder with fid300";
  const DecodedImage exemplar = read_image(path);
  EXPECT_EQ(exemplar.grey.type(), CV_8UC1);
  EXPECT_EQ(exemplar.grey.rows, 586);
}

TEST_F(ReadMark, TakesTheMaskBesideIt) {
  const auto path = save("a.jpg", gradient(CV_8UC1));
  cv::Mat mask(40, 60, CV_8UC1, cv::Scalar(127));
  mask(cv::Rect(5, 6, 7, 8)) = 128;
  save("a.mask.png", mask);
  EXPECT_TRUE(equal(read_mark(path).support, mask == 128));
}

TEST_F(ReadMark, PrefersTheMaskToAlpha) {
  cv::Mat image = gradient(CV_8UC4);
  image(cv::Rect(0, 0, 30, 40)) = cv::Scalar(0, 0, 0, 0);
  const auto path = save("a.png", image);
  save("a.mask.png", cv::Mat(40, 60, CV_8UC1, cv::Scalar(255)));
  EXPECT_EQ(cv::countNonZero(read_mark(path).support), 40 * 60);
}

TEST_F(ReadMark, CountsNothingWhereTheMaskIsTransparent) {
  const auto path = save("a.png", gradient(CV_8UC1));
  cv::Mat4b mask(40, 60, cv::Vec4b(0, 0, 0, 0));
  mask(cv::Rect(5, 6, 7, 8)) = cv::Vec4b(255, 255, 255, 255);
  mask(cv::Rect(30, 20, 7, 8)) = cv::Vec4b(0, 0, 0, 255);
  save("a.mask.png", mask);
  EXPECT_EQ(cv::countNonZero(read_mark(path).support), 7 * 8);
  EXPECT_EQ(cv::countNonZero(read_mark(path).support(cv::Rect(5, 6, 7, 8))), 7 * 8);
}

TEST_F(ReadMark, RefusesAMaskOfAnotherSize) {
  const auto path = save("a.png", gradient(CV_8UC1));
  save("a.mask.png", cv::Mat(40, 61, CV_8UC1, cv::Scalar(255)));
  EXPECT_THROW(read_mark(path), DataError);
}

TEST_F(ReadMark, RefusesAMaskThatHidesEverything) {
  const auto path = save("a.png", gradient(CV_8UC1));
  save("a.mask.png", cv::Mat::zeros(40, 60, CV_8UC1));
  EXPECT_THROW(read_mark(path), DataError);
}

TEST_F(WriteImage, IsReadBackUnchanged) {
  for (const int type : {CV_8UC1, CV_16UC1}) {
    const cv::Mat image = gradient(type);
    write_image(folder_ / "a.png", image);
    EXPECT_TRUE(equal(read_image(folder_ / "a.png").grey, image));
  }
  EXPECT_THROW(write_image(folder_ / "missing" / "a.png", gradient(CV_8UC1)), EnvironmentError);
  EXPECT_THROW(write_image(folder_ / "a.nonsense", gradient(CV_8UC1)), EnvironmentError);
}

TEST(ToFloat, MapsWhiteTo255AtBothDepths) {
  const cv::Mat shallow = to_float(gradient(CV_8UC1)), deep = to_float(gradient(CV_16UC1));
  EXPECT_EQ(shallow.type(), CV_32FC1);
  EXPECT_EQ(shallow.at<float>(39, 59), 255.0f);
  EXPECT_EQ(deep.at<float>(39, 59), 255.0f);
  EXPECT_EQ(deep.at<float>(0, 0), 0.0f);
  EXPECT_LE(cv::norm(shallow, deep, cv::NORM_INF), 0.51);
}

}  // namespace
}  // namespace outsole::image
