#include "report/draw.h"

#include <opencv2/imgproc.hpp>

namespace outsole::report {

std::string printable(const std::string& text, std::size_t limit) {
  std::string result;
  for (const char c : text) result += c >= 0x20 && c < 0x7f ? c : '?';
  return result.size() <= limit ? result : result.substr(0, limit - 2) + "..";
}

void put_text(cv::Mat3b& picture, const std::string& text, int x, int y, const cv::Scalar& colour, double size) {
  cv::putText(picture, text, {x, y}, cv::FONT_HERSHEY_SIMPLEX, size, colour, 1, cv::LINE_AA);
}

cv::Mat1b ink_of(const cv::Mat1b& mark, const cv::Mat1b& support) {
  constexpr double kFaint = 70;
  const bool is_inverted = cv::mean(mark, support)[0] < 110;
  cv::Mat1b stretched, ink;
  cv::normalize(mark, stretched, 0, 255, cv::NORM_MINMAX, -1, support);
  const cv::Mat1b darkness = is_inverted ? stretched : cv::Mat1b(255 - stretched);
  const double gain = 255 / (255 - kFaint);
  darkness.convertTo(ink, CV_8U, gain, -gain * kFaint);
  if (!support.empty()) ink.setTo(0, support == 0);
  return ink;
}

}  // namespace outsole::report
