#include "retrieval/search.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <opencv2/imgproc.hpp>
#include <random>

#include "../features/weights_fixture.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "match/lanes.h"
#include "retrieval/exemplar_blocks.h"
#include "retrieval/mark_features.h"
#include "retrieval/open_index.h"
#include "retrieval/search_results.h"
#include "retrieval/search_setup.h"
#include "retrieval_fixture.h"
#include "synth/mark.h"

namespace outsole::retrieval::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kScoreTolerance = 1e-5;
constexpr double kTie = 1e-6;  // poses whose scores differ by less are told apart by rounding

// --- Against the definition -----------------------------------------------------------------------------------------

/// Marks of every kind that the definition has something to say about, from exemplars of 120 x 60 px.
std::map<std::string, NaiveMark> marks_of_all_kinds(const std::vector<NaiveExemplar>& exemplars) {
  const auto part = [&](std::size_t exemplar, cv::Rect window) {
    return NaiveMark{exemplars[exemplar].image(window).clone(), {}};
  };
  std::map<std::string, NaiveMark> marks;
  marks["plain"] = part(2, {9, 30, 33, 46});
  NaiveMark& holed = marks["holed"] = part(5, {4, 50, 40, 48});
  holed.mask = cv::Mat1b(48, 40, 255);
  cv::circle(holed.mask, {26, 14}, 7, 0, cv::FILLED);
  holed.mask(cv::Rect(0, 40, 12, 8)) = 0;
  marks["nearly_flat"] = {cv::Mat1b(44, 36, 200), {}};
  marks["nearly_flat"].image(cv::Rect(20, 20, 2, 2)) = 202;
  marks["noise"] = {cv::Mat1b(40, 30), {}};
  cv::RNG(3).fill(marks["noise"].image, cv::RNG::UNIFORM, 0, 256);
  marks["tiny"] = part(8, {16, 40, 32, 34});  // of one cell less there would be nothing to compare
  marks["as_large_as_the_frame"] = {cv::Mat1b(), {}};
  cv::resize(exemplars[0].image, marks["as_large_as_the_frame"].image, {60, 120}, 0, 0, cv::INTER_AREA);
  marks["larger_than_the_frame"] = {cv::Mat1b(), {}};
  cv::resize(exemplars[1].image, marks["larger_than_the_frame"].image, {50, 150}, 0, 0, cv::INTER_CUBIC);
  return marks;
}

class AgainstTheDefinition : public Retrieval {
 protected:
  void expect_agreement(const features::ExtractorSpec& extractor, const std::vector<double>& angles_deg,
                        const std::string& kernel = "auto") {
    const auto exemplars = synthetic_exemplars(40, 120, 60);
    const auto marks = marks_of_all_kinds(exemplars);
    fill_once("AgainstTheDefinition", [&] {
      ingest(exemplars);
      for (const auto& [id, mark] : marks) write_mark(id, mark);
    });
    build_index(comm_, index_options(extractor));
    SearchOptions options = search_options();
    options.weights_path = extractor.weights_path;
    options.protocol.angles_deg = angles_deg;
    options.kernel = kernel;
    search(comm_, options);
    on_root([&] {
      NaiveProtocol protocol;
      protocol.angles_deg = angles_deg;
      const NaiveRetrieval naive(exemplars, extractor, protocol);
      const auto found = read_all_scores(options.output);
      ASSERT_EQ(found.size(), marks.size());
      for (const auto& [id, mark] : marks) expect_same_best(id, naive.search(mark), found.at(id));
    });
  }

 private:
  static void expect_same_best(const std::string& id, const std::vector<NaiveScores>& expected,
                               const FoundScores& found) {
    ASSERT_EQ(found.scores.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::size_t best = expected[i].best();
      const double score = expected[i].scores[best], score_there = expected[i].at(found.poses[i]);
      EXPECT_NEAR(found.scores[i], score, kScoreTolerance) << id << " on " << i;
      // The very pose, or one that the definition cannot tell from it.
      EXPECT_NEAR(score_there, score, kTie)
          << id << " on " << i << ": found at " << found.poses[i].angle_deg << " deg, " << found.poses[i].y_px << ", "
          << found.poses[i].x_px << "; the definition says " << expected[i].poses[best].angle_deg << " deg, "
          << expected[i].poses[best].y_px << ", " << expected[i].poses[best].x_px;
    }
  }
};

TEST_F(AgainstTheDefinition, PixelsAgreeInScoreAndPose) { expect_agreement({"pixels"}, {-10, 0, 5}); }

TEST_F(AgainstTheDefinition, ScatteringAgreesInScoreAndPose) { expect_agreement({"scattering"}, {-8, 0, 4}); }

TEST_F(AgainstTheDefinition, TensorOperationsAgreeInScoreAndPose) {
  expect_agreement({"scattering"}, {-8, 0, 4}, "tensors");
}

TEST_F(AgainstTheDefinition, ResNetAgreesInScoreAndPose) {
  const std::string weights = folder_ / "weights.safetensors";
  on_root([&] { features::write_safetensors(weights, features::random_resnet50(1, 0)); });
  expect_agreement({"resnet50:res2a", weights, "caffe"}, {0, 8});
}

// --- Planted poses --------------------------------------------------------------------------------------------------

/// A pose of the grid, by its place on the canvas of the search scale.
struct GridPose {
  double angle_deg = 0;
  int y_px = 0, x_px = 0;
};

