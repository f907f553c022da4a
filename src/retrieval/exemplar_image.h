#pragma once
// Exemplars of a store as images.

#include <opencv2/core.hpp>

#include "ingest/exemplars.h"

namespace outsole::retrieval {

/// The exemplar's pixels as its file held them, CV_8UC1 or CV_16UC1, not mirrored. Shares no memory with the record.
cv::Mat exemplar_image(const ingest::ExemplarRecord& record);

/// The exemplar as it is searched: CV_32FC1, grey 0..255, mirrored where the record says so.
cv::Mat exemplar_for_search(const ingest::ExemplarRecord& record);

/// Column of the frame at which an exemplar of this width begins: it stands in the middle (left of it by half a pixel
/// if the difference is odd); negative when it is wider. Its first row is the frame's.
constexpr std::int64_t exemplar_left_px(std::int64_t exemplar_width_px, std::int64_t frame_width_px) {
  const std::int64_t difference = frame_width_px - exemplar_width_px;
  return difference >= 0 ? difference / 2 : -((1 - difference) / 2);
}

}  // namespace outsole::retrieval
