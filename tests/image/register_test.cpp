#include "image/register.h"

#include <gtest/gtest.h>

#include <numbers>

#include "tread_fixture.h"

namespace outsole::image {
namespace {

struct Pose {
  double angle_deg, y_mm, x_mm;
};

/// RMS, over the sole, of where the transform takes a point of the print in the middle, from where it truly went.
/// Lengths in pixels.
double rms_error_px(const RigidTransform& found, const Pose& pose, double px_per_mm) {
  const auto place = [](const RigidTransform& t, double y, double x) {
    const double c = std::cos(t.angle_deg * std::numbers::pi / 180), s = std::sin(t.angle_deg * std::numbers::pi / 180);
    return cv::Point2d(t.x + c * x + s * y, t.y - s * x + c * y);
  };
  const RigidTransform truth{pose.angle_deg, pose.y_mm * px_per_mm, pose.x_mm * px_per_mm};
  double sum = 0;
  int points = 0;
  for (double y_mm = -130; y_mm <= 130; y_mm += 10) {
    for (double x_mm = -40; x_mm <= 40; x_mm += 10, ++points) {
      const cv::Point2d d =
          place(found, y_mm * px_per_mm, x_mm * px_per_mm) - place(truth, y_mm * px_per_mm, x_mm * px_per_mm);
      sum += d.dot(d);
    }
  }
  return std::sqrt(sum / points);
}

Registration registration_of(const cv::Mat1b& reference, const cv::Mat1b& scan, double px_per_mm) {
  return register_scan(RegistrationPyramid(reference, px_per_mm), RegistrationPyramid(scan, px_per_mm));
}

TEST(Registration, FindsTurnAndMoveWithinAHundredthOfAMillimetre) {
  constexpr double kPxPerMm = 4;
  const cv::Mat1b reference = print_of_sole(kPxPerMm);
  for (const Pose& pose : {Pose{0, 0, 0}, {3.3, 12, -7}, {-12, -25, 20}, {12, 5, -28}, {0.7, 50, 0}}) {
    const cv::Mat1b scan = print_of_sole(kPxPerMm, 340, 150, pose.angle_deg, pose.y_mm, pose.x_mm);
    const Registration found = registration_of(reference, scan, kPxPerMm);
    EXPECT_EQ(found.failure, "");
    EXPECT_LT(rms_error_px(found.transform, pose, kPxPerMm), 0.05) << pose.angle_deg << " " << pose.y_mm;
    EXPECT_GT(found.correlation, 0.98);
  }
}

TEST(Registration, IsSubpixelAtTrainingSize) {
  constexpr double kPxPerMm = 640 / 340.0;
  const cv::Mat1b reference = print_of_sole(kPxPerMm);
  for (const Pose& pose : {Pose{7.5, 20, -15}, {-10, -12, 18}}) {
    const Registration found =
        registration_of(reference, print_of_sole(kPxPerMm, 340, 150, pose.angle_deg, pose.y_mm, pose.x_mm), kPxPerMm);
    EXPECT_LT(rms_error_px(found.transform, pose, kPxPerMm), 0.05);
  }
}

TEST(Registration, WindowsOfDifferentSizesAreComparedMiddleToMiddle) {
  constexpr double kPxPerMm = 5;
  const Pose pose{-4, 15, 6};
  const cv::Mat1b reference = print_of_sole(kPxPerMm, 331, 139);
  const Registration found =
      registration_of(reference, print_of_sole(kPxPerMm, 350, 152, pose.angle_deg, pose.y_mm, pose.x_mm), kPxPerMm);
  EXPECT_EQ(found.failure, "");
  EXPECT_LT(rms_error_px(found.transform, pose, kPxPerMm), 0.1);
}

TEST(Registration, ToleratesWearOfAThirdOfTheSole) {
  constexpr double kPxPerMm = 4;
  const Pose pose{5, -10, 8};
  const cv::Mat1b reference = print_of_sole(kPxPerMm);
  cv::Mat1b scan = print_of_sole(kPxPerMm, 340, 150, pose.angle_deg, pose.y_mm, pose.x_mm);
  cv::Mat1b upper(scan.size(), uchar{0});
  upper.rowRange(0, scan.rows / 3) = 255;
  scan.setTo(255, upper);
  const Registration found = registration_of(reference, scan, kPxPerMm);
  EXPECT_EQ(found.failure, "");
  EXPECT_LT(rms_error_px(found.transform, pose, kPxPerMm), 0.6);
}

TEST(Registration, SaysWhyAScanCannotBeRegistered) {
  constexpr double kPxPerMm = 3;
  const cv::Mat1b reference = print_of_sole(kPxPerMm);
  const cv::Mat1b blank(reference.size(), uchar{255});
  EXPECT_NE(registration_of(reference, blank, kPxPerMm).failure, "");
  cv::Mat1b noise(reference.size());
  cv::RNG(7).fill(noise, cv::RNG::UNIFORM, 0, 256);
  EXPECT_NE(registration_of(reference, noise, kPxPerMm).failure, "");
  EXPECT_NE(registration_of(cv::Mat1b(8, 8, uchar{0}), cv::Mat1b(8, 8, uchar{0}), kPxPerMm).failure, "");
}

TEST(Registration, WarpPutsThePrintBackAndMarksWhatIsUnknown) {
  constexpr double kPxPerMm = 4;
  const Pose pose{6, 14, -9};
  const cv::Mat1b reference = print_of_sole(kPxPerMm);
  const cv::Mat1b scan = print_of_sole(kPxPerMm, 340, 150, pose.angle_deg, pose.y_mm, pose.x_mm);
  const RigidTransform truth{pose.angle_deg, pose.y_mm * kPxPerMm, pose.x_mm * kPxPerMm};
  const cv::Mat1b back = warped_into_frame(scan, truth, reference.size(), {0, 0}, 255);
  const cv::Mat1b support = support_in_frame(scan.size(), truth, reference.size(), {0, 0});
  EXPECT_LT(cv::norm(back, reference, cv::NORM_L1, support) / cv::countNonZero(support), 2);
  const double known = static_cast<double>(cv::countNonZero(support)) / static_cast<double>(support.total());
  EXPECT_GT(known, 0.8);
  EXPECT_LT(known, 0.97);
}

TEST(Registration, WholePixelMovesCopyPixels) {
  cv::Mat1b scan(40, 30);
  cv::RNG(3).fill(scan, cv::RNG::UNIFORM, 0, 256);
  const cv::Mat1b frame = warped_into_frame(scan, {0, 5, -3}, scan.size(), {0, 0}, 255);
  EXPECT_EQ(cv::norm(frame(cv::Rect(3, 0, 27, 35)), scan(cv::Rect(0, 5, 27, 35)), cv::NORM_INF), 0);
  const cv::Point2d middle = point_under_frame_middle(scan.size(), {0, 5, -3}, {0, 0});
  EXPECT_EQ(middle, cv::Point2d(14.5 - 3, 19.5 + 5));
}

}  // namespace
}  // namespace outsole::image
