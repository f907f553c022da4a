#include "pipeline/exemplar_image.h"

#include <bit>
#include <cstring>

#include "core/errors.h"
#include "image/geometry.h"
#include "image/image.h"

namespace outsole::pipeline {

static_assert(std::endian::native == std::endian::little,
              "16-bit pixels are stored low byte first and copied as they are");

cv::Mat exemplar_image(const store::ExemplarRecord& record) {
  cv::Mat image(record.height_px, record.width_px, record.bit_depth == 16 ? CV_16UC1 : CV_8UC1);
  ensure(record.pixels.size() == image.total() * image.elemSize(), "an exemplar has as many pixels as its size says");
  std::memcpy(image.data, record.pixels.data(), record.pixels.size());
  return image;
}

cv::Mat exemplar_for_search(const store::ExemplarRecord& record) {
  const cv::Mat grey = image::to_float(exemplar_image(record));
  return record.mirror ? image::mirrored(grey) : grey;
}

}  // namespace outsole::pipeline
