#include "retrieval/framed_exemplar.h"

#include "image/geometry.h"
#include "retrieval/exemplar_image.h"

namespace outsole::retrieval {

at::Tensor framed_exemplar(const ingest::ExemplarRecord& record, const IndexParameters& parameters) {
  const cv::Mat image = exemplar_for_search(record);
  const std::int64_t left = exemplar_left_px(image.cols, parameters.frame_width_px);
  const cv::Mat framed =
      image::placed_on_canvas(image, parameters.frame_height_px, parameters.frame_width_px, 0, left, 255);
  const cv::Mat scaled = image::resize_to_grey_levels(framed, parameters.search_height_px, parameters.search_width_px);
  return at::from_blob(scaled.data, {scaled.rows, scaled.cols}, at::kFloat).clone();
}

}  // namespace outsole::retrieval
