#include "image/image.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <mutex>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string_view>

#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/input_files.h"
#include "core/sha256.h"
#include "image/image_header.h"

namespace outsole::image {

namespace fs = std::filesystem;

namespace {

/// Collects what is written to standard error while it lives. OpenCV gives no other way to learn that a codec met
/// broken data: libjpeg prints "Corrupt JPEG data" there, libtiff's messages go there at OpenCV's level debug, and the
/// image comes back as if nothing had happened. Other threads that print there meanwhile wait for the end of the
/// capture: it holds stdio's lock of stderr, through which the log, std::cerr and the progress bar go.
class StandardErrorCapture {
 public:
  StandardErrorCapture() : lock_(mutex()), file_(std::tmpfile()), original_(file_ ? ::dup(STDERR_FILENO) : -1) {
    if (original_ < 0) return;
    ::flockfile(stderr);
    std::fflush(stderr);
    ::dup2(::fileno(file_), STDERR_FILENO);
    log_level_ = cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_DEBUG);
  }
  ~StandardErrorCapture() {
    restore();
    if (file_ != nullptr) std::fclose(file_);
  }
  StandardErrorCapture(const StandardErrorCapture&) = delete;
  StandardErrorCapture& operator=(const StandardErrorCapture&) = delete;

  /// Ends the capture; the first 4 KiB of what was said.
  std::string text() {
    restore();
    std::string said(4096, '\0');
    const ssize_t length = file_ != nullptr ? ::pread(::fileno(file_), said.data(), said.size(), 0) : 0;
    said.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    return said;
  }

 private:
  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }
  void restore() {
    if (original_ < 0) return;
    cv::utils::logging::setLogLevel(log_level_);
    std::fflush(stderr);
    ::dup2(original_, STDERR_FILENO);
    ::close(original_);
    original_ = -1;
    ::funlockfile(stderr);
  }

  std::lock_guard<std::mutex> lock_;  // one standard error, one capture
  std::FILE* file_;
  int original_;
  cv::utils::logging::LogLevel log_level_ = cv::utils::logging::LOG_LEVEL_WARNING;
};

/// True when libjpeg's or libtiff's messages say that pixels are missing or made up.
bool tells_of_damage(std::string_view messages) {
  constexpr std::string_view kDamage[] = {"Corrupt JPEG data", "Premature end",   "Decoding error", "Discarding",
                                          "not yet in table",  "Not enough data", "Bad code word",  "Read error"};
  return std::any_of(std::begin(kDamage), std::end(kDamage),
                     [&](std::string_view phrase) { return messages.find(phrase) != std::string_view::npos; });
}

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

/// The pixels as OpenCV gives them: 8 or 16 bit, 1, 3 (BGR) or 4 (BGRA) channels.
cv::Mat decode_pixels(const std::vector<std::byte>& bytes, const std::string& name) {
  StandardErrorCapture capture;
  cv::Mat pixels;
  try {
    const cv::Mat buffer(1, narrow<int>(bytes.size()), CV_8UC1, const_cast<std::byte*>(bytes.data()));
    pixels = cv::imdecode(buffer, cv::IMREAD_UNCHANGED);
  } catch (const cv::Exception& error) {
    throw DataError(name + ": cannot be decoded: " + error.err);
  }
  const std::string said = capture.text();
  if (pixels.empty()) throw DataError(name + ": cannot be decoded; the file is damaged or of an unusual kind");
  if (tells_of_damage(said)) {
    throw DataError(name + ": its pixels are damaged (" + said.substr(0, said.find('\n')) + ")");
  }
  if (!said.empty()) spdlog::debug("{}: the codec says: {}", name, said);
  return pixels;
}

/// Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded, of 3 or 4 channels; says whether any pixel had a colour.
template <typename Level>
bool convert_to_grey(const cv::Mat& pixels, cv::Mat& grey) {
  const int channels = pixels.channels();
  bool has_colour = false;
  for (int y = 0; y < pixels.rows; ++y) {
    const Level* input = pixels.ptr<Level>(y);
    Level* output = grey.ptr<Level>(y);
    for (int x = 0; x < pixels.cols; ++x, input += channels) {
      const std::uint32_t blue = input[0], green = input[1], red = input[2];
      has_colour |= blue != green || green != red;
      output[x] = static_cast<Level>((299 * red + 587 * green + 114 * blue + 500) / 1000);
    }
  }
  return has_colour;
}

