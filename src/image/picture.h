#pragma once
// What a decoder gives: a file's pixels as grey and alpha, before they are turned, scaled and laid on paper, and what
// the file says of them. Colour becomes grey run by run, so that no picture is ever held in colour.

#include <array>
#include <cstddef>
#include <cstdint>
#include <opencv2/core.hpp>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"

namespace outsole::image {

using Bytes = std::span<const std::byte>;

/// A resolution that a file states, in pixels an inch.
struct StatedResolution {
  double x_dpi = 0, y_dpi = 0;
  bool is_ratio = false;     // only how the pixels' sides stand to each other
  bool is_whole_cm = false;  // was rounded to whole pixels a centimetre
};

struct Picture {
  cv::Mat grey;   // CV_8UC1 or CV_16UC1, samples as the file holds them
  cv::Mat alpha;  // of the same type, the highest value opaque; empty: the file has none
  bool was_colour = false;
  bool white_is_zero = false;                 // grey runs from white to black
  bool is_premultiplied = false;              // grey was multiplied by alpha
  int stated_bits = 0;                        // how many of 16 bits the file says it uses; 0: it does not say
  int orientation = 1;                        // 1 to 8, as in TIFF and EXIF
  std::vector<StatedResolution> resolutions;  // the most trustworthy first
  std::vector<Oddity> oddities;
};

/// Takes the memory of a picture without pixels yet. Refuses by DataError what is larger than the limits; deep colour
/// counts twice.
Picture blank_picture(std::int64_t height_px, std::int64_t width_px, int bits, bool has_alpha);
void check_size(std::int64_t height_px, std::int64_t width_px, bool is_deep_colour, const DecodeLimits& limits,
                const std::string& name);

/// What the samples of a pixel mean.
enum class Samples {
  kGrey,
  kRgb,
  kInks,  // cyan, magenta, yellow, black: 0 is no ink
};

/// Neighbouring pixels of a row: sample s of pixel i is the i * step-th after `sample[s]`, as deep as the picture.
struct Run {
  std::array<const void*, 4> sample{};
  const void* alpha = nullptr;
  std::ptrdiff_t step = 1;
};

/// Writes a run into row y from column x on: grey as it is, Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded, or
/// R = (white - C)(white - K) / white and so on before that.
void put(Picture& picture, Samples samples, int y, int x, int count, const Run& run);

/// A run whose samples lie pixel by pixel, `of_pixel` to each; the alpha, if any, is number `alpha` of them.
Run interleaved(const void* first, int depth_bytes, int of_pixel, int alpha = -1);

Picture decode_png(Bytes file, const std::string& name, const DecodeLimits& limits);
Picture decode_jpeg(Bytes file, const std::string& name, const DecodeLimits& limits);
Picture decode_tiff(Bytes file, const std::string& name, const DecodeLimits& limits);

/// Takes orientation and resolution out of EXIF data (a TIFF without pixels); broken ones are an oddity.
void take_exif(Bytes exif, Picture& picture);

/// The picture as it is worked with, all but the file's digest. Throws DataError naming `name` for pixels that are not
/// square, and for 16-bit samples of which nobody can say how many bits they use.
DecodedImage finished(Picture picture, const std::string& name);

/// 255 where a grey value is at least half of white.
cv::Mat white_mask(const cv::Mat& grey);

/// Nothing for what is read, or not known at all; else the name of the format and what to do.
std::string advice_on_other_format(Bytes file);

inline constexpr char kFiller[] = "superfluous bytes that cost no pixel are passed over";

inline constexpr double kCmAnInch = 2.54, kMetresAnInch = 0.0254;

}  // namespace outsole::image
