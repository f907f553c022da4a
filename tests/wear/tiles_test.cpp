#include "wear/tiles.h"

#include <gmock/gmock.h>

namespace outsole::wear {
namespace {

using ::testing::ElementsAre;

cv::Mat1b noise(int rows, int cols) {
  cv::Mat1b image(rows, cols);
  cv::RNG(3).fill(image, cv::RNG::UNIFORM, 0, 256);
  return image;
}

TEST(Tiles, CoverTheImageAndOverlapByAQuarter) {
  EXPECT_THAT(tile_begins(40, 64), ElementsAre(0));
  EXPECT_THAT(tile_begins(64, 64), ElementsAre(0));
  EXPECT_THAT(tile_begins(65, 64), ElementsAre(0, 1));
  EXPECT_THAT(tile_begins(112, 64), ElementsAre(0, 48));
  for (int length = 65; length < 400; ++length) {
    const std::vector<int> begins = tile_begins(length, 64);
    EXPECT_EQ(begins.front(), 0);
    EXPECT_EQ(begins.back() + 64, length);
    for (std::size_t i = 1; i < begins.size(); ++i) EXPECT_LE(begins[i] - begins[i - 1], 48);
  }
}

TEST(Tiles, GiveBackTheImageWhenEachAnswerIsItsTile) {
  const auto same = [](const cv::Mat1b& tile) { return cv::Mat1f(tile); };
  for (const cv::Size size :
       {cv::Size(32, 64), cv::Size(33, 65), cv::Size(61, 203), cv::Size(20, 40), cv::Size(90, 30)}) {
    const cv::Mat1b image = noise(size.height, size.width);
    EXPECT_LE(cv::norm(answer_in_tiles(image, {32, 64}, same), image, cv::NORM_INF), 0) << size;
  }
}

TEST(Tiles, BlendWithoutAStepWhereTwoTilesMeet) {
  int calls = 0;
  const auto alternating = [&](const cv::Mat1b& tile) { return cv::Mat1f(tile.size(), calls++ == 0 ? 0.F : 240.F); };
  const cv::Mat1b blended = answer_in_tiles(cv::Mat1b(64, 56, uchar{9}), {32, 64}, alternating);
  EXPECT_EQ(blended(0, 0), 0);
  EXPECT_EQ(blended(0, 55), 240);
  for (int x = 1; x < 56; ++x) {
    EXPECT_GE(blended(5, x), blended(5, x - 1));
    EXPECT_LE(blended(5, x) - blended(5, x - 1), 80);
  }
}

TEST(Tiles, ShowPaperBeyondTheImage) {
  answer_in_tiles(cv::Mat1b(30, 20, uchar{7}), {32, 64}, [](const cv::Mat1b& tile) {
    EXPECT_EQ(tile(29, 19), 7);
    EXPECT_EQ(tile(30, 19), 255);
    EXPECT_EQ(tile(29, 20), 255);
    return cv::Mat1f(tile);
  });
}

}  // namespace
}  // namespace outsole::wear
