#include "retrieval/exemplar_image.h"

#include "image/geometry.h"
#include "image/image.h"
#include "ingest/image_record.h"

namespace outsole::retrieval {

cv::Mat exemplar_image(const ingest::ExemplarRecord& record) { return ingest::stored_image(record); }

cv::Mat exemplar_for_search(const ingest::ExemplarRecord& record) {
  const cv::Mat grey = image::to_float(exemplar_image(record));
  return record.mirror ? image::mirrored(grey) : grey;
}

}  // namespace outsole::retrieval
