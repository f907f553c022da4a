// Images: the header, the decision to decode by it, and the codecs behind it.

#include <spdlog/spdlog.h>

#include "fuzz.h"
#include "image/image.h"
#include "image/image_header.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  static const bool is_quiet = (spdlog::set_level(spdlog::level::off), true);
  constexpr image::DecodeLimits kLimits{.max_pixels = 1 << 16, .max_file_bytes = 1 << 20};
  bool has_header = !is_quiet;
  image::ImageHeader header;
  fuzz::reads_or_refuses("an image", [&] {
    header = image::read_image_header(std::as_bytes(std::span(data, size)), "an image");
    has_header = true;
    fuzz::require(header.height_px > 0 && header.width_px > 0, "an image has pixels");
    fuzz::require(header.bits_per_sample == 8 || header.bits_per_sample == 16, "samples are of 8 or 16 bits");
  });
  const auto path = fuzz::write_scratch("image", fuzz::as_text(data, size));
  fuzz::reads_or_refuses(path.string(), [&] {
    const image::DecodedImage decoded = image::read_image(path, kLimits);
    fuzz::require(has_header && decoded.grey.rows == header.height_px && decoded.grey.cols == header.width_px,
                  "an image is what its header says");
    fuzz::require(decoded.grey.total() <= 1 << 16, "no image exceeds the limit");
    fuzz::require(decoded.support.empty() || decoded.support.size() == decoded.grey.size(), "a mask fits its image");
  });
  return 0;
}
