#include "image/ruler.h"

#include <gtest/gtest.h>

#include "core/files.h"
#include "image/image.h"
#include "tread_fixture.h"

namespace outsole::image {
namespace {

/// A scan with a grey border and a dark frame line around `window`.
cv::Mat1b scan_with_ruler(cv::Size size, const cv::Rect& window, int line_px) {
  cv::Mat1b scan(size, uchar{226});
  cv::rectangle(
      scan, cv::Rect(window.x - line_px, window.y - line_px, window.width + 2 * line_px, window.height + 2 * line_px),
      cv::Scalar(110), cv::FILLED);
  scan(window) = 255;
  for (int x = window.x; x < window.br().x; x += 12) cv::line(scan, {x, 5}, {x, window.y - line_px}, cv::Scalar(76));
  return scan;
}

TEST(Ruler, WindowLiesInsideTheFrameLine) {
  for (const int line_px : {1, 2, 4}) {
    const cv::Rect window(50, 60, 590, 1400);
    const cv::Rect found = window_inside_ruler(scan_with_ruler({694, 1521}, window, line_px));
    EXPECT_EQ(found & window, found) << found;
    EXPECT_GE(found.width, window.width - 6);
    EXPECT_GE(found.height, window.height - 6);
  }
}

TEST(Ruler, IsFoundThoughThePrintTouchesTheEdge) {
  const cv::Rect window(50, 60, 590, 1360);
  cv::Mat1b scan = scan_with_ruler({690, 1480}, window, 2);
  print_of_sole(4, 340, 147, 0, -40, 25).copyTo(scan(cv::Rect(window.tl(), cv::Size(588, 1360))));
  const cv::Rect found = window_inside_ruler(scan);
  EXPECT_EQ(found & window, found);
  EXPECT_GE(found.area(), 0.98 * window.area());
}

TEST(Ruler, APrintWithoutOneIsNotCropped) {
  const cv::Mat1b print = print_of_sole(3, 320, 110, 0, -10, 5);
  EXPECT_EQ(window_inside_ruler(print), cv::Rect({0, 0}, print.size()));
}

TEST(Ruler, IsCroppedFromEveryCsafeScanToTheKnownWindow) {
  const char* data = std::getenv("OUTSOLE_DATA");
  const std::filesystem::path folder = std::filesystem::path(data != nullptr ? data : "") / "csafe_wear/scans_100dpi";
  if (data == nullptr || !std::filesystem::exists(folder))
    GTEST_SKIP() << "OUTSOLE_DATA names no folder with csafe_wear";
  for (const auto& file : list_inputs({folder}, image_extensions())) {
    const cv::Mat1b scan = read_image(file).grey;
    const cv::Rect found = window_inside_ruler(scan), known(54, 54, scan.cols - 108, 1413);
    EXPECT_EQ(found & known, found) << file;
    EXPECT_GE(found.area(), 0.99 * known.area()) << file;
  }
}

}  // namespace
}  // namespace outsole::image
