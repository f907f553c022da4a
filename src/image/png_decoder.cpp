// PNG by libpng: every depth and colour type, interlaced or not.

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "core/errors.h"
#include "image/picture.h"

namespace outsole::image {

namespace {

/// Libpng on a file in memory. Its calls are made inside guarded(): it reports an error by jumping out of them.
class Png {
 public:
  Png(Bytes file, const std::string& name) : file_(file), name_(name) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~Png() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;

  /// `calls` must own nothing that a destructor frees. Throws DataError with libpng's reason.
  template <typename Calls>
  void guarded(const Calls& calls) {
    if (setjmp(png_jmpbuf(png_)) != 0) {
      if (ends_early_) throw DataError(name_ + ": truncated: it ends before its content does");
      throw DataError(name_ + ": its pixels are damaged (" + said_.data() + ")");
    }
    calls(png_, info_);
  }

  static void read(png_structp png, png_bytep to, std::size_t count) {
    Png& self = *static_cast<Png*>(png_get_io_ptr(png));
    if (count > self.file_.size() - self.at_) {
      self.ends_early_ = true;
      png_error(png, "truncated");
    }
    std::memcpy(to, self.file_.data() + self.at_, count);
    self.at_ += count;
  }

  bool is_damaged() const { return is_damaged_; }
  bool has_filler() const { return has_filler_; }
  const char* said() const { return said_.data(); }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    static_cast<Png*>(png_get_error_ptr(png))->note(message);
    png_longjmp(png, 1);
  }

  /// Of the pixels' own chunk only superfluous bytes are harmless; a wrong checksum over the pixels is not.
  static void on_warning(png_structp png, png_const_charp message) {
    Png& self = *static_cast<Png*>(png_get_error_ptr(png));
    if (std::strncmp(message, "IDAT", 4) != 0) return;
    if (std::strstr(message, "xtra compressed data") != nullptr ||
        std::strstr(message, "oo much image data") != nullptr) {
      self.has_filler_ = true;
    } else {
      self.is_damaged_ = true;
      self.note(message);
    }
  }

  void note(const char* message) { std::strncpy(said_.data(), message, said_.size() - 1); }

  Bytes file_;
  const std::string& name_;
  std::size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::array<char, 160> said_{};
  bool ends_early_ = false, is_damaged_ = false, has_filler_ = false;
};

std::uint32_t big_endian(Bytes file, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(file[at + i]);
  return value;
}

/// The size is looked at before libpng is: it takes memory by it.
void check_png_size(Bytes file, const std::string& name, const DecodeLimits& limits) {
  constexpr std::size_t kHeaderBytes = 33;
  if (file.size() < kHeaderBytes) throw DataError(name + ": truncated: it ends before its content does");
  if (big_endian(file, 8) != 13 || std::memcmp(file.data() + 12, "IHDR", 4) != 0) {
    throw DataError(name + ": broken PNG: it does not begin with IHDR");
  }
  const int bits = std::to_integer<int>(file[24]), colour_type = std::to_integer<int>(file[25]);
  check_size(big_endian(file, 20), big_endian(file, 16), bits == 16 && colour_type != PNG_COLOR_TYPE_GRAY, limits,
             name);
}

/// Every chunk must lie within the file: libpng takes memory by some chunks' lengths before it reads them.
void check_chunks(Bytes file, const std::string& name) {
  constexpr std::size_t kSignatureBytes = 8, kAround = 12;  // length, type and checksum of a chunk
  for (std::size_t at = kSignatureBytes;;) {
    if (file.size() - at < kAround || big_endian(file, at) > file.size() - at - kAround) {
      throw DataError(name + ": truncated: it ends before its content does");
    }
    if (std::memcmp(file.data() + at + 4, "IEND", 4) == 0) return;
    at += kAround + big_endian(file, at);
  }
}

struct PngLayout {
  int height_px = 0, width_px = 0;
  int bits = 8;     // of a decoded sample
  int samples = 1;  // of a decoded pixel
  bool is_interlaced = false;
  std::size_t row_bytes = 0;

