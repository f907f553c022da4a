// From what a file holds to what is worked with: the same picture is the same pixels, whatever it was kept in.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/errors.h"
#include "image/picture.h"

namespace outsole::image {

namespace {

// --- One meaning of the levels --------------------------------------------------------------------------------------

double white_of(const cv::Mat& grey) { return grey.depth() == CV_16U ? 65535 : 255; }

/// Every level, and all of their bits together.
struct Levels {
  std::uint32_t most = 0, bits = 0;
};

Levels levels_of(const cv::Mat& grey) {
  Levels levels;
  for (int y = 0; y < grey.rows; ++y) {
    const auto* row = grey.ptr<std::uint16_t>(y);
    for (int x = 0; x < grey.cols; ++x) {
      levels.most = std::max<std::uint32_t>(levels.most, row[x]);
      levels.bits |= row[x];
    }
  }
  return levels;
}

/// `to` = `from` / `full`, in parts of 65535, rounded.
void stretch(cv::Mat& grey, std::uint32_t full) {
  grey.forEach<std::uint16_t>([full](std::uint16_t& level, const int*) {
    level = static_cast<std::uint16_t>(std::min<std::uint32_t>(65535, (level * 65535U + full / 2) / full));
  });
}

/// Cameras and scanners of 10, 12 or 14 bits write them as the low or the high bits of 16, and seldom say so: in the
/// low ones paper would be nearly black. The highest level that is there tells, where it is the file's black that is 0;
/// where white is 0, a nearly white picture looks the same as one of fewer bits, and is refused.
void fill_sixteen_bits(Picture& picture, const std::string& name) {
  if (picture.grey.depth() != CV_16U || picture.stated_bits == 16) return;
  const Levels levels = levels_of(picture.grey);
  if (levels.most == 0) return;
  const auto full_of = [](int bits) { return (1U << bits) - 1; };
  const auto fill = [&](int bits, std::uint32_t full, const char* how) {
    stretch(picture.grey, full);
    if (!picture.alpha.empty() && levels_of(picture.alpha).most <= full) stretch(picture.alpha, full);
    picture.oddities.push_back(
        {"fewer than 16 bits in 16 are brought to the full range", std::to_string(bits) + " bits" + how});
  };
  if (picture.stated_bits > 0 && picture.stated_bits < 16 && levels.most <= full_of(picture.stated_bits)) {
    fill(picture.stated_bits, full_of(picture.stated_bits), ", as it says");
    return;
  }
  for (const int bits : {8, 10, 12, 14}) {
    const std::uint32_t low = full_of(bits), high = low << (16 - bits);
    if (levels.most == high && (levels.bits & ~high) == 0) {
      fill(bits, high, ", the high ones");
      return;
    }
    if (levels.most > low) continue;
    if (picture.white_is_zero && levels.most < low - low / 8) {
      throw DataError(name + ": 16-bit samples of which white is 0 and none is above " + std::to_string(levels.most) +
                      ": a nearly white picture, or one of fewer bits? Save it with black as 0, or in 8 bits");
    }
    fill(bits, low, "");
    return;
  }
}

/// grey = what is seen of the picture on white paper.
template <typename Level>
void lay_on_paper(Picture& picture) {
  constexpr std::uint64_t kWhite = static_cast<Level>(-1);
  for (int y = 0; y < picture.grey.rows; ++y) {
    Level* grey = picture.grey.ptr<Level>(y);
    const Level* alpha = picture.alpha.ptr<Level>(y);
    for (int x = 0; x < picture.grey.cols; ++x) {
      const std::uint64_t opaque = alpha[x];
      const std::uint64_t own = picture.is_premultiplied ? grey[x] : (grey[x] * opaque + kWhite / 2) / kWhite;
      grey[x] = static_cast<Level>(std::min(kWhite, own + kWhite - opaque));
    }
  }
}

/// The mask of an alpha channel; empty where all of it counts.
cv::Mat support_of(const cv::Mat& alpha) {
  if (alpha.empty()) return {};
  const cv::Mat support = white_mask(alpha);
  return cv::countNonZero(support) == alpha.rows * alpha.cols ? cv::Mat() : support;
}

// --- One way up, one resolution -------------------------------------------------------------------------------------

/// The image as orientation 1 to 8 of TIFF and EXIF says that it is shown.
cv::Mat upright(const cv::Mat& image, int orientation) {
  cv::Mat turned;
  switch (orientation) {
    case 2:
      cv::flip(image, turned, 1);
      return turned;
    case 3:
      cv::rotate(image, turned, cv::ROTATE_180);
      return turned;
    case 4:
      cv::flip(image, turned, 0);
      return turned;
    case 5:
      cv::transpose(image, turned);
      return turned;
    case 6:
      cv::rotate(image, turned, cv::ROTATE_90_CLOCKWISE);
      return turned;
    case 7:
      cv::transpose(image, turned);
      cv::rotate(turned, turned, cv::ROTATE_180);
      return turned;
    case 8:
      cv::rotate(image, turned, cv::ROTATE_90_COUNTERCLOCKWISE);
      return turned;
    default:
      return image;
  }
}

std::string dpi_text(double dpi) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", dpi);
  return text.data();
}

/// PNG rounds to whole pixels a metre, others to hundredths of a pixel a centimetre: whole pixels an inch were meant.
/// JFIF knows whole pixels a centimetre only: a usual resolution was meant if it rounds to the same.
double meant_dpi(double dpi, bool is_whole_cm) {
  constexpr double kRounding = 0.0128,
                   kUsual[] = {75, 100, 150, 200, 240, 250, 300, 400, 500, 600, 800, 1000, 1200, 2400};
  if (is_whole_cm) {
    for (const double usual : kUsual) {
      if (std::lround(usual / kCmAnInch) == std::lround(dpi / kCmAnInch)) return usual;
    }
  }
  return std::abs(dpi - std::round(dpi)) <= kRounding ? std::round(dpi) : dpi;
}

/// 72 and 96 are what cameras and programs write that do not know.
bool is_believed(double dpi) { return dpi >= kLeastDpi && dpi <= kMostDpi && dpi != 72 && dpi != 96; }

/// The first resolution of the file that can be believed; 0: none. Throws DataError for pixels that are not square.
double believed_dpi(const Picture& picture, const std::string& name, std::vector<Oddity>& oddities) {
  constexpr double kTolerance = 0.01;
  std::string doubted;
  for (const StatedResolution& stated : picture.resolutions) {
    if (!(stated.x_dpi > 0 && stated.y_dpi > 0)) continue;
    if (std::abs(stated.x_dpi - stated.y_dpi) > kTolerance * std::min(stated.x_dpi, stated.y_dpi)) {
      throw DataError(name + ": its pixels are not square (" + dpi_text(stated.x_dpi) + " x " + dpi_text(stated.y_dpi) +
                      (stated.is_ratio ? "" : " dpi") + ", across x down); bring it to one resolution");
    }
    if (stated.is_ratio) continue;
    const double dpi = meant_dpi(stated.x_dpi, stated.is_whole_cm);
    if (is_believed(dpi)) return dpi;
    if (doubted.empty()) doubted = dpi_text(dpi) + " dpi";
  }
  if (!doubted.empty()) {
    oddities.push_back(
        {"the file's resolution is not believed: cameras and programs write it that do not know", doubted});
  }
  return 0;
}

}  // namespace

