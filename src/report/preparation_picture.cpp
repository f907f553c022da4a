#include "report/preparation_picture.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "report/draw.h"

namespace outsole::report {

namespace {

constexpr int kStepHeight = 520, kStepGap = 12, kStepTitleHeight = 26;
const cv::Scalar kFilled(0, 110, 230);

/// The lowest third of the box around the ink, with a margin; the whole scan where there is none.
cv::Rect heel_of(const cv::Mat1b& image) {
  cv::Rect box = cv::boundingRect(image < 128);
  if (box.empty()) return {{0, 0}, image.size()};
  const int height = std::max(1, box.height / 3), margin = height / 10;
  const cv::Rect heel(box.x - margin, box.br().y - height, box.width + 2 * margin, height + margin);
  return heel & cv::Rect({0, 0}, image.size());
}

cv::Mat3b panel(const cv::Mat1b& image, const cv::Rect& heel) {
  const double factor = static_cast<double>(kStepHeight) / heel.height;
  cv::Mat1b resized;
  cv::resize(image(heel), resized, {std::max(1, static_cast<int>(heel.width * factor)), kStepHeight}, 0, 0,
             factor < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  cv::Mat3b colour;
  cv::cvtColor(resized, colour, cv::COLOR_GRAY2BGR);
  return colour;
}

/// The heel in the frame; what other scans gave it is orange.
cv::Mat3b filled_panel(const wear::PreparationSteps& steps) {
  const cv::Rect heel = heel_of(steps.result);
  cv::Mat3b colour = panel(steps.result, heel);
  cv::Mat1b filled;
  cv::resize(steps.filled(heel), filled, colour.size(), 0, 0, cv::INTER_NEAREST);
  colour.setTo(kFilled, filled);
  return colour;
}

}  // namespace

cv::Mat3b preparation_picture(const wear::PreparationSteps& steps) {
  const cv::Rect heel = heel_of(steps.denoised.image);
  std::vector<std::pair<std::string, cv::Mat3b>> panels;
  const auto add = [&](const std::string& title, const cv::Mat1b& image) {
    if (!image.empty()) panels.emplace_back(title, panel(image, heel));
  };
  add("scan " + printable(steps.info.id, 40), steps.cropped);
  add("ink mask", steps.denoised.ink_mask.empty() ? cv::Mat1b() : cv::Mat1b(255 - steps.denoised.ink_mask));
  add("noise map", steps.denoised.noise_map.empty() ? cv::Mat1b() : cv::Mat1b(255 - steps.denoised.noise_map));
  add("result", steps.denoised.image);
  if (cv::countNonZero(steps.filled) > 0) panels.emplace_back("filled from other scans", filled_panel(steps));
  int width = kStepGap;
  for (const auto& [title, image] : panels) width += image.cols + kStepGap;
  cv::Mat3b picture(kStepTitleHeight + kStepHeight + kStepGap, width, cv::Vec3b(255, 255, 255));
  int left = kStepGap;
  for (const auto& [title, image] : panels) {
    const cv::Rect at({left, kStepTitleHeight}, image.size());
    image.copyTo(picture(at));
    cv::rectangle(picture, cv::Rect(at.x - 1, at.y - 1, at.width + 2, at.height + 2), kEdge, 1);
    put_text(picture, title, left, kStepTitleHeight - 9, kText);
    left += image.cols + kStepGap;
  }
  return picture;
}

}  // namespace outsole::report
