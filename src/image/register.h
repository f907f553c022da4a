#pragma once
// Finds how a scan must be turned and moved to lie on another scan of the same outsole. Scanners keep the scale.

#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace outsole::image {

/// A turn and a move. Points are (x, y), measured from the middle of each image: the point p of the reference shows
/// what the scan shows at R(angle_deg) p + (x, y), where R turns counter-clockwise as seen (y points down).
struct RigidTransform {
  double angle_deg = 0;
  double y = 0;
  double x = 0;
};

struct RegistrationParameters {
  double max_angle_deg = 13.5;
  double max_shift_mm = 80;
  double least_overlap = 0.4;      // of the reference's area, that both images show
  double least_correlation = 0.5;  // of both, where they overlap, at `judged_px_per_mm`
  double judged_px_per_mm = 2;
};

struct Registration {
  RigidTransform transform;  // in pixels of the full images
  double correlation = 0;    // normalized, over the overlap
  double overlap = 0;        // share of the reference's area
  std::string failure;       // why the scan cannot be registered; empty: it is
};

/// An image reduced by whole factors for registration: what is kept of a reference.
class RegistrationPyramid {
 public:
  /// Ink of an 8-bit scan (CV_32FC1, 0 for white paper). Nothing is known outside of it.
  RegistrationPyramid(const cv::Mat1b& scan, double px_per_mm);

  struct Level {
    cv::Mat1f ink;
    int factor = 1;  // pixels of the scan a pixel of the level
    double px_per_mm = 0;
    cv::Point2d middle;  // of the level, from the scan's middle, in pixels of the scan
  };
  /// From about 1 px/mm to about 4 px/mm, or to the scan's own resolution where that is less. None for an image of a
  /// few pixels.
  const std::vector<Level>& levels() const { return levels_; }
  double px_per_mm() const { return px_per_mm_; }

 private:
  std::vector<Level> levels_;
  double px_per_mm_;
};

/// Searches all angles and shifts within the limits at 1 px/mm by masked normalized cross-correlation (D. Padfield,
/// 2012), then refines the best few by Gauss-Newton steps on the squared difference, gain and offset free, up to 4
/// px/mm. Both must have one resolution (Bug). Scans of the same outsole that differ by pressure and wear register; the
/// result says so when they do not.
Registration register_scan(const RegistrationPyramid& reference, const RegistrationPyramid& scan,
                           const RegistrationParameters& parameters = {});

/// The part of the scan that a frame of `frame` pixels shows whose middle lies on the middle of the reference plus
/// `origin` (x, y): bicubic, `value` where the scan shows nothing.
cv::Mat1b warped_into_frame(const cv::Mat1b& scan, const RigidTransform& transform, cv::Size frame, cv::Point2d origin,
                            double value);

/// The point of the scan that the middle of such a frame shows, (x, y) in pixels; the middle of the first is (0, 0).
cv::Point2d point_under_frame_middle(cv::Size scan, const RigidTransform& transform, cv::Point2d origin);

/// Where warped_into_frame shows the scan (255).
cv::Mat1b support_in_frame(cv::Size scan, const RigidTransform& transform, cv::Size frame, cv::Point2d origin);

}  // namespace outsole::image
