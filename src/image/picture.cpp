#include "image/picture.h"

#include <cstring>

#include "core/checked.h"
#include "core/errors.h"

namespace outsole::image {

namespace {

template <typename Level>
constexpr std::uint64_t kWhite = static_cast<Level>(-1);

/// Red, green and blue of the pixel at `at`.
template <typename Level, Samples kind>
std::array<std::uint32_t, 3> rgb_at(const std::array<const Level*, 4>& sample, std::ptrdiff_t at) {
  std::array<std::uint32_t, 3> rgb{};
  for (std::size_t s = 0; s < 3; ++s) {
    const std::uint64_t level = sample[s][at];
    if constexpr (kind == Samples::kInks) {
      const std::uint64_t white = kWhite<Level>;
      rgb[s] = static_cast<std::uint32_t>((white - level) * (white - sample[3][at]) / white);
    } else {
      rgb[s] = static_cast<std::uint32_t>(level);
    }
  }
  return rgb;
}

/// Says whether any pixel had a colour.
template <typename Level, Samples kind>
bool put_colour(Level* grey, int count, const std::array<const Level*, 4>& sample, std::ptrdiff_t step) {
  bool has_colour = false;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const auto [red, green, blue] = rgb_at<Level, kind>(sample, i * step);
    has_colour |= blue != green || green != red;
    grey[i] = static_cast<Level>((299 * red + 587 * green + 114 * blue + 500) / 1000);
  }
  return has_colour;
}

template <typename Level>
void copy(Level* to, int count, const Level* from, std::ptrdiff_t step) {
  if (step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(Level));
  } else {
    for (std::ptrdiff_t i = 0; i < count; ++i) to[i] = from[i * step];
  }
}

template <typename Level>
void put_levels(Picture& picture, Samples samples, int y, int x, int count, const Run& run) {
  std::array<const Level*, 4> sample{};
  for (std::size_t s = 0; s < sample.size(); ++s) sample[s] = static_cast<const Level*>(run.sample[s]);
  Level* const grey = picture.grey.ptr<Level>(y) + x;
  if (samples == Samples::kGrey) copy(grey, count, sample[0], run.step);
  if (samples == Samples::kRgb) picture.was_colour |= put_colour<Level, Samples::kRgb>(grey, count, sample, run.step);
  if (samples == Samples::kInks) picture.was_colour |= put_colour<Level, Samples::kInks>(grey, count, sample, run.step);
  if (!picture.alpha.empty()) {
    copy(picture.alpha.ptr<Level>(y) + x, count, static_cast<const Level*>(run.alpha), run.step);
  }
}

}  // namespace

void check_size(std::int64_t height_px, std::int64_t width_px, bool is_deep_colour, const DecodeLimits& limits,
                const std::string& name) {
  if (height_px <= 0 || width_px <= 0) throw DataError(name + ": an image without pixels");
  const std::int64_t most_pixels = is_deep_colour ? limits.max_pixels / 2 : limits.max_pixels;
  if (height_px <= most_pixels / width_px) return;
  throw DataError(name + ": " + std::to_string(height_px) + " x " + std::to_string(width_px) +
                  " pixels (height x width), above the limit of " + std::to_string(most_pixels) + " pixels" +
                  (is_deep_colour ? " in 16-bit colour" : ""));
}

Picture blank_picture(std::int64_t height_px, std::int64_t width_px, int bits, bool has_alpha) {
  Picture picture;
  picture.grey.create(narrow<int>(height_px), narrow<int>(width_px), bits == 16 ? CV_16UC1 : CV_8UC1);
  if (has_alpha) picture.alpha.create(picture.grey.size(), picture.grey.type());
  return picture;
}

void put(Picture& picture, Samples samples, int y, int x, int count, const Run& run) {
  if (picture.grey.depth() == CV_16U) {
    put_levels<std::uint16_t>(picture, samples, y, x, count, run);
  } else {
    put_levels<std::uint8_t>(picture, samples, y, x, count, run);
  }
}

Run interleaved(const void* first, int depth_bytes, int of_pixel, int alpha) {
  Run run;
  const auto at = [&](int sample) { return static_cast<const std::byte*>(first) + sample * depth_bytes; };
  for (int s = 0; s < std::min(of_pixel, 4); ++s) run.sample[static_cast<std::size_t>(s)] = at(s);
  if (alpha >= 0) run.alpha = at(alpha);
  run.step = of_pixel;
  return run;
}

}  // namespace outsole::image
