#include "image/write_png.h"

#include <cmath>
#include <cstdint>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/errors.h"
#include "core/files.h"

namespace outsole::image {

namespace {

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
  return bytes;
}

/// As PNG's specification gives it (annex D).
std::uint32_t png_crc(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? 0xEDB88320u ^ crc >> 1 : crc >> 1;
  }
  return ~crc;
}

/// The chunk that says how many pixels a metre holds.
std::string resolution_chunk(double dpi) {
  constexpr double kInchesAMetre = 1 / 0.0254;
  const auto pixels_a_metre = static_cast<std::uint32_t>(std::lround(dpi * kInchesAMetre));
  const std::string content = "pHYs" + big_endian(pixels_a_metre) + big_endian(pixels_a_metre) + '\x01';
  return big_endian(9) + content + big_endian(png_crc(content));
}

}  // namespace

void write_png(const std::filesystem::path& path, const cv::Mat& image, double dpi) {
  constexpr std::size_t kHeaderBytes = 33;  // signature and the first chunk, IHDR
  std::vector<uchar> encoded;
  bool is_encoded = false;
  try {
    is_encoded = cv::imencode(".png", image, encoded);
  } catch (const cv::Exception& error) {
    throw EnvironmentError(path.string() + ": cannot be encoded: " + error.what());
  }
  if (!is_encoded || encoded.size() < kHeaderBytes) throw EnvironmentError(path.string() + ": cannot be encoded");
  std::string bytes(encoded.begin(), encoded.end());
  if (dpi > 0) bytes.insert(kHeaderBytes, resolution_chunk(dpi));
  write_file_atomically(path, bytes);
}

}  // namespace outsole::image