  bool has_alpha() const { return samples == 2 || samples == 4; }
};

/// Reads up to the pixels, and asks for them as grey, grey and alpha, RGB or RGBA of 8 or 16 bits.
PngLayout begin(Png& png) {
  PngLayout layout;
  png.guarded([&](png_structp p, png_infop info) {
    png_set_read_fn(p, &png, Png::read);
    png_set_user_limits(p, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_read_info(p, info);
    png_set_expand(p);  // palettes, fewer than 8 bits, and a transparent colour to alpha
    if (png_get_bit_depth(p, info) == 16) png_set_swap(p);
    layout.is_interlaced = png_set_interlace_handling(p) > 1;
    png_read_update_info(p, info);
    layout.height_px = static_cast<int>(png_get_image_height(p, info));
    layout.width_px = static_cast<int>(png_get_image_width(p, info));
    layout.bits = png_get_bit_depth(p, info);
    layout.samples = png_get_channels(p, info);
    layout.row_bytes = png_get_rowbytes(p, info);
  });
  return layout;
}

void put_row(Picture& picture, const PngLayout& layout, int y, const png_byte* row) {
  const int colours = layout.has_alpha() ? layout.samples - 1 : layout.samples;
  put(picture, colours == 3 ? Samples::kRgb : Samples::kGrey, y, 0, layout.width_px,
      interleaved(row, layout.bits / 8, layout.samples, layout.has_alpha() ? colours : -1));
}

/// An interlaced picture is whole only at its end.
void read_rows(Png& png, const PngLayout& layout, Picture& picture) {
  const std::size_t kept_rows = layout.is_interlaced ? static_cast<std::size_t>(layout.height_px) : 1;
  std::vector<png_byte> rows(kept_rows * layout.row_bytes);
  const auto row = [&](int y) { return rows.data() + (layout.is_interlaced ? y * layout.row_bytes : 0); };
  png.guarded([&](png_structp p, png_infop info) {
    for (int pass = layout.is_interlaced ? 7 : 1; pass > 0; --pass) {
      for (int y = 0; y < layout.height_px; ++y) {
        png_read_row(p, row(y), nullptr);
        if (pass == 1) put_row(picture, layout, y, row(y));
      }
    }
    png_read_end(p, info);
  });
}

struct PngFacts {
  png_uint_32 x = 0, y = 0, exif_bytes = 0;
  int unit = PNG_RESOLUTION_UNKNOWN;
  png_bytep exif = nullptr;
  int stated_bits = 0;
};

/// What chunks before and after the pixels say.
PngFacts facts_of(Png& png) {
  PngFacts facts;
  png.guarded([&](png_structp p, png_infop info) {
    png_get_pHYs(p, info, &facts.x, &facts.y, &facts.unit);
    png_color_8p significant = nullptr;
    if (png_get_sBIT(p, info, &significant) != 0) {
      const bool is_grey = (png_get_color_type(p, info) & PNG_COLOR_MASK_COLOR) == 0;
      facts.stated_bits =
          is_grey ? significant->gray : std::max({significant->red, significant->green, significant->blue});
    }
    png_get_eXIf_1(p, info, &facts.exif_bytes, &facts.exif);
  });
  return facts;
}

}  // namespace

Picture decode_png(Bytes file, const std::string& name, const DecodeLimits& limits) {
  check_png_size(file, name, limits);
  check_chunks(file, name);
  Png png(file, name);
  const PngLayout layout = begin(png);
  Picture picture = blank_picture(layout.height_px, layout.width_px, layout.bits, layout.has_alpha());
  read_rows(png, layout, picture);
  if (png.is_damaged()) throw DataError(name + ": its pixels are damaged (" + png.said() + ")");
  if (png.has_filler()) picture.oddities.push_back({kFiller, ""});

  const PngFacts facts = facts_of(png);
  picture.stated_bits = facts.stated_bits;
  picture.resolutions.push_back({kMetresAnInch * facts.x, kMetresAnInch * facts.y, facts.unit != PNG_RESOLUTION_METER});
  if (facts.exif != nullptr) take_exif(std::as_bytes(std::span(facts.exif, facts.exif_bytes)), picture);
  return picture;
}

}  // namespace outsole::image
