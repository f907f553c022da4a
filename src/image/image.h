#pragma once
// Reading and writing images. In memory an image is a cv::Mat: CV_8UC1 or CV_16UC1 as it came, CV_32FC1 (0..255) to
// compute.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <span>
#include <string>
#include <vector>

namespace outsole::image {

/// What refuses an image before its pixels are decoded.
struct DecodeLimits {
  std::int64_t max_pixels = std::int64_t{1} << 28;  // 13750 x 5500 is 2^26.2
  std::int64_t max_file_bytes = std::int64_t{1} << 30;
};

/// Something odd about an image that is read all the same. `what` is alike for all such images ("the file's resolution
/// is not the manifest's"), `detail` is this one's.
struct Oddity {
  std::string what;
  std::string detail;
};

/// An image as read: upright, one grey channel at its own depth, and its support mask if it carries one.
struct DecodedImage {
  cv::Mat grey;               // CV_8UC1 or CV_16UC1; paper where the file is transparent
  cv::Mat support;            // CV_8UC1, 255 where valid; empty: everywhere
  double dpi = 0;             // pixels an inch, along both axes; 0 where the file does not say, or cannot be believed
  bool was_colour = false;    // converted by 0.299 R + 0.587 G + 0.114 B
  std::string source_sha256;  // of the file's bytes
  std::vector<Oddity> oddities;  // what was assumed, turned, scaled or passed over
};

/// Resolutions that a scanner can have: others are what programs write by mistake.
inline constexpr double kLeastDpi = 10, kMostDpi = 20000;

/// Extensions that a folder of images is searched for (lower case, with the dot).
const std::vector<std::string>& image_extensions();

/// Reads PNG, JPEG or TIFF (8 or 16 bit, grey or colour). The same picture gives the same pixels from every container:
/// it is turned as EXIF or TIFF say it is to be shown, white is the highest value, fewer bits in 16 fill them, and
/// transparent parts are paper; an alpha channel also becomes the support mask, white counts. What was done or assumed
/// is listed as oddities. The header's size is checked against `limits` before pixels are decoded; a file that is
/// empty, truncated, damaged, of another kind, of a layout that is not known to be read right, of pixels that are not
/// square, or too large throws DataError naming it; one that is gone or that the disk does not give throws
/// EnvironmentError. Superfluous bytes that cost no pixel are no damage. From any thread.
DecodedImage read_image(const std::filesystem::path& path, const DecodeLimits& limits = {});

/// NAME.mask.* beside the mark NAME.*, of any extension that is read and in any case: its support mask; empty: none.
std::filesystem::path mask_path_of(const std::filesystem::path& mark);

/// read_image for a mark: if NAME.mask.* lies beside NAME.* (mask_path_of), it is the support mask, in place of an
/// alpha channel (its size must match; DataError), and where the mask itself is transparent nothing counts. A support
/// that is empty throws DataError. Oddities are logged.
DecodedImage read_mark(const std::filesystem::path& path, const DecodeLimits& limits = {});

/// Writes an 8- or 16-bit image as PNG (or by the extension), whole or not at all. Throws EnvironmentError.
void write_image(const std::filesystem::path& path, const cv::Mat& image);

/// Writes an 8-bit grey image as TIFF (LZW) that states its resolution, rounded to whole pixels an inch; whole or not
/// at all. Throws EnvironmentError.
void write_tiff(const std::filesystem::path& path, const cv::Mat& image, double dpi);

/// Grey values as float in 0..255, whatever the depth (16 bit is divided by 257).
cv::Mat to_float(const cv::Mat& grey);

/// The same rounded to whole grey levels.
cv::Mat1b to_8_bit(const cv::Mat& grey);

}  // namespace outsole::image