struct Planting {
  std::string extractor = "pixels";
  double image_scale = 1;
  std::size_t exemplar = 4;
  int mark_height_px = 100, mark_width_px = 60;  // of the mark's own image
  double shrink = 1;                             // of the mark, to fit the frame
  GridPose pose;
};

class PlantedPoseOnOneRank : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    static const std::vector<NaiveExemplar> kExemplars = render();
    exemplars_ = kExemplars;
    fill_once("PlantedPose", [&] { ingest(exemplars_); });
  }

  static std::vector<NaiveExemplar> render() {
    std::vector<NaiveExemplar> exemplars;
    for (int i = 0; i < 12; ++i) {
      exemplars.push_back(
          {synth::render_exemplar(synth::make_outsole(5, static_cast<std::uint64_t>(i)), kHeight, kWidth)});
    }
    exemplars[kMirrored].mirror = true;
    return exemplars;
  }

  /// Cuts the mark out of the exemplar at the pose, searches it, and expects the exemplar at this very pose.
  void expect_found(const Planting& planting) {
    const image::MarkPose pose = planted_pose(planting);
    cv::Mat1b image;
    synth::cut_mark(exemplars_[planting.exemplar].image, planting.mark_height_px, planting.mark_width_px, pose)
        .convertTo(image, CV_8U);
    expect_found(planting, image, pose);
  }

  void expect_found(const Planting& planting, const cv::Mat1b& mark, const image::MarkPose& pose) {
    write_mark("mark", {mark, {}});
    BuildIndexOptions index = index_options({planting.extractor});
    index.image_scale = planting.image_scale;
    build_index(comm_, index);
    const SearchOptions options = search_options_for(planting);
    search(comm_, options);
    on_root([&] {
      const auto candidates = read_candidates(options.csv);
      ASSERT_EQ(candidates.size(), exemplars_.size());
      const Candidate& first = candidates.front();
      EXPECT_EQ(first.rank, 1);
      EXPECT_EQ(first.exemplar, id_of_exemplar(planting.exemplar));
      EXPECT_EQ(first.angle_deg, pose.angle_deg);
      EXPECT_NEAR(first.y_px, pose.y_px, 0.006);  // two decimals
      EXPECT_NEAR(first.x_px, pose.x_px, 0.006);
      EXPECT_NEAR(first.scale, pose.scale, 1e-6);
      EXPECT_EQ(first.mirrored, pose.mirrored);
      EXPECT_GT(first.score, candidates[1].score + 0.1);
    });
  }

  SearchOptions search_options_for(const Planting& planting) const {
    SearchOptions options = search_options();
    options.protocol.angles_deg = {-12, -8, -4, 0, 4, 8, 12};
    if (std::abs(planting.pose.angle_deg) > 12) options.protocol.angles_deg = {0, 90, 180, 270};
    return options;
  }

  /// The pose of the grid in the words of the table: the mark's centre on the exemplar's own, unmirrored image.
  image::MarkPose planted_pose(const Planting& planting) const {
    const double scale = planting.image_scale, mark_scale = scale * planting.shrink;
    const double canvas_height = 2 * kHeight * scale - planting.mark_height_px * mark_scale;
    const double canvas_width = 2 * kWidth * scale - planting.mark_width_px * mark_scale;
    const auto to_own = [&](double canvas, int origin) { return ((canvas - 1) / 2 - origin + 0.5) / scale - 0.5; };
    image::MarkPose pose = {planting.pose.angle_deg, to_own(canvas_height, planting.pose.y_px),
                            to_own(canvas_width, planting.pose.x_px), planting.shrink, false};
    if (exemplars_[planting.exemplar].mirror) {
      pose.mirrored = true;
      pose.angle_deg = -pose.angle_deg;
      pose.x_px = kWidth - 1 - pose.x_px;
    }
    return pose;
  }

  static constexpr int kHeight = 240, kWidth = 120;
  static constexpr std::size_t kMirrored = 7;
  std::vector<NaiveExemplar> exemplars_;
};

TEST_F(PlantedPoseOnOneRank, PixelsFindACutAsItIs) { expect_found({.pose = {0, 64, 22}}); }

TEST_F(PlantedPoseOnOneRank, PixelsFindAMarkTurnedClockwiseAtAPositiveAngle) { expect_found({.pose = {8, 64, 22}}); }

TEST_F(PlantedPoseOnOneRank, PixelsFindAMarkTurnedCounterClockwiseAtANegativeAngle) {
  expect_found({.pose = {-12, 80, 34}});
}

TEST_F(PlantedPoseOnOneRank, ScatteringFindsATurnedMark) {
  expect_found({.extractor = "scattering", .mark_height_px = 120, .mark_width_px = 80, .pose = {-8, 58, 14}});
}

TEST_F(PlantedPoseOnOneRank, AMarkAtHalfScaleIsFoundInTheExemplarsOwnPixels) {
  expect_found({.image_scale = 0.5, .mark_height_px = 120, .mark_width_px = 80, .pose = {4, 28, 6}});
}

TEST_F(PlantedPoseOnOneRank, AMirroredExemplarIsFoundOnItsUnmirroredImage) {
  expect_found({.exemplar = kMirrored, .pose = {8, 64, 22}});
}

