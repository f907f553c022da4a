#include "image/denoise.h"

#include <gtest/gtest.h>

#include <functional>

#include "tread_fixture.h"

namespace outsole::image {
namespace {

constexpr double kPxPerMm = 100 / 25.4;

double psnr_db(const cv::Mat1b& a, const cv::Mat1b& b) {
  const double mse = cv::norm(a, b, cv::NORM_L2SQR) / static_cast<double>(a.total());
  return mse == 0 ? 100 : 10 * std::log10(255.0 * 255.0 / mse);
}

int px(double mm) { return std::max(1, static_cast<int>(std::lround(mm * kPxPerMm))); }

/// Calls draw(y, x) at random places on paper between the blocks of the print or around it.
void at_random_paper(const cv::Mat1b& clean, int count, std::uint64_t seed,
                     const std::function<void(cv::Point)>& draw) {
  cv::Mat1b far;
  cv::erode(clean, far, cv::Mat::ones(2 * px(1.5) + 1, 2 * px(1.5) + 1, CV_8U));
  cv::RNG random(seed);
  while (count > 0) {
    const cv::Point at(random.uniform(0, clean.cols), random.uniform(0, clean.rows));
    if (far(at) < 250) continue;
    draw(at);
    --count;
  }
}

// Faults of a scanner, one kind each.

cv::Mat1b with_dust(cv::Mat1b scan) {
  const cv::Mat1b clean = scan.clone();
  at_random_paper(clean, 400, 1, [&](cv::Point at) { scan(at) = 40; });
  return scan;
}

cv::Mat1b with_fibres(cv::Mat1b scan) {
  cv::RNG random(2);
  for (int i = 0; i < 12; ++i) {  // beside the outsole, where fibres cross no tread
    const cv::Point at(random.uniform(px(5), px(12)), random.uniform(px(10), scan.rows - px(10)));
    cv::ellipse(scan, at, {px(4), px(9)}, random.uniform(0, 60), 0, 120, cv::Scalar(90), 1, cv::LINE_AA);
  }
  return scan;
}

cv::Mat1b with_veil(cv::Mat1b scan) {
  for (int y = 0; y < scan.rows; ++y) {
    for (int x = 0; x < scan.cols; ++x) {
      const double veil =
          35 * std::exp(-std::pow((y - scan.rows * 0.5) / (scan.rows * 0.2), 2) - x / (scan.cols * 0.5));
      scan(y, x) = cv::saturate_cast<uchar>(scan(y, x) - veil * scan(y, x) / 255);
    }
  }
  return scan;
}

cv::Mat1b with_finger_mark(cv::Mat1b scan) {
  const cv::Point centre(px(14), scan.rows / 2);
  for (int radius = px(1); radius < px(9); radius += px(1)) {
    cv::ellipse(scan, centre, {radius * 3 / 4, radius}, 0, 0, 360, cv::Scalar(185), 1, cv::LINE_AA);
  }
  return scan;
}

cv::Mat1b with_ghost(cv::Mat1b scan) {
  const cv::Mat1b clean = scan.clone();
  for (int y = px(3); y < scan.rows; ++y) {
    for (int x = px(30); x < scan.cols; ++x) {
      const int ghost = 255 - (255 - clean(y - px(3), x - px(30))) / 5;
      scan(y, x) = std::min(scan(y, x), cv::saturate_cast<uchar>(ghost));
    }
  }
  return scan;
}

TEST(Denoise, LeavesACleanPrintAlone) {
  for (const double px_per_mm : {640 / 340.0, kPxPerMm, 300 / 25.4}) {
    const cv::Mat1b clean = print_of_sole(px_per_mm);
    EXPECT_GE(psnr_db(denoise(clean, px_per_mm).image, clean), 45) << px_per_mm;
  }
}

TEST(Denoise, BringsEveryKindOfFaultNearerToTheCleanPrint) {
  const cv::Mat1b clean = print_of_sole(kPxPerMm);
  const std::pair<const char*, cv::Mat1b (*)(cv::Mat1b)> faults[] = {{"dust", with_dust},
                                                                     {"fibres", with_fibres},
                                                                     {"veil", with_veil},
                                                                     {"finger mark", with_finger_mark},
                                                                     {"ghost", with_ghost}};
  for (const auto& [name, add_fault] : faults) {
    const cv::Mat1b scan = add_fault(clean.clone());
    const double before = psnr_db(scan, clean), after = psnr_db(denoise(scan, kPxPerMm).image, clean);
    EXPECT_GE(after - before, 3) << name << ": " << before << " dB, then " << after;
  }
}

TEST(Denoise, KeepsAccidentalMarks) {
  const cv::Mat1b clean = print_of_sole(kPxPerMm);
  cv::Mat1b marked = clean.clone();
  const cv::Rect heel(clean.cols / 2 - px(20), clean.rows / 2 + px(70), px(40), px(50));
  cv::RNG random(5);
  cv::Mat1b at(clean.size(), uchar{0});
  for (int i = 0; i < 30; ++i) {  // cuts and holes of 4 px in ink, stones of 4 px on paper
    const cv::Point p(random.uniform(heel.x, heel.br().x), random.uniform(heel.y, heel.br().y));
    const int level = clean(p) < 128 ? 255 : 0;
    cv::rectangle(marked, cv::Rect(p.x, p.y, 4, 4), cv::Scalar(level), cv::FILLED);
    at(cv::Rect(p.x, p.y, 4, 4)) = 255;
  }
  const cv::Mat1b result = denoise(marked, kPxPerMm).image;
  EXPECT_GE(cv::norm(result, clean, cv::NORM_L1, at), 0.8 * cv::norm(marked, clean, cv::NORM_L1, at));
}

TEST(Denoise, InkMaskFollowsSolidBlocksUnderAVeil) {
  const cv::Mat1b clean = print_of_sole(kPxPerMm);
  const cv::Mat1b truth = clean < 128, mask = ink_mask(with_veil(clean.clone()), kPxPerMm);
  cv::Mat1b difference = truth != mask;
  cv::erode(difference, difference, cv::Mat::ones(3, 3, CV_8U));  // soft edges may go either way
  EXPECT_EQ(cv::countNonZero(difference), 0);
}

TEST(Denoise, FindsBlockFeaturesOneByOne) {
  cv::Mat1b scan(px(120), px(80), uchar{255});
  for (int row = 0; row < 6; ++row) {
    for (int column = 0; column < 4; ++column) {
      cv::rectangle(scan, cv::Rect(px(15 + 14 * column), px(15 + 14 * row), px(8), px(8)), cv::Scalar(0), cv::FILLED);
    }
  }
  cv::circle(scan, {px(12), px(110)}, 1, cv::Scalar(0), cv::FILLED);  // dust
  const Denoised result = denoise(scan, kPxPerMm);
  EXPECT_EQ(std::count_if(result.features.begin(), result.features.end(), [](const auto& f) { return f.is_tread; }),
            24);
  EXPECT_EQ(result.image(px(110), px(12)), 255);
}

TEST(Denoise, FaintInkIsTreadBesideTreadThatPressesAndAVeilElsewhere) {
  for (const double px_per_mm : {640 / 340.0, kPxPerMm, 300 / 25.4}) {
    const auto square = [&](double y_mm, double x_mm, double side_mm) {
      return cv::Rect(cv::Point2d(x_mm * px_per_mm, y_mm * px_per_mm),
                      cv::Size2d(side_mm * px_per_mm, side_mm * px_per_mm));
    };
    cv::Mat1b scan(cv::Size2d(100 * px_per_mm, 120 * px_per_mm), uchar{255});
    cv::rectangle(scan, square(40, 40, 20), cv::Scalar(0), cv::FILLED);
    const cv::Rect beside = square(46, 64, 8), apart = square(46, 76, 8);
    cv::rectangle(scan, beside, cv::Scalar(180), cv::FILLED);
    cv::rectangle(scan, apart, cv::Scalar(180), cv::FILLED);
    const cv::Mat1b result = denoise(scan, px_per_mm).image;
    EXPECT_EQ(cv::norm(result(beside), scan(beside), cv::NORM_INF), 0) << px_per_mm;
    EXPECT_EQ(cv::countNonZero(result(apart) != 255), 0) << px_per_mm;
  }
}

TEST(Denoise, ASpeckIsDustWhereItLiesAloneAndAGrainOfTreadNearOthers) {
  cv::Mat1b scan(px(120), px(100), uchar{255});
  cv::rectangle(scan, cv::Rect(px(40), px(40), px(20), px(20)), cv::Scalar(0), cv::FILLED);
  const cv::Point alone(px(50), px(66)), grains[] = {{px(64), px(45)}, {px(64), px(47)}, {px(66), px(46)}};
  scan(alone) = 60;
  for (const cv::Point grain : grains) scan(grain) = 60;
  const cv::Mat1b result = denoise(scan, kPxPerMm).image;
  EXPECT_EQ(result(alone), 255);
  for (const cv::Point grain : grains) EXPECT_EQ(result(grain), 60);
}

TEST(Denoise, AThinLineIsAFibreWhereItLiesAloneOrIsLong) {
  cv::Mat1b scan(px(120), px(100), uchar{255});
  cv::rectangle(scan, cv::Rect(px(40), px(40), px(20), px(20)), cv::Scalar(0), cv::FILLED);
  const auto line = [&](double y_mm, double x_mm, double length_mm) {
    const cv::Point start(px(x_mm), px(y_mm));
    cv::line(scan, start, start + cv::Point(0, px(length_mm)), cv::Scalar(100), 1);
    return start;
  };
  const cv::Point alone = line(66, 45, 5), is_long = line(44, 62, 14), detail = line(44, 38, 5);
  const cv::Mat1b result = denoise(scan, kPxPerMm).image;
  EXPECT_EQ(result(alone), 255);
  EXPECT_EQ(result(is_long), 255);
  EXPECT_EQ(result(detail), 100);
}

TEST(Denoise, InkFarFromTheOutsoleIsNoiseButAHeelIsNot) {
  cv::Mat1b scan(px(300), px(140), uchar{255});
  cv::rectangle(scan, cv::Rect(px(60), px(20), px(60), px(120)), cv::Scalar(0), cv::FILLED);  // sole
  cv::rectangle(scan, cv::Rect(px(65), px(190), px(50), px(60)), cv::Scalar(0), cv::FILLED);  // heel, 5 cm below
  cv::rectangle(scan, cv::Rect(px(5), px(150), px(4), px(4)), cv::Scalar(0), cv::FILLED);     // a smudge
  const cv::Mat1b result = denoise(scan, kPxPerMm).image;
  EXPECT_EQ(result(px(80), px(90)), 0);
  EXPECT_EQ(result(px(220), px(90)), 0);
  EXPECT_EQ(result(px(152), px(7)), 255);
}

TEST(Denoise, BlankAndBlackScansComeBackAsTheyAre) {
  for (const int level : {0, 255}) {
    const cv::Mat1b scan(100, 80, static_cast<uchar>(level));
    EXPECT_EQ(cv::norm(denoise(scan, kPxPerMm).image, scan, cv::NORM_INF), 0);
  }
}

}  // namespace
}  // namespace outsole::image
