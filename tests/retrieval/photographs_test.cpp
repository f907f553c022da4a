// Marks as laboratories photograph them: with a margin that is masked out, a ruler, any way up, over the frame's edge.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "../message_of.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "image/image.h"
#include "image/pose.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using outsole::testing::message_of;
using ::testing::HasSubstr;

/// Forty exemplars of 120 x 60 px and 100 dpi, every seventh mirrored.
class Photographs : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    exemplars_ = synthetic_exemplars(40, 120, 60);
    fill_once("Photographs", [&] {
      ingest(exemplars_);
      BuildIndexOptions index = index_options({"pixels"});
      index.exemplar_dpi = 100;
      build_index(comm_, index);
    });
  }

  cv::Mat1b part(cv::Rect window) const { return exemplars_[kTrue].image(window).clone(); }

  /// The print amid noise that the mask leaves out.
  static NaiveMark with_margin(const cv::Mat1b& print, int top, int left, int bottom, int right) {
    NaiveMark mark = {cv::Mat1b(print.rows + top + bottom, print.cols + left + right), {}};
    cv::RNG(7).fill(mark.image, cv::RNG::UNIFORM, 0, 256);
    mark.mask = cv::Mat1b::zeros(mark.image.size());
    const cv::Rect inside(left, top, print.cols, print.rows);
    print.copyTo(mark.image(inside));
    mark.mask(inside) = 255;
    return mark;
  }

  std::vector<Candidate> search_for_candidates(const SearchOptions& options) {
    search(comm_, options);
    comm_.barrier();
    return read_candidates(options.csv);
  }

  static constexpr std::size_t kTrue = 5, kMirrored = 10;
  std::vector<NaiveExemplar> exemplars_;
  int searches_ = 0;
};

TEST_F(Photographs, AMaskedMarginOfAnySizeChangesNoScoreAndPosesAreThoseOfTheMarkAsReceived) {
  const cv::Rect window(8, 28, 32, 44);
  struct Margin {
    int top, left, bottom, right;
  };
  const std::map<std::string, Margin> margins = {{"none", {0, 0, 0, 0}},    {"ten", {10, 0, 0, 0}},
                                                 {"twenty", {20, 0, 0, 0}}, {"forty", {40, 0, 0, 0}},
                                                 {"odd", {3, 7, 41, 12}},   {"photo", {300, 211, 175, 402}}};
  for (const auto& [id, m] : margins) write_mark(id, with_margin(part(window), m.top, m.left, m.bottom, m.right));
  write_mark("plain", {part(window), {}});
  SearchOptions options = search_options();
  options.protocol.angles_deg = {-8, 0, 4};
  const SearchSummary summary = search(comm_, options);
  on_root([&] {
    const auto all = read_all_scores(options.output);
    const FoundScores& plain = all.at("plain");
    for (const auto& [id, m] : margins) {
      const FoundScores& found = all.at(id);
      EXPECT_EQ(found.scores, plain.scores) << id;
      const double centre_y = m.top + (window.height - 1) / 2.0, centre_x = m.left + (window.width - 1) / 2.0;
      for (std::size_t i = 0; i < found.poses.size(); ++i) {
        const NaivePose &pose = found.poses[i], &expected = plain.poses[i];
        const cv::Matx23d to_exemplar =
            image::mark_to_exemplar(window.height + m.top + m.bottom, window.width + m.left + m.right,
                                    {pose.angle_deg, pose.y_px, pose.x_px, 1, exemplars_[i].mirror});
        // As it is mirrored, the mark's columns go the other way: the map says so.
        const cv::Vec2d at = to_exemplar * cv::Vec3d(centre_x, centre_y, 1);
        EXPECT_EQ(pose.angle_deg, expected.angle_deg);
        EXPECT_NEAR(at[0], expected.x_px, 1e-6) << id << " on " << i;
        EXPECT_NEAR(at[1], expected.y_px, 1e-6) << id << " on " << i;
      }
    }
    EXPECT_EQ(summary.marks_account.masked, 6);
    EXPECT_EQ(summary.marks_account.most_share, 1);
    EXPECT_NEAR(summary.marks_account.least_share, 32.0 * 44 / ((44 + 475) * (32 + 613)), 1e-9);
  });
}

