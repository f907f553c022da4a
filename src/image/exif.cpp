#include "core/errors.h"
#include "image/picture.h"
#include "image/tiff_directory.h"

namespace outsole::image {

void take_exif(Bytes exif, Picture& picture) {
  constexpr std::uint64_t kInch = 2, kCentimetre = 3;
  try {
    const TiffDirectory directory(exif, "EXIF");
    const std::uint64_t orientation = directory.value_or(tag::kOrientation, 1);
    if (orientation >= 1 && orientation <= 8) picture.orientation = static_cast<int>(orientation);
    const std::uint64_t unit = directory.value_or(tag::kResolutionUnit, kInch);
    const double factor = unit == kCentimetre ? kCmAnInch : 1;
    picture.resolutions.push_back({factor * directory.fraction(tag::kXResolution),
                                   factor * directory.fraction(tag::kYResolution),
                                   unit != kInch && unit != kCentimetre});
  } catch (const DataError& error) {
    picture.oddities.push_back(
        {"its EXIF data are broken and passed over, perhaps with how it is to be turned", error.what()});
  }
}

}  // namespace outsole::image
