#pragma once
// One scan of a worn outsole: how it was laid on the scanner, and what the capture adds to the print or takes away.

#include <array>
#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "image/register.h"
#include "synth/wear.h"

namespace outsole::synth {

/// Faults in the order in which they come to a scan: what takes ink away, then what adds grey.
enum class Fault { kMissingDetail, kBubbles, kGhosting, kFingerprints, kFibres, kDust };

inline constexpr std::array<Fault, 6> kFaults{Fault::kMissingDetail, Fault::kBubbles, Fault::kGhosting,
                                              Fault::kFingerprints,  Fault::kFibres,  Fault::kDust};

std::string name_of(Fault fault);

/// The bit of a fault in masks.
constexpr std::uint8_t bit_of(Fault fault) { return static_cast<std::uint8_t>(1u << static_cast<unsigned>(fault)); }

/// A spot that lies on a scan; lengths in mm from the window's middle (y down, x right).
struct Spot {
  Shape shape;
  double strength = 0;  // share of the ink that it takes, or of the light
  double soft_mm = 0;   // its edge fades out over this length, unevenly
  std::uint64_t seed = 0;
};

/// What happens in one capture, before any pixel is drawn: the same at every size of one shape.
struct CapturePlan {
  double angle_deg = 0;                   // the outsole lies turned counter-clockwise by this,
  double shift_y_mm = 0, shift_x_mm = 0;  // then moved, about the window's middle
  double pressure = 1;
  double ghost_y_mm = 0, ghost_x_mm = 0, ghost_strength = 0;
  std::array<std::vector<Spot>, kFaults.size()> spots;  // by fault

  bool has(Fault fault) const;
};

/// The capture of a shoe in a week into a window of this frame's size. The outsole lies wholly within the window. A
/// function of its arguments alone.
CapturePlan plan_capture(const WornShoe& shoe, const ShoeFrame& frame, int week);

/// From the shoe's own frame (the reference) to the scan, in pixels of `frame`.
image::RigidTransform pose_in(const ShoeFrame& frame, const CapturePlan& plan);

struct CapturedScan {
  cv::Mat1b scan;
  cv::Mat1b clean;   // the same without faults
  cv::Mat1b faults;  // bits of the faults that changed a pixel; 0: scan equals clean
};

/// Captures a print that is given on a finer grid: `print` has a whole number of samples a pixel of `frame`, which are
/// averaged. `kinds`: bits of the faults to apply.
CapturedScan capture(const cv::Mat1b& print, const ShoeFrame& frame, const CapturePlan& plan,
                     std::uint8_t kinds = 0x3f);

/// Everything of one week of one outsole.
struct WornScan {
  CapturePlan plan;
  image::RigidTransform pose;
  CapturedScan capture;
  cv::Mat1b print;   // the clean print in the shoe's own frame
  cv::Mat1w height;  // the rubber there, in steps of 1 / kHeightLevelsPerMm
};

/// Draws the weeks of one outsole at one size; what all weeks share is made once. Memory: 3 bytes a sample kept, about
/// 10 more while a week is drawn: 0.7 GiB at 13750 x 5500. A pixel of less than 0.15 mm is one sample, a larger one up
/// to 4 x 4.
class WornShoeScanner {
 public:
  WornShoeScanner(const WornShoe& shoe, cv::Size size);
  WornShoeScanner(const WornShoeScanner&) = delete;
  WornShoeScanner& operator=(const WornShoeScanner&) = delete;

  const ShoeFrame& frame() const { return frame_; }
  WornScan scan(int week, std::uint8_t kinds = 0x3f) const;

 private:
  const WornShoe shoe_;
  ShoeFrame frame_;
  Relief relief_;
  WearCourse course_;
};

}  // namespace outsole::synth