TEST_F(PlantedPoseOnOneRank, ScatteringFindsAMirroredExemplar) {
  expect_found({.extractor = "scattering",
                .exemplar = kMirrored,
                .mark_height_px = 120,
                .mark_width_px = 80,
                .pose = {-4, 60, 26}});
}

TEST_F(PlantedPoseOnOneRank, AMarkTooLargeForTheFrameIsShrunkAndSaysByHowMuch) {
  expect_found({.mark_height_px = 300, .mark_width_px = 100, .shrink = 0.8, .pose = {0, 0, 12}});
}

TEST_F(PlantedPoseOnOneRank, AShrunkMarkIsFoundTurned) {
  expect_found({.mark_height_px = 300, .mark_width_px = 100, .shrink = 0.8, .pose = {-4, 0, 20}});
}

TEST_F(PlantedPoseOnOneRank, AQuarterTurnToTheRightIsUndoneByPlusNinetyDegrees) {
  // Without interpolation: the window's pixels themselves, turned clockwise.
  const Planting planting = {.mark_height_px = 80, .mark_width_px = 60, .pose = {90, 70, 30}};
  const image::MarkPose pose = planted_pose(planting);
  const cv::Rect window(static_cast<int>(pose.x_px - 39.5), static_cast<int>(pose.y_px - 29.5), 80, 60);
  cv::Mat1b mark;
  cv::rotate(exemplars_[planting.exemplar].image(window), mark, cv::ROTATE_90_CLOCKWISE);
  expect_found(planting, mark, pose);
}

// --- Same bytes -----------------------------------------------------------------------------------------------------

class SearchBytes : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    fill_once("SearchBytes", [&] {
      const auto exemplars = synthetic_exemplars(70, 80, 46);
      ingest(exemplars);
      for (std::size_t i = 0; i < 5; ++i) {
        write_mark("m" + std::to_string(i), {exemplars[9 * i].image(cv::Rect(2, 10, 24, 40)).clone(), {}});
      }
      build_index(comm_, index_options({"pixels"}));
    });
  }
  SearchOptions search_options() const {
    SearchOptions options = Retrieval::search_options();
    options.protocol.angles_deg = {-4, 0};
    return options;
  }

  /// SHA-256 of the results, which are made anew.
  std::string bytes_of(const comm::Communicator& comm, const SearchOptions& options) const {
    if (comm.is_root()) {
      fs::remove(options.output);
      fs::remove_all(fs::path(options.output).replace_extension(".shards"));
    }
    comm.barrier();
    search(comm, options);
    return comm.broadcast(comm.is_root() ? store::Store(options.output).sha256() : "");
  }

  /// Expects the same bytes from every cut of all ranks into teams as from one rank.
  void expect_same_bytes_from_every_cut(SearchOptions options) const {
    const comm::Communicator alone = comm_.split(comm_.rank());
    const std::string expected = comm_.broadcast(comm_.is_root() ? bytes_of(alone, options) : "");
    for (options.mark_groups = 0; options.mark_groups <= comm_.size(); ++options.mark_groups) {
      EXPECT_EQ(bytes_of(comm_, options), expected) << options.mark_groups << " teams";
    }
  }

  /// The least memory that will do and as much more as two marks take: the blocks are streamed.
  std::int64_t memory_for_streaming(const SearchOptions& options) const {
    const SearchSetup setup = set_up_search(comm_, options);
    return options.memory_bytes - setup.block_memory_bytes + ExemplarBlocks::least_bytes(setup.index.parameters) +
           2 * setup.mark_bytes;
  }
};

TEST_F(SearchBytes, BlocksAreTheSameWhetherKeptInMemoryOrStreamed) {
  const OpenIndex index = open_index(store::Store(search_options().indexes.front(), kIndexSchema), "", at::kCPU);
  const std::int64_t blocks = index.parameters.blocks();
  const auto visit = [&](ExemplarBlocks& range) {
    std::vector<at::Tensor> seen;
    range.visit([&](std::span<const at::Tensor> run, std::int64_t first) {
      EXPECT_EQ(first, std::ssize(seen));
      for (const at::Tensor& block : run) seen.push_back(block.clone());
    });
    return seen;
  };
  ExemplarBlocks streamed(index, 0, blocks, 0);
  ExemplarBlocks kept(index, 0, blocks, std::int64_t{1} << 30);
  EXPECT_FALSE(streamed.in_memory());
  EXPECT_TRUE(kept.in_memory());
  for (int time = 0; time < 2; ++time) {
    const auto a = visit(streamed), b = visit(kept);
    ASSERT_EQ(std::ssize(a), blocks);
    ASSERT_EQ(std::ssize(b), blocks);
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i]));
  }
}

