#include "synth/outsole.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "compare_images.h"
#include "core/errors.h"
#include "synth/exemplar.h"
#include "synth/random.h"

namespace outsole::synth {
namespace {

// Reference numbers of an independent implementation, so that another machine or compiler draws the same outsoles.
TEST(Random, GivesTheReferenceStream) {
  Random random(1, 2);
  const std::array<std::uint64_t, 3> expected{0x84f02f195ab5fd66u, 0x46ff6f0daaf44911u, 0x8276408e60c29367u};
  for (const std::uint64_t value : expected) EXPECT_EQ(random.bits(), value);
}

TEST(Random, HasIndependentStreams) {
  Random a(1, 2), b(1, 3), c(2, 2);
  EXPECT_NE(a.bits(), b.bits());
  EXPECT_NE(b.bits(), c.bits());
}

TEST(Random, HasTheMomentsItPromises) {
  Random random(3, 0);
  constexpr int kDraws = 20000;
  double uniform = 0, normal = 0, square = 0;
  for (int i = 0; i < kDraws; ++i) {
    uniform += random.uniform();
    const double z = random.normal();
    normal += z;
    square += z * z;
  }
  EXPECT_NEAR(uniform / kDraws, 0.5, 0.01);
  EXPECT_NEAR(normal / kDraws, 0, 0.03);
  EXPECT_NEAR(square / kDraws, 1, 0.04);
}

TEST(Shape, HasTheDistancesOfADisk) {
  const Shape disk{{{{1, 2}}}, 0.5, false, 0};
  EXPECT_NEAR(signed_distance(disk, {1, 2}), -0.5, 1e-15);
  EXPECT_NEAR(signed_distance(disk, {1, 3}), 0.5, 1e-15);
}

TEST(Shape, HasTheDistancesOfARectangle) {
  const Shape square{{{{-1, -1}, {-1, 1}, {1, 1}, {1, -1}}}, 0, true, 0};
  EXPECT_NEAR(signed_distance(square, {0, 0}), -1, 1e-15);
  EXPECT_NEAR(signed_distance(square, {0, 3}), 2, 1e-15);
  EXPECT_NEAR(signed_distance(square, {2, 2}), std::sqrt(2), 1e-15);
}

TEST(Shape, KeepsOnlyARingWhereAsked) {
  const Shape ring{{{{0, 0}}}, 1, false, 0.25};
  EXPECT_GT(signed_distance(ring, {0, 0}), 0);
  EXPECT_LT(signed_distance(ring, {0, 0.9}), 0);
  EXPECT_NEAR(signed_distance(ring, {0, 1}), 0, 1e-15);
  EXPECT_NEAR(signed_distance(ring, {0.75, 0}), 0, 1e-15);
}

TEST(Shape, TurnsCounterClockwiseAsSeen) {
  const Point up = turned({0, 1}, 90);
  EXPECT_NEAR(up.y, -1, 1e-15);
  EXPECT_NEAR(up.x, 0, 1e-15);
}

TEST(Outsole, IsTheSameForTheSameSeedAndIndex) {
  const cv::Mat first = render_exemplar(make_outsole(7, 5), 195, 80),
                second = render_exemplar(make_outsole(7, 5), 195, 80);
  EXPECT_TRUE(same(first, second));
  EXPECT_FALSE(same(first, render_exemplar(make_outsole(7, 6), 195, 80)));
  EXPECT_FALSE(same(first, render_exemplar(make_outsole(8, 5), 195, 80)));
}

TEST(Outsole, IsTheSameShoeAtAnySize) {
  const Outsole outsole = make_outsole(7, 5);
  cv::Mat reduced;
  cv::resize(render_exemplar(outsole, 586, 240), reduced, {120, 293}, 0, 0, cv::INTER_AREA);
  EXPECT_GT(correlation(reduced, render_exemplar(outsole, 293, 120)), 0.97);
}

TEST(Outsole, LeavesAWhiteBorderAndEnoughTread) {
  for (std::uint64_t index = 0; index < 24; ++index) {
    const Outsole outsole = make_outsole(1, index);
    EXPECT_GE(outsole.blocks.size(), 20u) << index;
    EXPECT_LE(outsole.blocks.size(), 150u) << index;
    const cv::Mat1b image = render_exemplar(outsole, 195, 80);
    for (const cv::Mat& edge : {image.row(0), image.row(194), image.col(0), image.col(79)}) {
      double darkest = 0;
      cv::minMaxLoc(edge, &darkest, nullptr);
      EXPECT_GT(darkest, 240) << index;
    }
    const double ink = cv::mean(image < 128)[0] / 255;
    EXPECT_GT(ink, 0.1) << index;
    EXPECT_LT(ink, 0.5) << index;
  }
}

TEST(Outsole, ComesInBothFeet) {
  int left = 0;
  for (std::uint64_t index = 0; index < 60; ++index) left += make_outsole(1, index).left_foot ? 1 : 0;
  EXPECT_GT(left, 15);
  EXPECT_LT(left, 45);
}

TEST(Outsole, DiffersFromEveryOtherOfItsSet) {
  std::vector<cv::Mat> images;
  for (std::uint64_t index = 0; index < 20; ++index) images.push_back(render_exemplar(make_outsole(2, index), 195, 80));
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_LT(correlation(images[i], images[j]), 0.9) << i << " and " << j;
  }
}

TEST(Outsole, RefusesAFrameTooSmallToDrawIn) { EXPECT_THROW(render_exemplar(make_outsole(1, 1), 31, 240), UsageError); }

}  // namespace
}  // namespace outsole::synth
