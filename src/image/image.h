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

/// An image as read: one grey channel at its own depth, and its support mask if it carries one.
struct DecodedImage {
  cv::Mat grey;               // CV_8UC1 or CV_16UC1
  cv::Mat support;            // CV_8UC1, 255 where valid; empty: everywhere
  double dpi = 0;             // pixels an inch; 0 where the file does not say
  bool was_colour = false;    // converted by 0.299 R + 0.587 G + 0.114 B
  std::string source_sha256;  // of the file's bytes
};

/// Extensions that a folder of images is searched for (lower case, with the dot).
const std::vector<std::string>& image_extensions();

/// Reads PNG, JPEG or TIFF (8 or 16 bit, grey or colour; an alpha channel becomes the support mask, white counts; EXIF
/// orientation is not applied). The header's size is checked against `limits` before pixels are decoded; a file that is
/// empty, truncated, of another kind, or too large throws DataError naming it; one that is gone or that the disk does
/// not give throws EnvironmentError.
DecodedImage read_image(const std::filesystem::path& path, const DecodeLimits& limits = {});

/// NAME.mask.* beside the mark NAME.*, of any extension that is read and in any case: its support mask; empty: none.
std::filesystem::path mask_path_of(const std::filesystem::path& mark);

/// read_image for a mark: if NAME.mask.* lies beside NAME.* (mask_path_of), it is the support mask, in place of an
/// alpha channel (its size must match; DataError). A support that is empty throws DataError.
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
