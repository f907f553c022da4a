#include "measure/image_quality.h"

#include <cmath>
#include <limits>
#include <opencv2/quality/qualityssim.hpp>

#include "core/errors.h"

namespace outsole::measure {

namespace {

constexpr uchar kPaper = 255;
constexpr int kWindow = 11;

void check(const cv::Mat1b& a, const cv::Mat1b& b, const cv::Mat1b& known) {
  ensure(a.size() == b.size() && !a.empty(), "images that are compared have one size");
  ensure(known.empty() || known.size() == a.size(), "a mask has the size of its image");
  ensure(known.empty() || cv::countNonZero(known) > 0, "some pixels are known");
}

cv::Mat1b with_paper_where_unknown(const cv::Mat1b& image, const cv::Mat1b& known) {
  if (known.empty()) return image;
  cv::Mat1b result = image.clone();
  result.setTo(kPaper, known == 0);
  return result;
}

}  // namespace

double structural_similarity(const cv::Mat1b& a, const cv::Mat1b& b, const cv::Mat1b& known) {
  check(a, b, known);
  ensure(a.rows >= kWindow && a.cols >= kWindow, "images hold a window of 11 x 11");
  cv::Mat map;
  cv::quality::QualitySSIM::compute(with_paper_where_unknown(a, known), with_paper_where_unknown(b, known), map);
  return cv::mean(map, known)[0];
}

double peak_signal_to_noise_db(const cv::Mat1b& a, const cv::Mat1b& b, const cv::Mat1b& known) {
  check(a, b, known);
  const double squares = cv::norm(a, b, cv::NORM_L2SQR, known);
  if (squares == 0) return std::numeric_limits<double>::infinity();
  const double pixels = known.empty() ? static_cast<double>(a.total()) : cv::countNonZero(known);
  return 10 * std::log10(255.0 * 255.0 * pixels / squares);
}

}  // namespace outsole::measure