TEST_F(SearchBytes, ChosenExemplarsAreTheSameFromMemoryAsFromDisk) {
  const OpenIndex index = open_index(store::Store(search_options().indexes.front(), kIndexSchema), "", at::kCPU);
  ExemplarBlocks blocks(index, 0, index.parameters.blocks(), std::int64_t{1} << 30, {at::kCPU, 2});
  std::vector<at::Tensor> all;
  const std::vector<std::int64_t> wanted = {0, 3, 31, 33, 40, 64, 69};
  const auto expect_chosen = [&] {
    std::size_t seen = 0;
    blocks.visit_exemplars(wanted, [&](std::span<const at::Tensor> packed, std::span<const std::int64_t> exemplars) {
      for (std::size_t i = 0; i < exemplars.size(); ++i, ++seen) {
        EXPECT_EQ(exemplars[i], wanted[seen]);
        const auto of = [](const at::Tensor& block, std::size_t number) {
          return block.select(3, static_cast<std::int64_t>(number) % match::kLanes);
        };
        EXPECT_TRUE(at::equal(
            of(packed[i / match::kLanes], i),
            of(all[static_cast<std::size_t>(exemplars[i] / match::kLanes)], static_cast<std::size_t>(exemplars[i]))));
      }
    });
    EXPECT_EQ(seen, wanted.size());
  };
  ExemplarBlocks streamed(index, 0, index.parameters.blocks(), 0);
  streamed.visit([&](std::span<const at::Tensor> run, std::int64_t) { all.push_back(run.front().clone()); });
  expect_chosen();
  blocks.visit([](std::span<const at::Tensor>, std::int64_t) {});
  expect_chosen();
}

TEST_F(SearchBytes, TooLittleMemoryIsRefusedNamingWhatIsNeeded) {
  SearchOptions options = search_options();
  options.memory_bytes = 1;
  try {
    search(comm_, options);
    ADD_FAILURE() << "no refusal";
  } catch (const EnvironmentError& error) {
    EXPECT_THAT(error.what(), HasSubstr("`memory_gib`"));
  }
}

TEST_F(SearchBytes, ThePlanTimesTheWorkAndWritesNothing) {
  const SearchFacts facts = search_facts(comm_, search_options());
  EXPECT_EQ(facts.marks, 5);
  // Within what processors do, and five small marks take: a wrong unit would not be.
  EXPECT_GT(facts.compare_gflops, 1e-3);
  EXPECT_LT(facts.compare_gflops, 1e4);
  EXPECT_GT(facts.seconds, 1e-5);
  EXPECT_LT(facts.seconds, 600);
  // Opening the index, at least, is not shared.
  EXPECT_LT(predict_on(3, facts.work, {}).compute_s, facts.work.compute_s);
  EXPECT_GT(predict_on(3, facts.work, {}).compute_s, facts.work.compute_s / 3);
  EXPECT_FALSE(fs::exists(search_options().output));
}

TEST_F(SearchBytes, ThePlanOfALargerIndexIsMadeOnASmallerOne) {
  SearchOptions larger = search_options();
  larger.plan_exemplars = 70'000;
  const SearchFacts facts = search_facts(comm_, larger), own = search_facts(comm_, search_options());
  EXPECT_EQ(facts.blocks, 2188);
  EXPECT_NEAR(facts.useful_flops, 1000 * own.useful_flops, 1);
  EXPECT_EQ(facts.work.read_bytes, own.work.read_bytes * 2188 / 3);
}

TEST_F(SearchBytes, MemoryForBlocksIsLessByWhatMoreIdsAndPosesTake) {
  const SearchSetup setup = set_up_search(comm_, search_options());
  EXPECT_EQ(setup.mark_bytes - setup.view_bytes, 2 * 70 * 20);
  SearchOptions keeps_few = search_options();
  keeps_few.all_scores = false;
  const SearchSetup few = set_up_search(comm_, keeps_few);
  EXPECT_EQ(few.mark_bytes - few.view_bytes, 2 * 20 * 20);
  // The marks that are searched, and the one that a unit of the results holds, with its columns.
  EXPECT_EQ(few.block_memory_bytes - setup.block_memory_bytes, 2 * 50 * 20 + 50 * 20 + 70 * 29);
}

TEST_F(SearchBytes, AMarkTakesNoMoreMemoryAgainstAMillionExemplarsThanAgainstTen) {
  SearchOptions options = search_options();
  options.all_scores = false;
  options.top = 10;
  options.plan_exemplars = 10;
  const std::int64_t against_ten = set_up_search(comm_, options).mark_bytes;
  options.plan_exemplars = 1'000'000;
  EXPECT_EQ(set_up_search(comm_, options).mark_bytes, against_ten);
}

// --- As they lie ----------------------------------------------------------------------------------------------------

TEST_F(SearchBytes, WithStatisticsOfTheDataSetAreTheSameFromEveryCutIntoTeams) {
  SearchOptions options = search_options();
  options.protocol.similarity = match::similarity_named("mu_bar_c,sigma_c");
  expect_same_bytes_from_every_cut(options);
  options.protocol.similarity = match::similarity_named("mu,sigma_bar_c");
  expect_same_bytes_from_every_cut(options);
}

TEST_F(SearchBytes, OfAlignedMarksAreTheSameFromEveryCutIntoTeams) {
  SearchOptions options = search_options();
  options.protocol.as_they_lie = true;
  expect_same_bytes_from_every_cut(options);
  options.all_scores = false;
  options.memory_bytes = memory_for_streaming(options);
  expect_same_bytes_from_every_cut(options);
}

/// Exemplars of several sizes, none mirrored; marks are the exemplars themselves, darker, one with a mask.
class AsTheyLie : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    exemplars_ = synthetic_exemplars(7, 80, 46);
    for (NaiveExemplar& exemplar : exemplars_) exemplar.mirror = false;
    ingest(exemplars_);
    for (std::size_t i = 0; i < exemplars_.size(); ++i) {
      cv::Mat1b mask;
      if (i == 3) {
        mask = cv::Mat1b(exemplars_[i].image.size(), 0);
        mask(cv::Rect(4, 20, 30, 40)) = 255;
      }
      write_mark(id_of_exemplar(i), {exemplars_[i].image * 0.5, mask});
    }
  }

  std::vector<NaiveExemplar> exemplars_;
};