TEST_F(Photographs, ResultsKeepTheMask) {
  const NaiveMark mark = with_margin(part({8, 28, 32, 44}), 5, 3, 9, 11);
  write_mark("masked", mark);
  write_mark("plain", {part({8, 28, 32, 44}), {}});
  search(comm_, search_options());
  on_root([&] {
    const store::Store results(folder_ / "results.h5");
    EXPECT_EQ(std::get<std::vector<std::string>>(results.read("mask_sha256").values),
              (std::vector<std::string>{sha256_of_file(folder_ / "marks/masked.mask.png"), ""}));
    EXPECT_EQ(std::get<std::vector<std::int32_t>>(results.read("support_box_px").values),
              (std::vector<std::int32_t>{5, 3, 44, 32, 0, 0, 44, 32}));
    const auto png = std::get<std::vector<std::uint8_t>>(results.read("mask_png", 0, 1).values);
    const cv::Mat1b kept = cv::imdecode(png, cv::IMREAD_GRAYSCALE);
    ASSERT_EQ(kept.size(), mark.mask.size());
    EXPECT_EQ(cv::countNonZero(kept != mark.mask), 0);
    const auto details = nlohmann::json::parse(read_text_file(folder_ / "results.provenance.json")).at("details");
    EXPECT_EQ(details.at("masks").size(), 1U);
    EXPECT_EQ(details.at("masks")[0].at("mark"), "masked");
  });
}

