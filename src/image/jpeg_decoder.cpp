// JPEG by libjpeg(-turbo): 8 bits; grey, YCbCr, RGB, and CMYK as Adobe writes it; baseline, progressive or arithmetic.

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <cstring>

#include "core/errors.h"
#include "image/jpeg_filler.h"
#include "image/picture.h"

namespace outsole::image {

namespace {

/// Libjpeg on a file in memory. Its calls are made inside guarded(): it reports an error by jumping out of them.
class Jpeg {
 public:
  Jpeg(Bytes file, const std::string& name) : file_(file), name_(name) {
    jpeg_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    errors_.output_message = [](j_common_ptr) {};
    jpeg_.client_data = this;
    progress_.progress_monitor = on_progress;
    guarded([this](jpeg_decompress_struct& jpeg) {
      jpeg_create_decompress(&jpeg);
      jpeg.progress = &progress_;
    });
  }
  ~Jpeg() { jpeg_destroy_decompress(&jpeg_); }
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;

  /// `calls` must own nothing that a destructor frees. Throws DataError with libjpeg's reason.
  template <typename Calls>
  void guarded(const Calls& calls) {
    if (setjmp(escape_) != 0) {
      throw DataError(name_ + (is_damaged_ ? ": its pixels are damaged (" : ": cannot be decoded (") + said_.data() +
                      ")");
    }
    calls(jpeg_);
  }

  Bytes file() const { return file_; }
  void note_pixels_begin() { has_begun_ = true; }
  const jpeg_decompress_struct& state() const { return jpeg_; }

  /// Whether bytes stand before the end that belong to nothing: filler, unless the scan went astray before them.
  bool has_filler() const { return has_filler_; }

 private:
  static Jpeg& self(j_common_ptr common) { return *static_cast<Jpeg*>(common->client_data); }

  [[noreturn]] static void on_error(j_common_ptr common) {
    common->err->format_message(common, self(common).said_.data());
    std::longjmp(self(common).escape_, 1);
  }

  static void on_message(j_common_ptr common, int level) {
    if (level >= 0) return;
    Jpeg& jpeg = self(common);
    const auto& error = *common->err;
    switch (error.msg_code) {
      case JWRN_ADOBE_XFORM:
      case JWRN_JFIF_MAJOR:
      case JWRN_TOO_MUCH_DATA:
        return;
      case JWRN_EXTRANEOUS_DATA:
        if (!jpeg.has_begun_) return;  // between what stands before the pixels
        // Before another marker than the end the scan or interval before it did not come out even.
        if (error.msg_parm.i[1] != JPEG_EOI) break;
        jpeg.has_filler_ = true;
        return;
      default:
        break;
    }
    jpeg.is_damaged_ = true;  // and what follows is of no use
    on_error(common);
  }

  /// A file may ask for any number of passes over the picture; none that was meant to be looked at has so many.
  static void on_progress(j_common_ptr common) {
    constexpr int kMostScans = 500;
    if (self(common).jpeg_.input_scan_number <= kMostScans) return;
    std::strcpy(self(common).said_.data(), "more than 500 scans");
    std::longjmp(self(common).escape_, 1);
  }

  Bytes file_;
  const std::string& name_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_;
  std::array<char, JMSG_LENGTH_MAX> said_{};
  bool has_begun_ = false, is_damaged_ = false, has_filler_ = false;
};

constexpr unsigned int kExifMarker = JPEG_APP0 + 1;

/// Reads up to the pixels, and asks for them as grey, RGB or CMYK.
void begin(Jpeg& jpeg, const std::string& name, const DecodeLimits& limits) {
  jpeg.guarded([&](jpeg_decompress_struct& j) {
    jpeg_mem_src(&j, reinterpret_cast<const unsigned char*>(jpeg.file().data()), jpeg.file().size());
    jpeg_save_markers(&j, kExifMarker, 0xFFFF);
    jpeg_read_header(&j, TRUE);
  });
  jpeg.note_pixels_begin();
  const jpeg_decompress_struct& state = jpeg.state();
  check_size(state.image_height, state.image_width, /*is_deep_colour=*/false, limits, name);
  const bool is_adobe_inks = state.num_components == 4 && state.saw_Adobe_marker != FALSE;
  if (state.num_components == 4 && !is_adobe_inks) {
    throw DataError(name + ": JPEG of four inks that does not say whether 0 or 255 is no ink; save it as RGB or grey");
  }
  if (state.num_components != 1 && state.num_components != 3 && !is_adobe_inks) {
    throw DataError(name + ": JPEG of " + std::to_string(state.num_components) + " components; save it as RGB or grey");
  }
  jpeg.guarded([&](jpeg_decompress_struct& j) {
    j.out_color_space = j.num_components == 1 ? JCS_GRAYSCALE : j.num_components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(&j);
  });
}

void read_rows(Jpeg& jpeg, Picture& picture) {
  const int width = picture.grey.cols, height = picture.grey.rows, components = jpeg.state().output_components;
  const Samples samples = components == 1 ? Samples::kGrey : components == 3 ? Samples::kRgb : Samples::kInks;
  std::vector<JSAMPLE> buffer(static_cast<std::size_t>(width) * static_cast<std::size_t>(components));
  const bool is_inverted = samples == Samples::kInks;  // Adobe: 255 is no ink
  jpeg.guarded([&](jpeg_decompress_struct& j) {
    JSAMPROW row = buffer.data();
    for (int y = 0; y < height; ++y) {
      jpeg_read_scanlines(&j, &row, 1);
      if (is_inverted) std::for_each(buffer.begin(), buffer.end(), [](JSAMPLE& level) { level = 255 - level; });
      put(picture, samples, y, 0, width, interleaved(row, 1, components));
    }
    jpeg_finish_decompress(&j);
  });
}

StatedResolution jfif_resolution(const jpeg_decompress_struct& jpeg) {
  constexpr int kInch = 1, kCentimetre = 2;
  const double factor = jpeg.density_unit == kCentimetre ? kCmAnInch : 1;
  return {factor * jpeg.X_density, factor * jpeg.Y_density,
          jpeg.density_unit != kInch && jpeg.density_unit != kCentimetre, jpeg.density_unit == kCentimetre};
}

}  // namespace

Picture decode_jpeg(Bytes file, const std::string& name, const DecodeLimits& limits) {
  Jpeg jpeg(file, name);
  begin(jpeg, name, limits);
  Picture picture = blank_picture(jpeg.state().output_height, jpeg.state().output_width, 8, /*has_alpha=*/false);
  if (jpeg.state().saw_JFIF_marker != FALSE) picture.resolutions.push_back(jfif_resolution(jpeg.state()));
  constexpr std::string_view kExif("Exif\0\0", 6);
  for (const jpeg_marker_struct* marker = jpeg.state().marker_list; marker != nullptr; marker = marker->next) {
    const Bytes data = std::as_bytes(std::span(marker->data, marker->data_length));
    if (marker->marker != kExifMarker || data.size() < kExif.size()) continue;
    if (std::memcmp(data.data(), kExif.data(), kExif.size()) != 0) continue;
    take_exif(data.subspan(kExif.size()), picture);
    break;
  }
  read_rows(jpeg, picture);
  if (jpeg.has_filler()) {
    if (scan_went_astray(file)) {
      throw DataError(name + ": its pixels are damaged (the picture ends before its data do)");
    }
    picture.oddities.push_back({kFiller, ""});
  }
  return picture;
}

}  // namespace outsole::image