TEST_F(AsTheyLie, EachMarkFindsItselfAtItsOwnPlace) {
  build_index(comm_, index_options({"scattering"}));
  SearchOptions options = search_options();
  options.protocol.as_they_lie = true;
  search(comm_, options);
  on_root([&] {
    for (const Candidate& candidate : read_candidates(options.csv)) {
      if (candidate.rank != 1) continue;
      const cv::Mat1b& image = exemplars_[std::stoul(candidate.mark)].image;
      EXPECT_EQ(candidate.exemplar, candidate.mark);
      EXPECT_EQ(candidate.angle_deg, 0);
      EXPECT_EQ(candidate.scale, 1);
      EXPECT_NEAR(candidate.y_px, (image.rows - 1) / 2.0, 0.006);
      EXPECT_NEAR(candidate.x_px, (image.cols - 1) / 2.0, 0.006);
    }
  });
}

TEST_F(AsTheyLie, TheScoreIsThatOfWholeMapsWithoutTheIndexsBorder) {
  build_index(comm_, index_options({"pixels"}));
  SearchOptions options = search_options();
  options.protocol.as_they_lie = true;
  write_mark("whole", {exemplars_[0].image, {}});  // as large as the frame
  options.marks = {folder_ / "marks" / "whole.png"};
  search(comm_, options);
  const NaiveRetrieval naive(exemplars_, {"pixels"}, {});
  on_root([&] {
    const IndexParameters p = IndexParameters::from_header(store::Store(folder_ / "index.h5").header(), "index.h5");
    const std::vector<float> found = read_all_scores(options.output).at("whole").scores;
    const auto inner = [&](std::size_t exemplar) {
      const std::int64_t border = p.border_cells;
      const at::Tensor map = naive.maps()[exemplar].to(at::kDouble)[0];
      const at::Tensor cells = map.slice(0, border, map.size(0) - border).slice(1, border, map.size(1) - border);
      return cells - cells.mean();
    };
    for (std::size_t i = 0; i < exemplars_.size(); ++i) {
      const at::Tensor x = inner(0), y = inner(i);
      const double ncc = ((x * y).sum() / (x.square().sum() * y.square().sum()).sqrt()).item<double>();
      EXPECT_NEAR(found[i], ncc, 1e-5);
    }
  });
}

// --- Teams ----------------------------------------------------------------------------------------------------------

TEST_F(SearchBytes, AllScoresAreTheSameFromEveryCutIntoTeams) { expect_same_bytes_from_every_cut(search_options()); }

TEST_F(SearchBytes, ListsAreTheSameFromEveryCutIntoTeams) {
  SearchOptions options = search_options();
  options.all_scores = false;
  options.top = 7;
  expect_same_bytes_from_every_cut(options);
}

TEST_F(SearchBytes, AreTheSameFromEveryCutIntoTeamsThatStreamTheBlocks) {
  SearchOptions options = search_options();
  options.all_scores = false;
  options.memory_bytes = memory_for_streaming(options);
  expect_same_bytes_from_every_cut(options);
}

TEST_F(SearchBytes, OfAFirstPassAreTheSameFromEveryCutIntoTeams) {
  SearchOptions options = search_options();
  options.coarse = 24;
  expect_same_bytes_from_every_cut(options);
  options.all_scores = false;
  options.top = 7;
  expect_same_bytes_from_every_cut(options);
}

TEST_F(SearchBytes, ListsAreTheTopOfAllScores) {
  SearchOptions options = search_options();
  search(comm_, options);
  const std::string with_all_scores = options.output;
  options.all_scores = false;
  options.output = folder_ / "lists.h5";
  search(comm_, options);
  on_root([&] {
    const store::Store all(with_all_scores), lists(options.output);
    for (const char* name : {"top_exemplar", "top_score", "top_angle_deg", "top_y_px", "top_x_px", "top_mirrored"}) {
      EXPECT_TRUE(all.read(name).values == lists.read(name).values) << name;
    }
    const auto found = read_all_scores(with_all_scores);
    std::int64_t row = 0;
    for (const auto& [mark, scores] : found) {
      std::vector<float> best = scores.scores;
      std::ranges::sort(best, std::greater());
      best.resize(20);
      EXPECT_EQ(std::get<std::vector<float>>(lists.read("top_score", row++, 1).values), best) << mark;
    }
  });
}

TEST_F(SearchBytes, TheFirstPassIsMeasuredOnTheSameMarksByEveryCut) {
  SearchOptions options = search_options();
  options.coarse = 20;
  options.coarse_recall = 2;
  const CoarseRecall alone = search(comm_.split(comm_.rank()),
                                    [&] {
                                      SearchOptions own = options;
                                      own.output = folder_ / ("alone" + std::to_string(comm_.rank()) + ".h5");
                                      own.csv.clear();
                                      return own;
                                    }())
                                 .coarse_recall;
  for (options.mark_groups = 1; options.mark_groups <= comm_.size(); ++options.mark_groups) {
    options.output = folder_ / ("cut" + std::to_string(options.mark_groups) + ".h5");
    const CoarseRecall recall = search(comm_, options).coarse_recall;
    if (!comm_.is_root()) continue;
    EXPECT_EQ(recall.marks, 2);
    EXPECT_EQ(recall.top, 2 * 20);
    EXPECT_EQ(recall.first_kept, alone.first_kept);
    EXPECT_EQ(recall.top_kept, alone.top_kept);
  }
}

