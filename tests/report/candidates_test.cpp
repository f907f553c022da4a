#include "report/candidates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "synth/exemplar.h"
#include "synth/mark.h"

namespace outsole::report {
namespace {

/// Pixels in the green of the frame around the true exemplar.
int green_pixels(const cv::Mat3b& picture) {
  cv::Mat mask;
  cv::inRange(picture, cv::Scalar(55, 150, 20), cv::Scalar(65, 170, 40), mask);
  return cv::countNonZero(mask);
}

/// Pixels clearly redder than grey: the mark's ink.
int red_pixels(const cv::Mat3b& picture) {
  int count = 0;
  for (const cv::Vec3b& pixel : picture) count += pixel[2] > pixel[1] + 60 && pixel[1] < pixel[0] + 20 ? 1 : 0;
  return count;
}

struct Scene {
  cv::Mat1b exemplar = synth::render_exemplar(synth::make_outsole(1, 2), 293, 120);
  synth::Random random{1, 1};
  synth::Mark mark = synth::make_mark(exemplar, {15, 0.2}, random);
};

TEST(CandidatesPicture, FramesTheTrueExemplarOnly) {
  Scene scene;
  std::vector<Candidate> candidates{{scene.exemplar, "00001", 1, 0.5, scene.mark.pose, false},
                                    {scene.exemplar, "00002", 2, 0.4, scene.mark.pose, false}};
  EXPECT_EQ(green_pixels(candidates_picture(scene.mark.image, "m", "", candidates)), 0);
  candidates[1].is_true = true;
  EXPECT_GT(green_pixels(candidates_picture(scene.mark.image, "m", "", candidates)), 1000);
}

TEST(CandidatesPicture, LaysTheMarksInkOnTheExemplar) {
  Scene scene;
  const cv::Mat1b blank(scene.exemplar.size(), std::uint8_t{255});
  const std::vector<Candidate> on{{blank, "00001", 1, 0.5, scene.mark.pose, false}};
  const std::vector<Candidate> off{{blank, "00001", 1, 0.5, {0, -5000, -5000, 1, false}, false}};
  EXPECT_GT(red_pixels(candidates_picture(scene.mark.image, "m", "", on)), 1000);
  EXPECT_EQ(red_pixels(candidates_picture(scene.mark.image, "m", "", off)), 0);
}

TEST(CandidatesPicture, SaysTheResolutionAndTheScaleOfTheMark) {
  EXPECT_EQ(scale_note(0, 1), "");
  EXPECT_EQ(scale_note(0, 0.8), "scale 0.8");
  EXPECT_EQ(scale_note(200, 1), "200 dpi");
  EXPECT_EQ(scale_note(200, 0.5), "200 dpi, scale 0.5");
  Scene scene;
  const std::vector<Candidate> candidates{{scene.exemplar, "00001", 1, 0.5, scene.mark.pose, false}};
  const cv::Mat3b with = candidates_picture(scene.mark.image, "m", "", candidates, 200),
                  without = candidates_picture(scene.mark.image, "m", "", candidates);
  EXPECT_GT(cv::norm(with, without, cv::NORM_L1), 0);
}

TEST(CandidatesPicture, HoldsAnyShapeIdAndPose) {
  const cv::Mat1b line(1, 3000, std::uint8_t{10}), column(3000, 1, std::uint8_t{200}), dot(1, 1, std::uint8_t{0});
  const std::vector<Candidate> candidates{{line, std::string(200, 'x'), 1, 0, {45, 1e300, -1e300, 1e-3, true}, true},
                                          {column, "\xFF\x01", 2, NAN, {0, 0, 0, 100, false}, false},
                                          {dot, "", 3, -1, {}, false}};
  for (const cv::Mat1b& mark : {line, column, dot}) {
    const cv::Mat3b picture = candidates_picture(mark, "\xC3\xA4", "note", candidates);
    EXPECT_LT(picture.cols, 4000);
    EXPECT_LT(picture.rows, 600);
  }
  EXPECT_FALSE(candidates_picture(dot, "m", "", {}).empty());
}

}  // namespace
}  // namespace outsole::report
