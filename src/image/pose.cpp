#include "image/pose.h"

#include <cmath>
#include <numbers>

namespace outsole::image {

cv::Matx23d mark_to_exemplar(std::int64_t height_px, std::int64_t width_px, const MarkPose& pose) {
  const double angle = pose.angle_deg * std::numbers::pi / 180;
  const double c = pose.scale * std::cos(angle), s = pose.scale * std::sin(angle);
  const double mirror = pose.mirrored ? -1 : 1;
  // Rows run down, so a counter-clockwise turn takes +x towards -y.
  const double xx = mirror * c, xy = s, yx = -mirror * s, yy = c;
  const double centre_x = static_cast<double>(width_px - 1) / 2, centre_y = static_cast<double>(height_px - 1) / 2;
  return {xx, xy, pose.x_px - xx * centre_x - xy * centre_y,  //
          yx, yy, pose.y_px - yx * centre_x - yy * centre_y};
}

}  // namespace outsole::image