cv::Mat white_mask(const cv::Mat& grey) { return grey >= (grey.depth() == CV_16U ? 32768.0 : 128.0); }

DecodedImage finished(Picture picture, const std::string& name) {
  fill_sixteen_bits(picture, name);
  if (picture.white_is_zero) picture.grey = white_of(picture.grey) - picture.grey;
  if (!picture.alpha.empty()) {
    picture.grey.depth() == CV_16U ? lay_on_paper<std::uint16_t>(picture) : lay_on_paper<std::uint8_t>(picture);
  }
  DecodedImage image;
  image.oddities = std::move(picture.oddities);
  if (double brightest = 0; cv::minMaxLoc(picture.grey, nullptr, &brightest), brightest < white_of(picture.grey) / 10) {
    image.oddities.push_back(
        {"nothing in it is brighter than a tenth of white: a negative, or a scan without paper", ""});
  }
  image.dpi = believed_dpi(picture, name, image.oddities);
  image.grey = upright(picture.grey, picture.orientation);
  image.support = upright(support_of(picture.alpha), picture.orientation);
  image.was_colour = picture.was_colour;
  if (picture.orientation != 1) {
    image.oddities.push_back({"turned upright, as the file says that it is to be shown",
                              "orientation " + std::to_string(picture.orientation)});
  }
  return image;
}

}  // namespace outsole::image
