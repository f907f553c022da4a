#include "image/pose.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <opencv2/core.hpp>

#include "core/errors.h"
#include "synth/exemplar.h"
#include "synth/mark.h"

namespace outsole::synth {
namespace {

cv::Mat1b test_exemplar() { return render_exemplar(make_outsole(11, 3), 293, 120); }

/// Pearson correlation of the mark with the exemplar's grey where `pose` puts it.
double correlation_at(const cv::Mat& mark, const cv::Mat1b& exemplar, const image::MarkPose& pose) {
  cv::Mat1d a;
  mark.convertTo(a, CV_64F);
  cv::Mat1d b = cut_mark(exemplar, mark.rows, mark.cols, pose);
  a -= cv::mean(a)[0];
  b -= cv::mean(b)[0];
  return a.dot(b) / std::sqrt(a.dot(a) * b.dot(b));
}

TEST(Pose, PutsTheMarksCentreWhereItSays) {
  for (const bool mirrored : {false, true}) {
    const image::MarkPose pose{12.5, 40.25, 17.75, 0.8, mirrored};
    const cv::Vec2d at = image::mark_to_exemplar(31, 20, pose) * cv::Vec3d(9.5, 15, 1);
    EXPECT_NEAR(at[0], 17.75, 1e-12);
    EXPECT_NEAR(at[1], 40.25, 1e-12);
  }
}

TEST(Pose, TurnsCounterClockwiseAsSeen) {
  const cv::Matx23d map = image::mark_to_exemplar(11, 11, {90, 5, 5, 1, false});
  const cv::Vec2d right_edge = map * cv::Vec3d(10, 5, 1);
  EXPECT_NEAR(right_edge[0], 5, 1e-12);  // x
  EXPECT_NEAR(right_edge[1], 0, 1e-12);  // y: up
}

TEST(Pose, MirrorsBeforeItTurns) {
  const cv::Matx23d map = image::mark_to_exemplar(11, 11, {90, 5, 5, 1, true});
  const cv::Vec2d left_edge = map * cv::Vec3d(0, 5, 1);  // the right edge once mirrored, then up
  EXPECT_NEAR(left_edge[0], 5, 1e-12);
  EXPECT_NEAR(left_edge[1], 0, 1e-12);
}

TEST(CutMark, IsTheExemplarsCropAtAngleZero) {
  const cv::Mat1b exemplar = test_exemplar();
  const cv::Mat1d mark = cut_mark(exemplar, 41, 31, {0, 100, 60, 1, false});
  cv::Mat1d crop;
  exemplar(cv::Rect(45, 80, 31, 41)).convertTo(crop, CV_64F);
  EXPECT_EQ(cv::norm(mark, crop, cv::NORM_INF), 0);
}

TEST(CutMark, OfAQuarterTurnIsTheCropTurnedBack) {
  const cv::Mat1b exemplar = test_exemplar();
  const cv::Mat1d mark = cut_mark(exemplar, 31, 41, {90, 100, 60, 1, false});
  cv::Mat1d crop;
  exemplar(cv::Rect(45, 80, 31, 41)).convertTo(crop, CV_64F);
  cv::rotate(crop, crop, cv::ROTATE_90_CLOCKWISE);
  EXPECT_LT(cv::norm(mark, crop, cv::NORM_INF), 1e-9);
}

TEST(CutMark, LeavesWhitePaperOutsideTheExemplar) {
  EXPECT_EQ(cut_mark(test_exemplar(), 5, 5, {30, -100, -100, 1, false})(2, 2), 255);
}

TEST(CutMark, MatchesBestAtItsOwnPose) {
  const cv::Mat1b exemplar = test_exemplar();
  for (const bool mirrored : {false, true}) {
    const image::MarkPose pose{-11.3, 150.4, 61.2, 0.9, mirrored};
    const cv::Mat1d mark = cut_mark(exemplar, 150, 90, pose);
    EXPECT_NEAR(correlation_at(mark, exemplar, pose), 1, 1e-12);
    for (const auto& [angle, y, x] :
         {std::array{3.0, 0.0, 0.0}, std::array{-3.0, 0.0, 0.0}, std::array{0.0, 2.0, 0.0}, std::array{0.0, -2.0, 0.0},
          std::array{0.0, 0.0, 2.0}, std::array{0.0, 0.0, -2.0}}) {
      const image::MarkPose other{pose.angle_deg + angle, pose.y_px + y, pose.x_px + x, pose.scale, mirrored};
      EXPECT_LT(correlation_at(mark, exemplar, other), 0.9);
    }
    EXPECT_LT(correlation_at(mark, exemplar, {-pose.angle_deg, pose.y_px, pose.x_px, pose.scale, mirrored}), 0.9);
    EXPECT_LT(correlation_at(mark, exemplar, {pose.angle_deg, pose.y_px, pose.x_px, pose.scale, !mirrored}), 0.9);
  }
}

TEST(MakeMark, LiesOnItsExemplarAtTheTruePose) {
  const cv::Mat1b exemplar = test_exemplar();
  for (std::uint64_t stream = 0; stream < 12; ++stream) {
    Random random(5, stream);
    const Mark mark = make_mark(exemplar, {.max_angle_deg = 15, .damage = 0.5}, random);
    const double sign = mark.inverted ? -1 : 1;
    const double here = sign * correlation_at(mark.image, exemplar, mark.pose);
    EXPECT_GT(here, 0.35) << "mark " << stream;
    for (const double shift : {-4.0, 4.0}) {
      image::MarkPose other = mark.pose;
      other.y_px += shift;
      EXPECT_LT(sign * correlation_at(mark.image, exemplar, other), here) << "mark " << stream;
      other = mark.pose;
      other.x_px += shift;
      EXPECT_LT(sign * correlation_at(mark.image, exemplar, other), here) << "mark " << stream;
      other = mark.pose;
      other.angle_deg += shift;
      EXPECT_LT(sign * correlation_at(mark.image, exemplar, other), here) << "mark " << stream;
    }
  }
}

TEST(MakeMark, OfEveryCaptureLiesOnItsExemplarAtTheTruePoseAndScale) {
  const cv::Mat1b exemplar = test_exemplar();
  for (int kind = 0; kind < kCaptures; ++kind) {
    const auto capture = static_cast<Capture>(kind);
    for (std::uint64_t stream = 0; stream < 6; ++stream) {
      Random random(9, stream);
      const Mark mark = make_mark(exemplar, {15, 0.4, {capture}, 0.04}, random);
      EXPECT_EQ(mark.capture, capture);
      EXPECT_EQ(parse_capture(name_of(capture)), capture);
      EXPECT_NE(mark.pose.scale, 1);
      EXPECT_LE(std::abs(mark.pose.scale - 1), 0.04);
      EXPECT_EQ(mark.inverted, mark.inverted || capture == Capture::kDust || capture == Capture::kGelLift);
      const double sign = mark.inverted ? -1 : 1;
      const double here = sign * correlation_at(mark.image, exemplar, mark.pose);
      EXPECT_GT(here, 0.25) << name_of(capture) << " " << stream;
      for (const double shift : {-5.0, 5.0}) {
        image::MarkPose other = mark.pose;
        other.y_px += shift;
        EXPECT_LT(sign * correlation_at(mark.image, exemplar, other), here) << name_of(capture) << " " << stream;
      }
    }
  }
  EXPECT_THROW(parse_capture("mud"), UsageError);
}

TEST(MakeMark, WithoutDamageIsTheBareCut) {
  const cv::Mat1b exemplar = test_exemplar();
  Random random(5, 1);
  const Mark mark = make_mark(exemplar, {.max_angle_deg = 15, .damage = 0}, random);
  cv::Mat1b cut;
  cut_mark(exemplar, mark.image.rows, mark.image.cols, mark.pose).convertTo(cut, CV_8U);
  EXPECT_LE(cv::norm(mark.image, cut, cv::NORM_INF), 1);
}

TEST(MakeMark, FitsIntoItsExemplarBeforeItIsTurned) {
  const cv::Mat1b exemplar = test_exemplar();
  for (std::uint64_t stream = 0; stream < 30; ++stream) {
    Random random(6, stream);
    const Mark mark = make_mark(exemplar, {.max_angle_deg = 15, .damage = 0}, random);
    const double half_height = (mark.image.rows - 1) / 2.0, half_width = (mark.image.cols - 1) / 2.0;
    EXPECT_GE(mark.pose.y_px - half_height, 0);
    EXPECT_LE(mark.pose.y_px + half_height, exemplar.rows);
    EXPECT_GE(mark.pose.x_px - half_width, 0);
    EXPECT_LE(mark.pose.x_px + half_width, exemplar.cols);
    EXPECT_LE(std::abs(mark.pose.angle_deg), 15);
  }
}

}  // namespace
}  // namespace outsole::synth
