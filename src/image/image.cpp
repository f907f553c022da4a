#include "image/image.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <string_view>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/input_files.h"
#include "core/sha256.h"
#include "image/picture.h"

namespace outsole::image {

namespace fs = std::filesystem;

namespace {

/// Callers read what they have found in a listing. What is gone since, or fails to read, is no bad image that a job may
/// leave out: the disk is at fault, and the same command must find the same images once it is mended.
[[noreturn]] void throw_gone(const fs::path& path, const std::string& what) {
  throw EnvironmentError(path.string() + ": " + what + "; bring it back, and run the same command again");
}

std::vector<std::byte> read_bytes(const fs::path& path, std::int64_t max_file_bytes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw_gone(path, "does not exist, or no longer");
  if (!fs::is_regular_file(status)) throw DataError(path.string() + ": not a file");
  const auto size = fs::file_size(path, error);
  if (error) throw_gone(path, "cannot be read: " + error.message());
  if (size > static_cast<std::uintmax_t>(max_file_bytes)) {
    throw DataError(path.string() + ": " + std::to_string(size) + " bytes, above the limit of " +
                    std::to_string(max_file_bytes));
  }
  std::vector<std::byte> bytes(size);
  std::ifstream file(path, std::ios::binary);
  if (!file && (errno == EACCES || errno == EPERM)) throw DataError(path.string() + ": may not be read");
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!file) throw_gone(path, "cannot be read");
  return bytes;
}

bool starts_with(Bytes file, std::string_view signature) {
  return file.size() >= signature.size() && std::memcmp(file.data(), signature.data(), signature.size()) == 0;
}

Picture decode(Bytes file, const std::string& name, const DecodeLimits& limits) {
  if (file.empty()) throw DataError(name + ": empty file");
  if (const std::string advice = advice_on_other_format(file); !advice.empty()) throw DataError(name + ": " + advice);
  if (starts_with(file, "\x89PNG\r\n\x1a\n")) return decode_png(file, name, limits);
  if (starts_with(file, "\xFF\xD8\xFF")) return decode_jpeg(file, name, limits);
  if (starts_with(file, "II") || starts_with(file, "MM")) return decode_tiff(file, name, limits);
  throw DataError(name + ": neither PNG, JPEG nor TIFF, whatever its extension");
}

/// Encodes by the extension, with the codec's options, and writes whole or not at all.
void write_encoded(const fs::path& path, const cv::Mat& image, const std::vector<int>& options) {
  std::vector<std::uint8_t> encoded;
  bool is_encoded = false;
  try {
    is_encoded = cv::imencode(path.extension().string(), image, encoded, options);
  } catch (const cv::Exception& error) {
    throw EnvironmentError(path.string() + ": cannot be encoded: " + error.err);
  }
  if (!is_encoded) throw EnvironmentError(path.string() + ": cannot be encoded");
  write_file_atomically(path, {reinterpret_cast<const char*>(encoded.data()), encoded.size()});
}

}  // namespace

const std::vector<std::string>& image_extensions() {
  static const std::vector<std::string> kExtensions = {".png", ".jpg", ".jpeg", ".tif", ".tiff"};
  return kExtensions;
}

DecodedImage read_image(const fs::path& path, const DecodeLimits& limits) {
  const std::vector<std::byte> bytes = read_bytes(path, limits.max_file_bytes);
  DecodedImage image = finished(decode(bytes, path.string(), limits), path.string());
  image.source_sha256 = sha256_of(bytes);
  return image;
}

fs::path mask_path_of(const fs::path& mark) { return find_mask(mark, image_extensions()); }

DecodedImage read_mark(const fs::path& path, const DecodeLimits& limits) {
  DecodedImage mark = read_image(path, limits);
  for (const auto& [what, detail] : mark.oddities) {
    spdlog::warn("{}: {}{}", path.string(), what, detail.empty() ? "" : " (" + detail + ")");
  }
  const fs::path mask_path = mask_path_of(path);
  if (!mask_path.empty()) {
    const DecodedImage read = read_image(mask_path, limits);
    const cv::Mat& mask = read.grey;
    if (mask.size() != mark.grey.size()) {
      throw DataError(mask_path.string() + ": " + std::to_string(mask.rows) + " x " + std::to_string(mask.cols) +
                      " pixels where the mark " + path.string() + " has " + std::to_string(mark.grey.rows) + " x " +
                      std::to_string(mark.grey.cols) + " (height x width)");
    }
    mark.support = read.support.empty() ? white_mask(mask) : white_mask(mask) & read.support;
  }
  if (!mark.support.empty() && cv::countNonZero(mark.support) == 0) {
    throw DataError(path.string() + ": its support mask is black everywhere, so nothing of the mark counts");
  }
  return mark;
}

void write_image(const fs::path& path, const cv::Mat& image) { write_encoded(path, image, {}); }

void write_tiff(const fs::path& path, const cv::Mat& image, double dpi) {
  constexpr int kLzw = 5, kInch = 2;
  const int resolution = std::max(1, static_cast<int>(std::lround(dpi)));
  write_encoded(path, image,
                {cv::IMWRITE_TIFF_COMPRESSION, kLzw, cv::IMWRITE_TIFF_RESUNIT, kInch, cv::IMWRITE_TIFF_XDPI, resolution,
                 cv::IMWRITE_TIFF_YDPI, resolution});
}

cv::Mat to_float(const cv::Mat& grey) {
  ensure(grey.type() == CV_8UC1 || grey.type() == CV_16UC1, "to_float takes 8- or 16-bit grey");
  cv::Mat values;
  grey.convertTo(values, CV_32F);
  // By division: multiplying by 1 / 257 would not make white exactly 255.
  if (grey.type() == CV_16UC1) values.forEach<float>([](float& value, const int*) { value /= 257.0f; });
  return values;
}

cv::Mat1b to_8_bit(const cv::Mat& grey) {
  cv::Mat1b levels;
  to_float(grey).convertTo(levels, CV_8U);
  return levels;
}

}  // namespace outsole::image
