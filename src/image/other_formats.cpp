// Formats that cameras, scanners and programs write and that are not read: each is named, with what to convert it to.

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "image/picture.h"

namespace outsole::image {

namespace {

bool has_at(Bytes file, std::size_t at, std::string_view text) {
  return file.size() >= at + text.size() && std::memcmp(file.data() + at, text.data(), text.size()) == 0;
}

bool is_bmp(Bytes file) {
  if (!has_at(file, 0, "BM") || file.size() < 18) return false;
  constexpr int kHeaderBytes[] = {12, 40, 52, 56, 64, 108, 124};
  const int header_bytes = std::to_integer<int>(file[14]);
  const bool is_small = file[15] == std::byte{0} && file[16] == std::byte{0} && file[17] == std::byte{0};
  return is_small && std::ranges::find(kHeaderBytes, header_bytes) != std::end(kHeaderBytes);
}

/// The format of an ISO base media file, by its brand.
std::string_view name_of_brand(Bytes file) {
  if (!has_at(file, 4, "ftyp")) return {};
  for (const std::string_view brand : {"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"}) {
    if (has_at(file, 8, brand)) return "HEIC";
  }
  for (const std::string_view brand : {"avif", "avis"}) {
    if (has_at(file, 8, brand)) return "AVIF";
  }
  return has_at(file, 8, "jp2 ") || has_at(file, 8, "jpx ") ? "JPEG 2000" : "a video";
}

}  // namespace

std::string advice_on_other_format(Bytes file) {
  constexpr std::string_view kToPng = " is not read; convert it to PNG at its full size";
  const auto advice = [](std::string_view what, std::string_view how) { return std::string(what) + std::string(how); };
  if (is_bmp(file)) return advice("BMP", kToPng);
  if (has_at(file, 0, "RIFF") && has_at(file, 8, "WEBP")) return advice("WebP", kToPng);
  if (has_at(file, 0, "GIF87a") || has_at(file, 0, "GIF89a")) return advice("GIF", kToPng);
  if (has_at(file, 0, std::string_view("\0\0\0\x0CjP  \r\n", 10)) || has_at(file, 0, "\xFF\x4F\xFF\x51")) {
    return advice("JPEG 2000", " is not read; convert it to PNG or TIFF at its full size and depth");
  }
  if (has_at(file, 0, std::string_view("\0\0\0\x0CJXL \r\n", 10)) || (has_at(file, 0, "\xFF\x0A") && file.size() > 2)) {
    return advice("JPEG XL", kToPng);
  }
  if (const std::string_view name = name_of_brand(file); !name.empty()) {
    if (name != "HEIC") return advice(name, kToPng);
    return advice(name,
                  " is not read; convert it to PNG at its full size, or let the phone save JPEG (\"most compatible\")");
  }
  constexpr std::size_t kPdfWithin = 1024;  // of its beginning, as readers of PDF allow
  constexpr std::string_view kPdf = "%PDF-";
  const Bytes head = file.first(std::min(file.size(), kPdfWithin));
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const bool is_image =
      has_at(file, 0, "\x89PNG") || has_at(file, 0, "\xFF\xD8") || has_at(file, 0, "II") || has_at(file, 0, "MM");
  if (!is_image && text.find(kPdf) != std::string_view::npos) {
    return advice("PDF", " is not read; take its scan out as PNG or TIFF at the scanner's resolution");
  }
  if (has_at(file, 0, "8BPS")) return advice("a Photoshop document", kToPng);
  if (has_at(file, 0, std::string_view("II\xBC\x01", 4))) return advice("JPEG XR", kToPng);
  return {};
}

}  // namespace outsole::image
