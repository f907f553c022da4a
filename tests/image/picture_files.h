#pragma once
// Pictures in files of every layout, written by the libraries themselves, for tests of what reads them.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace outsole::testing {

/// 8-bit red, green, blue and alpha.
using Picture = cv::Mat4b;

enum class AlphaKind { kNone, kStraight, kPremultiplied, kUnspecified };

/// How orientation 1 to 8 stores a picture that is shown upright, from the definition of the tag: which sides of it the
/// first row and the first column are.
Picture stored_as(const Picture& upright, int orientation);

/// A TIFF of EXIF data that says how to turn, and perhaps a resolution.
std::string exif_of(int orientation, double dpi = 0, bool is_big_endian = false);

struct PngWay {
  int depth = 8;
  int colour = 0;  // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  bool is_interlaced = false;
  int used_bits = 0;    // of 16, the low ones; 0: all
  int stated_bits = 0;  // sBIT
  double x_per_metre = 0, y_per_metre = 0;
  bool has_metre = true;  // or only the ratio
  std::string exif{};
  int transparent_grey = -1;  // tRNS, for grey
  std::vector<cv::Vec4b> palette{};
};
void write_png(const std::filesystem::path& path, const Picture& picture, const PngWay& way);

struct JpegWay {
  enum class Colours { kGrey, kYCbCr, kRgb, kAdobeCmyk, kAdobeYcck } colours = Colours::kGrey;
  bool is_progressive = false, is_arithmetic = false;
  int restart_interval = 0;
  int density_unit = 0, x_density = 1, y_density = 1;
  std::string exif{};
};
void write_jpeg(const std::filesystem::path& path, const Picture& picture, const JpegWay& way);

struct TiffWay {
  std::string mode = "w";  // with l, b or 8: byte order and BigTIFF
  int bits = 8;
  int photometric = 1;
  int compression = 1;
  int predictor = 1;
  bool is_planar = false;
  int tile_px = 0;  // 0: strips
  int rows_per_strip = 5;
  int orientation = 1;
  int fill_order = 1;
  AlphaKind alpha = AlphaKind::kNone;
  int used_bits = 0;  // of 16
  bool uses_high_bits = false;
  int max_sample_value = 0;  // 0: not stated
  double x_dpi = 0, y_dpi = 0;
  int resolution_unit = 2;
  std::vector<cv::Vec4b> palette{};
};
void write_tiff(const std::filesystem::path& path, const Picture& picture, const TiffWay& way);

/// A little-endian classic TIFF of one strip by its bare tags: number, type (3 SHORT, 4 LONG, 5 RATIONAL in
/// thousandths) and values.
struct BareTag {
  int number = 0, type = 3;
  std::vector<double> values;
};
std::string bare_tiff(std::vector<BareTag> tags, const std::string& strip);

/// The index of each pixel's colour in the palette.
std::vector<int> indices_of(const Picture& picture, const std::vector<cv::Vec4b>& palette);

}  // namespace outsole::testing