TEST_F(SearchBytes, ThePlanSaysHowRanksAreCutAndHowManyAreBusy) {
  SearchOptions options = search_options();
  const SearchFacts facts = search_facts(comm_, options);
  const comm::Teams best = comm::choose_teams({.items = 5, .blocks = 3, .kept_blocks = 3}, comm_.size());
  EXPECT_EQ(facts.teams.count, best.count);
  EXPECT_DOUBLE_EQ(facts.teams.busy, best.busy);
  const machine::ScalingRow row = predict_on(3, facts.work, {});
  EXPECT_DOUBLE_EQ(row.busy, 3);
  EXPECT_EQ(row.partition, "blocks");
  EXPECT_GE(predict_on(12, facts.work, {}).busy, 7);
}

TEST(KeepBest, LeavesTheSameInWhateverOrderPartsAreMerged) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores = {0.5F, kNan, 0.7F, 0.5F, -1, 0.7F, kNan, 0.5F, 0.1F};
  const std::vector<std::int32_t> best_first = {2, 5, 0, 3, 7, 8, 4, 1, 6};
  std::vector<retrieval::Candidate> all;
  for (std::size_t i = 0; i < scores.size(); ++i) all.push_back({static_cast<std::int32_t>(i), {scores[i], {}}});
  std::mt19937 random(1);
  for (int time = 0; time < 50; ++time) {
    std::ranges::shuffle(all, random);
    for (std::int64_t count = 0; count <= 10; ++count) {
      std::vector<retrieval::Candidate> merged;
      for (const retrieval::Candidate& candidate : all) {
        merged.push_back(candidate);
        keep_best(merged, count);
      }
      std::ranges::sort(merged, is_better);
      ASSERT_EQ(std::ssize(merged), std::min<std::int64_t>(count, 9));
      for (std::size_t i = 0; i < merged.size(); ++i) EXPECT_EQ(merged[i].exemplar, best_first[i]);
    }
  }
}

TEST_F(SearchBytes, AreTheSameWhenMarksShareAPassOverStreamedBlocks) {
  SearchOptions options = search_options();
  search(comm_, options);
  const std::string kept = comm_.broadcast(comm_.is_root() ? sha256("results.h5") : "");
  on_root([&] {
    fs::remove(folder_ / "results.h5");
    fs::remove_all(folder_ / "results.shards");
  });
  options.memory_bytes = memory_for_streaming(options);
  search(comm_, options);
  on_root([&] { EXPECT_EQ(sha256("results.h5"), kept); });
}

TEST_F(SearchBytes, AreTheSameAfterAnInterruption) {
  search(comm_, search_options());
  const std::string undisturbed = comm_.broadcast(comm_.is_root() ? sha256("results.h5") : "");
  for (int lost = 0; lost < 5; ++lost) {
    on_root([&] {
      fs::remove(folder_ / "results.h5");
      fs::remove(folder_ / "results.shards" / ("0000" + std::to_string(lost) + ".h5"));
    });
    SearchOptions options = search_options();
    options.mark_groups = lost % (comm_.size() + 1);
    EXPECT_FALSE(search(comm_, options).was_finished);
    on_root([&] { EXPECT_EQ(sha256("results.h5"), undisturbed); });
  }
}

TEST_F(SearchBytes, AFinishedSearchIsLeftAloneAndItsTableWrittenAgain) {
  search(comm_, search_options());
  const auto written = fs::last_write_time(folder_ / "results.h5");
  comm_.barrier();
  on_root([&] { fs::remove(folder_ / "results.csv"); });
  EXPECT_TRUE(search(comm_, search_options()).was_finished);
  on_root([&] {
    EXPECT_EQ(fs::last_write_time(folder_ / "results.h5"), written);
    EXPECT_EQ(read_candidates(folder_ / "results.csv").size(), 5U * 20U);
  });
}

TEST_F(SearchBytes, OtherParametersAreRefusedByName) {
  search(comm_, search_options());
  SearchOptions other = search_options();
  other.protocol.stride_px = 4;
  try {
    search(comm_, other);
    ADD_FAILURE() << "no refusal";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("stride_px"));
    EXPECT_THAT(error.what(), HasSubstr("results.h5"));
  }
}

TEST_F(SearchBytes, ResultsAreNotTakenForThoseOfAMarkWhoseMaskCameLater) {
  search(comm_, search_options());
  on_root([&] { ASSERT_TRUE(cv::imwrite((folder_ / "marks/m0.mask.png").string(), cv::Mat1b(40, 24, 255))); });
  try {
    search(comm_, search_options());
    ADD_FAILURE() << "no refusal";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("m0.png"));
  }
}

// --- A first pass ---------------------------------------------------------------------------------------------------

