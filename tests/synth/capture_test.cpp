#include "synth/capture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "compare_images.h"

namespace outsole::synth {
namespace {

const WornShoeScanner& scanner() {
  static const WornShoeScanner instance(make_worn_shoe(1, 0, Foot::kLeft), {256, 640});
  return instance;
}

TEST(Capture, IsAFunctionOfShoeAndWeek) {
  const WornScan first = scanner().scan(8), second = scanner().scan(8);
  EXPECT_TRUE(same(first.capture.scan, second.capture.scan));
  EXPECT_FALSE(same(first.capture.scan, scanner().scan(10).capture.scan));
}

TEST(Capture, WithoutFaultsIsTheCleanPrint) {
  const CapturedScan capture = scanner().scan(8, 0).capture;
  EXPECT_TRUE(same(capture.scan, capture.clean));
  EXPECT_EQ(cv::countNonZero(capture.faults), 0);
}

TEST(Capture, NotesExactlyThePixelsThatFaultsChanged) {
  for (const int week : {0, 8, 20}) {
    const CapturedScan capture = scanner().scan(week).capture;
    // A pixel that one fault lightens and another darkens again is noted although it may end as it began.
    EXPECT_EQ(cv::countNonZero((capture.scan != capture.clean) & (capture.faults == 0)), 0) << week;
  }
}

TEST(Capture, KeepsEachFaultApart) {
  for (const Fault fault : kFaults) {
    bool seen = false;
    for (const int week : captured_weeks()) {
      const CapturePlan plan = plan_capture(make_worn_shoe(1, 0, Foot::kLeft), scanner().frame(), week);
      if (!plan.has(fault)) continue;
      const CapturedScan capture = scanner().scan(week, bit_of(fault)).capture;
      EXPECT_TRUE(same(capture.scan != capture.clean, capture.faults == bit_of(fault))) << name_of(fault);
      EXPECT_TRUE(same(capture.faults != 0, capture.faults == bit_of(fault))) << name_of(fault);
      seen = cv::countNonZero(capture.faults) > 0;
      const bool takes_ink = fault == Fault::kMissingDetail || fault == Fault::kBubbles;
      EXPECT_EQ(cv::countNonZero(takes_ink ? capture.scan < capture.clean : capture.scan > capture.clean), 0);
      break;
    }
    EXPECT_TRUE(seen) << name_of(fault);
  }
}

TEST(Capture, LiesWhereItsPoseSays) {
  for (const int week : {0, 16, 52}) {
    const WornScan worn = scanner().scan(week, 0);
    const cv::Mat1b back = image::warped_into_frame(worn.capture.clean, worn.pose, worn.print.size(), {0, 0}, 255);
    EXPECT_GT(correlation(back, worn.print), 0.97) << week;
    image::RigidTransform wrong = worn.pose;
    wrong.x += 1;
    const cv::Mat1b beside = image::warped_into_frame(worn.capture.clean, wrong, worn.print.size(), {0, 0}, 255);
    EXPECT_LT(correlation(beside, worn.print), correlation(back, worn.print) - 0.02) << week;
  }
}

TEST(Capture, KeepsTheOutsoleWithinTheWindowAndTheScannersHabits) {
  for (std::uint64_t pair = 0; pair < 8; ++pair) {
    const WornShoe shoe = make_worn_shoe(5, pair, Foot::kRight);
    const ShoeFrame frame = shoe_frame(shoe.outsole, {256, 640});
    for (const int week : captured_weeks()) {
      const CapturePlan plan = plan_capture(shoe, frame, week);
      EXPECT_LE(std::abs(plan.angle_deg), 8);
      EXPECT_LE(std::hypot(plan.shift_y_mm, plan.shift_x_mm), 20 * std::sqrt(2));
      const Box box = bounds_of({{shoe.outsole.outline}, 0, true, 0});
      const Point middle{(box.top + box.bottom) / 2, (box.left + box.right) / 2};
      for (const Point point : shoe.outsole.outline) {
        const Point at = kOutsoleLengthMm * turned(point - middle, plan.angle_deg);
        EXPECT_LT(std::abs(at.y + plan.shift_y_mm) * frame.px_per_mm(), 320);
        EXPECT_LT(std::abs(at.x + plan.shift_x_mm) * frame.px_per_mm(), 128);
      }
    }
  }
}

TEST(Capture, IsAboutThirtyCentimetresLong) {
  EXPECT_NEAR(scanner().frame().pixels_of_length / scanner().frame().dpi() * 2.54, 30, 1e-9);
}

}  // namespace
}  // namespace outsole::synth
