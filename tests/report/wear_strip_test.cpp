#include "report/wear_strip.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace outsole::report {
namespace {

TEST(WearStrip, ShowsEveryPanelEnlargedByAWholeFactor) {
  const cv::Mat1b grey(160, 64, uchar{90});
  const cv::Mat3b strip = wear_strip({{"input", grey}, {"model, +8", grey}, {"truth", grey, true}}, {0, 0, 64, 160});
  int pixels = 0;
  for (const cv::Vec3b& pixel : strip) pixels += pixel == cv::Vec3b(90, 90, 90);
  EXPECT_NEAR(pixels, 3 * 640 * 256, 100);  // but for titles of the same grey
}

TEST(WearStrip, LeavesOutPanelsThatEndBeforeTheRegion) {
  const cv::Mat1b small(20, 20, uchar{90}), large(80, 80, uchar{120});
  const cv::Mat3b strip = wear_strip({{"small", small}, {"large", large}}, {50, 50, 10, 10});
  for (const cv::Vec3b& pixel : strip) EXPECT_NE(pixel, cv::Vec3b(90, 90, 90));
  EXPECT_THROW(wear_strip({{"small", small}}, {50, 50, 10, 10}), UsageError);
}

}  // namespace
}  // namespace outsole::report