TEST_F(SearchBytes, AFirstPassKeepsItsBestAndScoresThemAsAnExhaustiveSearchDoes) {
  SearchOptions options = search_options();
  search(comm_, options);
  const std::string exhaustive = options.output;
  options.output = folder_ / "coarse.h5";
  options.coarse = 24;
  options.coarse_recall = 5;
  const SearchSummary summary = search(comm_, options);
  on_root([&] {
    EXPECT_EQ(summary.coarse_recall.marks, 5);
    EXPECT_EQ(summary.coarse_recall.top, 5 * 20);
    const auto in_full = read_all_scores(exhaustive);
    const store::Store store(options.output, kResultsSchema);
    std::int64_t row = 0, first_kept = 0;
    for (const auto& [mark, found] : read_all_scores(options.output)) {
      const auto first_pass = std::get<std::vector<float>>(store.read("coarse_score", row++, 1).values);
      float least_kept = 2, best_lost = -2;
      std::size_t kept = 0;
      for (std::size_t i = 0; i < found.scores.size(); ++i) {
        if (std::isnan(found.scores[i])) {
          EXPECT_TRUE(std::isnan(found.poses[i].angle_deg));
          best_lost = std::max(best_lost, first_pass[i]);
          continue;
        }
        ++kept;
        least_kept = std::min(least_kept, first_pass[i]);
        EXPECT_EQ(found.scores[i], in_full.at(mark).scores[i]);
        EXPECT_LE(first_pass[i], found.scores[i] + 1e-5f);
      }
      EXPECT_EQ(kept, 24U);
      EXPECT_GE(least_kept, best_lost);
      const auto& scores = in_full.at(mark).scores;
      const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
      first_kept += !std::isnan(found.scores[static_cast<std::size_t>(best)]);
    }
    EXPECT_EQ(summary.coarse_recall.first_kept, first_kept);
    EXPECT_GT(first_kept, 0);
  });
}

TEST(CoarseGrid, LeavesOutAnglesOnlyBetweenNearNeighbours) {
  const auto kept = [](std::vector<double> angles_deg) {
    return coarse_grid({std::move(angles_deg), 2, 40, 40, 20, 20}, 4).angles_deg;
  };
  EXPECT_EQ(kept({-8, -4, 0, 4, 8}), (std::vector<double>{-8, 0, 8}));
  EXPECT_EQ(kept({0, 4}), (std::vector<double>{0, 4}));
  EXPECT_EQ(kept({0, 90, 180, 270}), (std::vector<double>{0, 90, 180, 270}));
}

TEST_F(SearchBytes, AFirstPassThatKeepsFewerThanAreListedIsRefused) {
  SearchOptions options = search_options();
  options.coarse = options.top - 1;
  EXPECT_THROW(search(comm_, options), UsageError);
}

TEST_F(SearchBytes, TheKernelForCpusRefusesToRound) {
  SearchOptions options = search_options();
  options.compute_precision = "tf32";
  EXPECT_THROW(search(comm_, options), UsageError);
}

// --- Marks that cannot be searched ----------------------------------------------------------------------------------

class BadMarks : public SearchBytes {
 protected:
  /// The reason for which the only bad mark is skipped.
  std::string reason() {
    SearchOptions options = search_options();
    options.strict = false;
    const SearchSummary summary = search(comm_, options);
    if (!comm_.is_root()) return {};
    EXPECT_EQ(summary.marks, 5);
    EXPECT_EQ(summary.skipped.size(), 1U);
    EXPECT_EQ(read_candidates(options.csv).size(), 5U * 20U);
    return summary.skipped.empty() ? "" : summary.skipped[0];
  }
};

TEST_F(BadMarks, AFileThatIsNoImageIsNamedAndTheOthersAreSearched) {
  on_root([&] { std::ofstream(folder_ / "marks/bad.png") << "no image"; });
  const std::string told = reason();
  on_root([&] { EXPECT_THAT(told, HasSubstr("bad.png")); });
}

TEST_F(BadMarks, AMarkWithoutSupportAfterErosionIsNamed) {
  write_mark("thin", {cv::Mat1b(60, 4, 128), {}});
  const std::string told = reason();
  on_root([&] { EXPECT_THAT(told, HasSubstr("thin.png")); });
}

/// Marks that show nothing, of which each is left out for what it is.
TEST_F(BadMarks, WithoutAPrintHaveNoCandidates) {
  std::map<std::string, NaiveMark> blanks;
  for (const int grey : {0, 1, 127, 128, 200, 254, 255}) {
    blanks["grey_" + std::to_string(grey)] = {cv::Mat1b(44, 36, static_cast<uchar>(grey)), {}};
  }
  blanks["as_large_as_the_frame"] = {cv::Mat1b(80, 46, 255), {}};
  blanks["larger_than_the_frame"] = {cv::Mat1b(200, 90, 90), {}};
  NaiveMark print = {cv::Mat1b(44, 36), {}};
  cv::RNG(3).fill(print.image, cv::RNG::UNIFORM, 0, 256);
  // The print lies where the mask says that there is no mark.
  NaiveMark& masked = blanks["masked"] = {print.image.clone(), cv::Mat1b(44, 36, 255)};
  masked.image(cv::Rect(0, 0, 36, 30)) = 255;
  masked.mask(cv::Rect(0, 30, 36, 14)) = 0;
  NaiveMark& no_support = blanks["no_support"] = {print.image.clone(), cv::Mat1b(44, 36, static_cast<uchar>(0))};
  no_support.image(0, 0) = 7;
  blanks["narrow_support"] = {print.image.clone(), cv::Mat1b(44, 36, static_cast<uchar>(0))};
  blanks["narrow_support"].mask(cv::Rect(18, 0, 2, 44)) = 255;
  for (const auto& [id, mark] : blanks) write_mark(id, mark);
  SearchOptions options = search_options();
  options.strict = false;
  for (const char* similarity : {"mu_c,sigma_c", "none,sigma", "none,none", "euclidean", "mu_bar_c,sigma_bar_c"}) {
    options.protocol.similarity = match::similarity_named(similarity);
    options.output = folder_ / ("results_" + std::string(similarity) + ".h5");
    const SearchSummary summary = search(comm_, options);
    on_root([&] {
      EXPECT_EQ(summary.marks, 5) << similarity;
      EXPECT_EQ(summary.skipped.size(), blanks.size()) << similarity;
      for (const auto& [id, mark] : blanks) {
        const auto names_it = [&](const std::string& reason) {
          const bool is_told =
              reason.find("blank: ") != std::string::npos || reason.find("support") != std::string::npos;
          return reason.find(id + ".png: ") != std::string::npos && is_told;
        };
        EXPECT_TRUE(std::ranges::any_of(summary.skipped, names_it)) << id << ", " << similarity;
      }
    });
  }
  options.strict = true;
  options.output = folder_ / "strict.h5";
  EXPECT_THROW(search(comm_, options), DataError);
  EXPECT_FALSE(fs::exists(folder_ / "strict.shards"));
}

