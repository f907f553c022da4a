#include "pipeline/exemplar_image.h"

#include "image/geometry.h"
#include "image/image.h"
#include "pipeline/image_record.h"

namespace outsole::pipeline {

cv::Mat exemplar_image(const store::ExemplarRecord& record) { return stored_image(record); }

cv::Mat exemplar_for_search(const store::ExemplarRecord& record) {
  const cv::Mat grey = image::to_float(exemplar_image(record));
  return record.mirror ? image::mirrored(grey) : grey;
}

}  // namespace outsole::pipeline