TEST_F(Photographs, OfAnyResolutionAreFoundAtTheirTrueScaleBehindTheirMasks) {
  const cv::Rect window(8, 28, 30, 40);  // whole pixels at every scale
  const std::vector<std::pair<std::string, double>> enlarged = {
      {"plain", 1}, {"larger", 1.2}, {"triple", 3}, {"half", 0.5}};
  for (const auto& [id, factor] : enlarged) {
    NaiveMark mark = with_margin(part(window), 40, 20, 40, 60);
    cv::resize(mark.image, mark.image, {}, factor, factor, factor < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
    cv::resize(mark.mask, mark.mask, {}, factor, factor, cv::INTER_NEAREST);
    on_root([&] {
      fs::create_directory(folder_ / "marks");
      image::write_tiff(folder_ / "marks" / (id + ".tiff"), mark.image, 100 * factor);
      ASSERT_TRUE(cv::imwrite((folder_ / "marks" / (id + "_mask.png")).string(), mark.mask));
    });
  }
  SearchOptions options = search_options();
  options.protocol.angles_deg = {0};
  options.protocol.stride_px = 1;
  const auto candidates = search_for_candidates(options);
  for (const auto& [id, factor] : enlarged) {
    const auto first = std::ranges::find_if(candidates, [&, &mark = id](const Candidate& candidate) {
      return candidate.mark == mark && candidate.rank == 1;
    });
    ASSERT_NE(first, candidates.end());
    EXPECT_EQ(first->exemplar, id_of_exemplar(kTrue)) << id;
    EXPECT_NEAR(first->scale, 1 / factor, 1e-6) << id;
    EXPECT_GT(first->score, 0.85) << id;
    // The centre of the whole picture, margin and all.
    EXPECT_NEAR(first->y_px, 28 - 40 + (120 - 1) / 2.0, 2.1) << id;
    EXPECT_NEAR(first->x_px, 8 - 20 + (110 - 1) / 2.0, 2.1) << id;
  }
}

TEST_F(Photographs, LocalContrastTakesOutLightThatFallsOff) {
  NaiveMark lit = {part({8, 30, 32, 60}), {}}, dim = {lit.image.clone(), {}};
  for (int y = 0; y < dim.image.rows; ++y) {
    for (int x = 0; x < dim.image.cols; ++x)
      dim.image(y, x) = cv::saturate_cast<std::uint8_t>(dim.image(y, x) * (1 - 0.014 * y));
  }
  write_mark("dim", dim);
  write_mark("lit", lit);
  SearchOptions options = search_options();
  options.protocol.angles_deg = {0};
  const auto change_of_score = [&](MarkFilter filter, const std::string& name) {
    options.protocol.mark_filter = filter;
    options.output = folder_ / (name + ".h5");
    search(comm_, options);
    double change = 0;
    on_root([&] {
      const auto all = read_all_scores(options.output);
      change = std::abs(all.at("lit").scores[kTrue] - all.at("dim").scores[kTrue]);
      EXPECT_EQ(store::Store(options.output).header().parameters.value("mark_filter", "none"), name);
    });
    return change;
  };
  const double without = change_of_score(MarkFilter::kNone, "none");
  const double with = change_of_score(MarkFilter::kLocalContrast, "local-contrast");
  on_root([&] { EXPECT_LT(with, 0.7 * without); });
}

/// A mask that lies askew leaves less of its box than the box: once turned it fits where the box would not.
TEST_F(Photographs, AnAskewMaskMayLieWhereItsBoxWouldNotFit) {
  // The exemplar's left edge, turned in the picture by 20 degrees.
  const cv::Rect window(0, 20, 28, 80);
  cv::Mat1b picture(140, 120, 128), mask = cv::Mat1b::zeros(picture.size());
  const cv::Mat1b print = part(window);
  print.copyTo(picture(cv::Rect(46, 30, 28, 80)));
  mask(cv::Rect(46, 30, 28, 80)) = 255;
  const cv::Mat turn = cv::getRotationMatrix2D({59.5, 69.5}, -20, 1);
  cv::warpAffine(picture, picture, turn, picture.size(), cv::INTER_CUBIC, cv::BORDER_CONSTANT, 128);
  cv::warpAffine(mask, mask, turn, mask.size(), cv::INTER_NEAREST);
  write_mark("m", {picture, mask});
  SearchOptions options = search_options();
  options.protocol.angles_deg = {12, 16, 20};
  options.protocol.stride_px = 1;
  const auto candidates = search_for_candidates(options);
  EXPECT_EQ(candidates.front().exemplar, id_of_exemplar(kTrue));
  EXPECT_EQ(candidates.front().angle_deg, 20);
  EXPECT_GT(candidates.front().score, 0.8);
  EXPECT_NEAR(candidates.front().y_px, 20 + 39.5, 3.1);
  EXPECT_NEAR(candidates.front().x_px, 13.5, 3.1);
}

/// The upper 20 of 60 rows lie above the exemplar.
TEST_F(Photographs, OverhangFindsAMarkThatReachesOverTheFrame) {
  cv::Mat1b print(60, 40, 255);
  part({8, 0, 40, 40}).copyTo(print(cv::Rect(0, 20, 40, 40)));
  cv::Mat1b above = print(cv::Rect(0, 0, 40, 20));
  cv::RNG(3).fill(above, cv::RNG::UNIFORM, 0, 256);
  write_mark("m", {print, {}});
  SearchOptions options = search_options();
  options.protocol.angles_deg = {-4, 0, 4};
  search(comm_, options);
  SearchOptions overhanging = options;
  overhanging.protocol.overhang = 0.5;
  overhanging.output = folder_ / "overhanging.h5";
  for (const char* kernel : {"auto", "tensors"}) {
    overhanging.kernel = kernel;
    overhanging.output = folder_ / (std::string(kernel) + ".h5");
    const auto candidates = search_for_candidates(overhanging);
    EXPECT_EQ(candidates.front().exemplar, id_of_exemplar(kTrue));
    EXPECT_GT(candidates.front().score, 0.95);
    EXPECT_EQ(candidates.front().angle_deg, 0);
    EXPECT_NEAR(candidates.front().y_px, -20 + 29.5, 1.1);
    EXPECT_NEAR(candidates.front().x_px, 8 + 19.5, 1.1);
    on_root([&] {
      const auto without = read_all_scores(options.output).at("m"), with = read_all_scores(overhanging.output).at("m");
      EXPECT_LT(without.scores[kTrue], 0.8);
      for (std::size_t i = 0; i < with.scores.size(); ++i) EXPECT_GE(with.scores[i], without.scores[i] - 1e-5F);
    });
  }
  on_root([&] { EXPECT_EQ(store::Store(overhanging.output).header().parameters.at("overhang"), 0.5); });
  // A first pass keeps to the same poses.
  overhanging.kernel = "auto";
  overhanging.coarse = 20;
  overhanging.output = folder_ / "coarse.h5";
  EXPECT_EQ(search_for_candidates(overhanging).front().exemplar, id_of_exemplar(kTrue));
  overhanging.protocol.overhang = 0.6;
  EXPECT_THAT(message_of<UsageError>([&] { search(comm_, overhanging); }), HasSubstr("`overhang`"));
}

TEST_F(Photographs, MarksOfKnownScaleAreNotShrunkUnlessAsked) {
  NaiveMark mark = {cv::Mat1b(190, 50), {}};
  cv::resize(part({10, 10, 30, 90}), mark.image, mark.image.size(), 0, 0, cv::INTER_CUBIC);
  write_mark("large", mark);
  write_mark("small", {part({8, 28, 32, 44}), {}});
  SearchOptions options = search_options();
  options.strict = false;
  const auto shrunk_and_skipped = [&](std::optional<double> dpi, FitFrame fit) {
    options.protocol.mark_dpi = dpi;
    options.protocol.fit_frame = fit;
    options.output = folder_ / ("fit" + std::to_string(++searches_) + ".h5");
    const SearchSummary summary = search(comm_, options);
    if (!summary.skipped.empty()) {
      EXPECT_THAT(summary.skipped.front(), ::testing::AllOf(HasSubstr("large.png"), HasSubstr("158% of the height"),
                                                            HasSubstr("--overhang"), HasSubstr("--fit-frame yes")));
    }
    if (summary.marks_account.shrunk > 0) EXPECT_NEAR(summary.marks_account.least_shrink, 120.0 / 190, 0.01);
    return std::pair(summary.marks_account.shrunk, std::ssize(summary.skipped));
  };
  using Counts = std::pair<std::int64_t, std::ptrdiff_t>;
  const std::vector<std::pair<std::pair<std::optional<double>, FitFrame>, Counts>> expected = {
      {{{}, FitFrame::kAuto}, {1, 0}},
      {{{}, FitFrame::kNo}, {0, 1}},
      {{100, FitFrame::kAuto}, {0, 1}},
      {{100, FitFrame::kYes}, {1, 0}}};
  for (const auto& [asked, counts] : expected) {
    const Counts found = shrunk_and_skipped(asked.first, asked.second);
    on_root([&] { EXPECT_EQ(found, counts); });
  }
  // So much of it may lie outside that it need not be shrunk.
  options.protocol.overhang = 0.5;
  const Counts found = shrunk_and_skipped(100, FitFrame::kAuto);
  on_root([&] { EXPECT_EQ(found, Counts(0, 0)); });
}

/// Where all of a mark lies on the frame only once it is turned.
TEST_F(Photographs, AllAroundFindsATurnedMarkAtTheEdge) {
  cv::Mat1b turned;
  cv::rotate(part({6, 2, 48, 28}), turned, cv::ROTATE_90_CLOCKWISE);
  write_mark("m", {turned, {}});
  SearchOptions options = search_options();
  options.protocol.angles_deg = {-90, 0, 90, 180};
  search(comm_, options);
  SearchOptions around = options;
  around.protocol.all_around = true;
  around.output = folder_ / "around.h5";
  const auto candidates = search_for_candidates(around);
  EXPECT_EQ(candidates.front().exemplar, id_of_exemplar(kTrue));
  EXPECT_EQ(candidates.front().angle_deg, 90);
  EXPECT_GT(candidates.front().score, 0.95);
  EXPECT_NEAR(candidates.front().y_px, 2 + 13.5, 1.1);
  EXPECT_NEAR(candidates.front().x_px, 6 + 23.5, 1.1);
  on_root([&] { EXPECT_LT(read_all_scores(options.output).at("m").scores[kTrue], 0.9); });
}

TEST_F(Photographs, MirroredMarksAreFoundWhenAskedForAndTheirPosesReadAsTheContractSays) {
  const cv::Rect window(8, 28, 32, 44);
  for (const std::size_t exemplar : {kTrue, kMirrored}) {
    // What lies on the exemplar as it is searched, the other way round, behind a margin.
    cv::Mat1b print = exemplars_[exemplar].image(window).clone();
    if (!exemplars_[exemplar].mirror) cv::flip(print, print, 1);
    write_mark("m" + std::to_string(exemplar), with_margin(print, 12, 20, 4, 6));
  }
  SearchOptions options = search_options();
  options.protocol.angles_deg = {-4, 0, 4};
  search(comm_, options);
  const auto as_they_are = read_all_scores(options.output);
  options.protocol.mirrored = true;
  options.output = folder_ / "mirrored.h5";
  const auto candidates = search_for_candidates(options);
  for (const std::size_t exemplar : {kTrue, kMirrored}) {
    const std::string id = "m" + std::to_string(exemplar);
    const auto first = std::ranges::find(candidates, id, &Candidate::mark);
    ASSERT_NE(first, candidates.end());
    EXPECT_EQ(first->exemplar, id_of_exemplar(exemplar));
    EXPECT_EQ(first->mirrored, !exemplars_[exemplar].mirror);
    EXPECT_GT(first->score, 0.95);
    EXPECT_GT(first->score, as_they_are.at(id).scores[exemplar] + 0.05);
    const cv::Matx23d to_exemplar = image::mark_to_exemplar(
        44 + 16, 32 + 26, {first->angle_deg, first->y_px, first->x_px, first->scale, first->mirrored});
    const cv::Vec2d at = to_exemplar * cv::Vec3d(20 + 15.5, 12 + 21.5, 1);
    EXPECT_NEAR(at[0], 8 + 15.5, 1.1) << id;
    EXPECT_NEAR(at[1], 28 + 21.5, 1.1) << id;
  }
}

TEST_F(Photographs, ARulerInThePictureSaysTheScale) {
  NaiveMark mark = {part({8, 28, 32, 44}), {}};
  cv::resize(mark.image, mark.image, {}, 2, 2, cv::INTER_CUBIC);
  write_mark("m", mark);
  SearchOptions options = search_options();
  options.protocol.angles_deg = {0};
  options.protocol.mark_ruler = MarkRuler{1, 2, 1 + 30, 2 + 40, 50 / 200.0 * 2.54};
  const auto candidates = search_for_candidates(options);
  EXPECT_EQ(candidates.front().exemplar, id_of_exemplar(kTrue));
  EXPECT_EQ(candidates.front().scale, 0.5);
  on_root([&] {
    const store::Store results(options.output);
    EXPECT_NEAR(std::get<std::vector<double>>(results.read("mark_dpi").values)[0], 200, 1e-9);
  });
  options.output = folder_ / "other.h5";
  options.protocol.mark_ruler = MarkRuler{1, 2, 1 + 30, 2 + 400, 2};
  EXPECT_THAT(message_of<DataError>([&] { search(comm_, options); }), HasSubstr("m.png: has 88 x 64 pixels"));
  options.protocol.mark_ruler = MarkRuler{1, 2, 31, 42, 200};
  EXPECT_THAT(message_of<UsageError>([&] { search(comm_, options); }), HasSubstr("`mark_ruler`: measures 0.63"));
  write_mark("n", mark);
  options.protocol.mark_ruler = MarkRuler{1, 2, 1 + 30, 2 + 40, 50 / 200.0 * 2.54};
  EXPECT_THAT(message_of<UsageError>([&] { search(comm_, options); }), HasSubstr("`mark_dpi` 200.0"));
}

TEST_F(Photographs, ABestPoseAtTheEndOfTheAnglesIsTold) {
  write_mark("m", {part({8, 28, 32, 44}), {}});
  SearchOptions options = search_options();
  const std::vector<std::pair<std::vector<double>, bool>> is_told = {
      {{-8, -4, 0}, true}, {{0, 4, 8}, true}, {{-4, 0, 4}, false}, {{0}, false}, {{0, 90, 180, 270}, false}};
  for (const auto& [angles_deg, told] : is_told) {
    options.protocol.angles_deg = angles_deg;
    options.output = folder_ / ("turned" + std::to_string(++searches_) + ".h5");
    const SearchSummary summary = search(comm_, options);
    on_root([&] {
      ASSERT_EQ(summary.marks_account.at_rim.size(), told ? 1U : 0U) << angles_deg.front();
      if (told) EXPECT_EQ(summary.marks_account.at_rim[0].angle_deg, 0);
    });
  }
}

}  // namespace
}  // namespace outsole::retrieval::testing