/// 255 where a grey value is at least half of white.
cv::Mat white_mask(const cv::Mat& grey) { return grey >= (grey.depth() == CV_16U ? 32768.0 : 128.0); }

DecodedImage split_channels(const cv::Mat& pixels) {
  DecodedImage image;
  if (pixels.channels() == 1) {
    image.grey = pixels;
    return image;
  }
  image.grey.create(pixels.size(), CV_MAKETYPE(pixels.depth(), 1));
  image.was_colour = pixels.depth() == CV_8U ? convert_to_grey<std::uint8_t>(pixels, image.grey)
                                             : convert_to_grey<std::uint16_t>(pixels, image.grey);
  if (pixels.channels() == 4) {
    cv::Mat alpha;
    cv::extractChannel(pixels, alpha, 3);
    const cv::Mat support = white_mask(alpha);
    const bool is_everywhere = cv::countNonZero(support) == pixels.rows * pixels.cols;
    if (!is_everywhere) image.support = support;
  }
  return image;
}

void check_size(const ImageHeader& header, const DecodeLimits& limits, const std::string& name) {
  // Eight bytes a pixel before it is grey, where 8-bit colour has four at most.
  const bool is_deep_colour = header.bits_per_sample == 16 && header.samples_per_pixel > 1;
  const std::int64_t most_pixels = is_deep_colour ? limits.max_pixels / 2 : limits.max_pixels;
  if (header.height_px > most_pixels / header.width_px) {
    throw DataError(name + ": " + std::to_string(header.height_px) + " x " + std::to_string(header.width_px) +
                    " pixels (height x width), above the limit of " + std::to_string(most_pixels) + " pixels" +
                    (is_deep_colour ? " in 16-bit colour" : ""));
  }
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
  const std::string name = path.string();
  constexpr std::int64_t kMostEncodedBytes = std::numeric_limits<int>::max();  // what OpenCV takes
  const std::vector<std::byte> bytes = read_bytes(path, std::min(limits.max_file_bytes, kMostEncodedBytes));
  const ImageHeader header = read_image_header(bytes, name);
  check_size(header, limits, name);
  if (header.several_pages) spdlog::warn("{}: a TIFF of several pages; only the first is read", name);

  const cv::Mat pixels = decode_pixels(bytes, name);
  const bool is_known_kind = (pixels.depth() == CV_8U || pixels.depth() == CV_16U) &&
                             (pixels.channels() == 1 || pixels.channels() == 3 || pixels.channels() == 4);
  if (!is_known_kind) throw DataError(name + ": neither 8 nor 16 bit grey or colour; convert it");
  if (pixels.rows != header.height_px || pixels.cols != header.width_px) {
    throw DataError(name + ": its header promises another size than its pixels have");
  }
  DecodedImage image = split_channels(pixels);
  // OpenCV inverts a white-is-zero TIFF of 8 bits, but not of 16.
  if (header.white_is_zero && header.bits_per_sample == 16) image.grey = 65535 - image.grey;
  image.dpi = header.dpi;
  image.source_sha256 = sha256_of(bytes);
  return image;
}

fs::path mask_path_of(const fs::path& mark) { return find_mask(mark, image_extensions()); }

DecodedImage read_mark(const fs::path& path, const DecodeLimits& limits) {
  DecodedImage mark = read_image(path, limits);
  const fs::path mask_path = mask_path_of(path);
  if (!mask_path.empty()) {
    const cv::Mat mask = read_image(mask_path, limits).grey;
    if (mask.size() != mark.grey.size()) {
      throw DataError(mask_path.string() + ": " + std::to_string(mask.rows) + " x " + std::to_string(mask.cols) +
                      " pixels where the mark " + path.string() + " has " + std::to_string(mark.grey.rows) + " x " +
                      std::to_string(mark.grey.cols) + " (height x width)");
    }
    mark.support = white_mask(mask);
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
