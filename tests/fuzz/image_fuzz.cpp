// Images: the decision to decode, the decoders, and what becomes of their pixels.

#include <spdlog/spdlog.h>

#include "fuzz.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  static const bool is_quiet = (spdlog::set_level(spdlog::level::off), true);
  constexpr image::DecodeLimits kLimits{.max_pixels = 1 << 16, .max_file_bytes = 1 << 20};
  fuzz::require(is_quiet, "nothing is logged");
  const auto path = fuzz::write_scratch("image", fuzz::as_text(data, size));
  fuzz::reads_or_refuses(path.string(), [&] {
    const image::DecodedImage decoded = image::read_image(path, kLimits);
    fuzz::require(!decoded.grey.empty() && decoded.grey.total() <= 1 << 16, "no image exceeds the limit");
    fuzz::require(decoded.grey.type() == CV_8UC1 || decoded.grey.type() == CV_16UC1, "an image is grey");
    fuzz::require(decoded.support.empty() || decoded.support.size() == decoded.grey.size(), "a mask fits its image");
    fuzz::require(decoded.dpi == 0 || (decoded.dpi >= image::kLeastDpi && decoded.dpi <= image::kMostDpi),
                  "a resolution is one");
  });
  return 0;
}