TEST_F(BadMarks, OfWhichAllAreBlankGiveNoResults) {
  on_root([&] { fs::remove_all(folder_ / "marks"); });
  write_mark("a", {cv::Mat1b(44, 36, 255), {}});
  write_mark("b", {cv::Mat1b(44, 36, 3), {}});
  SearchOptions options = search_options();
  options.strict = false;
  EXPECT_THROW(search(comm_, options), DataError);
  comm_.barrier();
  EXPECT_FALSE(fs::exists(options.output));
  EXPECT_FALSE(fs::exists(folder_ / "results.shards"));
}

TEST_F(BadMarks, AsTheyLieMayBeBlankToo) {
  write_mark("blank", {cv::Mat1b(44, 36, 128), {}});
  SearchOptions options = search_options();
  options.strict = false;
  options.protocol.as_they_lie = true;
  const SearchSummary summary = search(comm_, options);
  on_root([&] { EXPECT_THAT(summary.skipped, ElementsAre(HasSubstr("blank.png: blank: nothing but one grey"))); });
}

/// Of what the features make of a mark, when its greys differ.
TEST(Contrast, IsWhatAChannelVariesOverTheSupport) {
  match::ChannelModel channels;
  channels.flat_std = at::tensor({1e-3f, 1e-3f});
  const auto has = [&](const at::Tensor& features, const at::Tensor& support) {
    const std::vector<match::MarkView> views = {{0, {}, 0, 0, features, support}};
    return has_contrast(views, channels);
  };
  const at::Tensor all = at::ones({3, 4}, at::kBool), flat = at::full({2, 3, 4}, 5.0f);
  EXPECT_FALSE(has(flat, all));
  at::Tensor one = flat.clone();
  one[1][2][3] = 6.0f;
  EXPECT_TRUE(has(one, all));
  at::Tensor hidden = all.clone();
  hidden[2][3] = false;
  EXPECT_FALSE(has(one, hidden)) << "it lies outside of the support";
  EXPECT_FALSE(has(flat + 1e-4f * at::rand({2, 3, 4}), all)) << "less than what counts as flat";
  EXPECT_FALSE(has(at::zeros({2, 0, 0}), at::zeros({0, 0}, at::kBool)));
  EXPECT_FALSE(has_contrast({}, channels));
  const std::vector<match::MarkView> several = {{0, {}, 0, 0, flat, all}, {1, {}, 0, 0, one, all}};
  EXPECT_TRUE(has_contrast(several, channels));
}

TEST_F(BadMarks, AMaskOfAnotherSizeIsNamed) {
  write_mark("masked", {cv::Mat1b(60, 40, 128), cv::Mat1b(60, 41, 255)});
  const std::string told = reason();
  on_root([&] { EXPECT_THAT(told, HasSubstr("masked")); });
}

TEST_F(BadMarks, OfEveryTeamAreNamedInTheOrderOfMarks) {
  for (const char* name : {"a.png", "m1b.png", "m3b.png", "z.png"}) {
    on_root([&] { std::ofstream(folder_ / "marks" / name) << "no image"; });
  }
  SearchOptions options = search_options();
  options.strict = false;
  for (options.mark_groups = 1; options.mark_groups <= comm_.size(); ++options.mark_groups) {
    options.output = folder_ / ("cut" + std::to_string(options.mark_groups) + ".h5");
    const SearchSummary summary = search(comm_, options);
    on_root([&] {
      EXPECT_EQ(summary.marks, 5);
      EXPECT_THAT(summary.skipped,
                  ElementsAre(HasSubstr("a.png"), HasSubstr("m1b.png"), HasSubstr("m3b.png"), HasSubstr("z.png")));
    });
  }
}

TEST_F(BadMarks, StrictStopsBeforeAnythingIsWritten) {
  on_root([&] { std::ofstream(folder_ / "marks/zzz.png") << "no image"; });
  EXPECT_THROW(search(comm_, search_options()), DataError);
  EXPECT_FALSE(fs::exists(folder_ / "results.shards"));
}

}  // namespace
}  // namespace outsole::retrieval::testing
