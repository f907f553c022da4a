#include "match/mcncc.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <memory>

#include "core/errors.h"
#include "match/every_kernel.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/naive_search.h"
#include "match/support.h"

namespace outsole::match {
namespace {

using testing::naive_score;
using testing::naive_search;

/// A search problem with random smooth-ish features: a frame, a mark of some shape, exemplars.
struct Problem {
  PoseGrid grid;
  FrameCells frame;
  std::int64_t radius = 1;
  std::vector<MarkView> views;
  at::Tensor exemplars;  // [N, C, H, W] full maps
  at::Tensor block;      // packed
  ChannelModel channels;
  Similarity similarity;

  SearchTerms terms() const { return {frame, radius, channels, similarity}; }
};

struct ProblemOptions {
  std::int64_t channels = 5, exemplars = 7, cell_px = 4, stride_px = 2, border = 2, radius = 2;
  std::int64_t frame_height = 25, frame_width = 14;  // cells
  std::int64_t mark_height_px = 49, mark_width_px = 31, overhang_px = 0;
  std::int64_t angles = 3;
  enum class Shape { kRectangle, kDisk, kHoles, kOnePixel } shape = Shape::kRectangle;
};

Problem make_problem(const ProblemOptions& options, int seed = 1) {
  at::manual_seed(seed);
  Problem problem;
  const std::int64_t cell = options.cell_px;
  problem.grid.angles_deg = std::vector<double>(static_cast<std::size_t>(options.angles));
  problem.grid.stride_px = options.stride_px;
  problem.grid.frame_height_px = options.frame_height * cell;
  problem.grid.frame_width_px = options.frame_width * cell;
  problem.grid.mark_height_px = options.mark_height_px;
  problem.grid.mark_width_px = options.mark_width_px;
  problem.grid.overhang_y_px = problem.grid.overhang_x_px = options.overhang_px;
  problem.frame = {options.frame_height - 2 * options.border, options.frame_width - 2 * options.border, options.border,
                   cell};
  problem.radius = options.radius;
  for (std::int64_t angle = 0; angle < options.angles; ++angle) {
    for (const ViewOffset& offset : view_offsets(problem.grid, cell)) {
      const std::int64_t height = (problem.grid.canvas_height_px() - offset.offset_y_px) / cell;
      const std::int64_t width = (problem.grid.canvas_width_px() - offset.offset_x_px) / cell;
      at::Tensor support = at::zeros({height, width}, at::kBool);
      auto cells = support.accessor<bool, 2>();
      for (std::int64_t y = 0; y < height; ++y) {
        for (std::int64_t x = 0; x < width; ++x) {
          const double py =
              static_cast<double>(y * cell + offset.offset_y_px) - static_cast<double>(problem.grid.mark_top_px());
          const double px =
              static_cast<double>(x * cell + offset.offset_x_px) - static_cast<double>(problem.grid.mark_left_px());
          const double turned = static_cast<double>(angle - 1) * 9.0;  // supports reach beyond the mark's rectangle
          bool inside = py >= -turned && py < static_cast<double>(options.mark_height_px) + turned && px >= turned &&
                        px < static_cast<double>(options.mark_width_px) + turned;
          const double cy = py - static_cast<double>(options.mark_height_px) / 2;
          const double cx = px - static_cast<double>(options.mark_width_px) / 2;
          if (options.shape == ProblemOptions::Shape::kDisk) inside = inside && cy * cy + cx * cx < 300;
          if (options.shape == ProblemOptions::Shape::kHoles) inside = inside && (y % 5 != 2 || x % 3 == 0);
          if (options.shape == ProblemOptions::Shape::kOnePixel) inside = std::abs(cy) < 2 && std::abs(cx) < 2;
          cells[y][x] = inside;
        }
      }
      problem.views.push_back(
          make_mark_view(angle, offset, at::relu(at::randn({options.channels, height, width})), support));
    }
  }
  problem.exemplars =
      at::relu(at::randn({options.exemplars, options.channels, options.frame_height, options.frame_width}));
  problem.channels = plain_channel_model(at::full({options.channels}, 0.5, at::kDouble));
  problem.channels.mean = problem.exemplars.to(at::kDouble).mean({0, 2, 3});
  problem.channels.deviation = problem.exemplars.to(at::kDouble).std({0, 2, 3}, false);
  problem.block = pack_block(problem.exemplars, at::zeros({options.channels}), options.border);
  return problem;
}

at::Tensor stored(const Problem& problem, std::int64_t exemplar) {
  const std::int64_t border = problem.frame.border;
  return problem.exemplars[exemplar]
      .slice(1, border, border + problem.frame.height)
      .slice(2, border, border + problem.frame.width)
      .contiguous();
}

class EveryKernel : public ::testing::TestWithParam<const SearchKernel*> {
 protected:
  static std::vector<BestPose> search(const Problem& problem) {
    const at::Tensor mean = subtracted_from_maps(problem.similarity, problem.channels);
    const at::Tensor block = mean.defined() ? problem.block - mean.view({-1, 1, 1, 1}) : problem.block;
    return testing::search_with(*GetParam(), problem.views, problem.terms(), std::span(&block, 1));
  }

  /// Same score; and the same pose, unless another pose is as good within the tolerance.
  static void expect_equals_naive(const Problem& problem, double tolerance = 1e-5) {
    const auto best = search(problem);
    for (std::int64_t n = 0; n < problem.exemplars.size(0); ++n) {
      const auto naive = naive_search(problem.views, stored(problem, n), problem.frame, problem.radius,
                                      problem.channels, problem.similarity);
      const BestPose& found = best[static_cast<std::size_t>(n)];
      if (std::isinf(naive.score)) {
        EXPECT_TRUE(std::isinf(found.score)) << "exemplar " << n;
        continue;
      }
      SCOPED_TRACE("exemplar " + std::to_string(n));
      testing::expect_near(*GetParam(), found, naive.score, naive.pose, tolerance);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, EveryKernel, ::testing::ValuesIn(testing::kernels_that_run_here()),
                         testing::name_of_kernel);

/// What only those for CPUs promise.
class EveryCpuKernel : public EveryKernel {};

INSTANTIATE_TEST_SUITE_P(Kernels, EveryCpuKernel, ::testing::ValuesIn(testing::kernels_that_run_here(true)),
                         testing::name_of_kernel);

TEST_P(EveryKernel, EqualsTheDefinitionForEverySupportAndStride) {
  for (const auto shape :
       {ProblemOptions::Shape::kRectangle, ProblemOptions::Shape::kDisk, ProblemOptions::Shape::kHoles}) {
    for (const std::int64_t stride : {1, 2, 4, 8})
      expect_equals_naive(make_problem({.stride_px = stride, .shape = shape}));
  }
}

TEST_P(EveryKernel, EqualsTheDefinitionWhereAMarkOverhangsAndSomeShiftsAreNoPoses) {
  for (const std::int64_t stride : {2, 4, 8}) {
    Problem problem = make_problem({.stride_px = stride, .overhang_px = 24});
    for (MarkView& view : problem.views) {
      const ViewOffset& offset = view.offset;
      view.is_pose = at::rand({offset.shifts_y, offset.shifts_x}) < 0.3;
      const std::int64_t step = offset.step_cells, radius = problem.radius;
      for (std::int64_t i = 0; i < offset.shifts_y; ++i) {  // where nothing is cut, there is a pose
        for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
          const std::int64_t y = view.origin_y - i * step, x = view.origin_x - j * step;
          if (y >= radius && x >= radius && y + view.support.size(0) <= 25 - radius &&
              x + view.support.size(1) <= 14 - radius) {
            view.is_pose[i][j] = true;
          }
        }
      }
    }
    for (const char* similarity : {"mu_c,sigma_c", "mu,sigma", "none,none"}) {
      problem.similarity = similarity_named(similarity);
      if (knows(*GetParam(), problem.similarity)) expect_equals_naive(problem);
    }
  }
}

TEST_P(EveryKernel, EqualsTheDefinitionForEveryNumberOfShifts) {
  for (std::int64_t height = 100; height >= 84; height -= 3) {
    for (const std::int64_t width : {56, 53, 50}) {
      expect_equals_naive(
          make_problem({.exemplars = 2, .mark_height_px = height, .mark_width_px = width, .angles = 2}));
    }
  }
}

TEST_P(EveryKernel, KeepsTheDigitsOfLongSums) {
  expect_equals_naive(make_problem({.channels = 1,
                                    .exemplars = 2,
                                    .cell_px = 1,
                                    .stride_px = 4,
                                    .frame_height = 130,
                                    .frame_width = 90,
                                    .mark_height_px = 121,
                                    .mark_width_px = 81,
                                    .angles = 1}));
}

TEST_P(EveryKernel, KeepsTheDigitsWhereNeighbouringShiftsShareProducts) {
  expect_equals_naive(make_problem({.channels = 2,
                                    .exemplars = 2,
                                    .cell_px = 1,
                                    .stride_px = 1,
                                    .frame_height = 90,
                                    .frame_width = 60,
                                    .mark_height_px = 81,
                                    .mark_width_px = 54,
                                    .angles = 1}));
}

TEST_P(EveryCpuKernel, GivesTheSameBitsForAnyNumberOfThreads) {
  const Problem problem = make_problem({});
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto alone = search(problem);
  for (const int count : {2, 3}) {
    omp_set_num_threads(count);
    const auto found = search(problem);
    for (std::size_t n = 0; n < 7; ++n) {
      EXPECT_EQ(found[n].score, alone[n].score);
      EXPECT_EQ(found[n].pose, alone[n].pose);
    }
  }
  omp_set_num_threads(threads);
}

TEST_P(EveryKernel, EqualsTheDefinitionForEverySimilarity) {
  for (const Similarity& similarity : known_similarities()) {
    SCOPED_TRACE(name_of(similarity));
    if (!knows(*GetParam(), similarity)) continue;
    for (const auto shape : {ProblemOptions::Shape::kRectangle, ProblemOptions::Shape::kHoles}) {
      for (const std::int64_t stride : {2, 4, 8}) {
        Problem problem = make_problem({.exemplars = 3, .stride_px = stride, .shape = shape});
        if (!similarity.is_distance) problem.channels.weight = at::tensor({0.1f, 0.3f, 0.2f, 0.15f, 0.25f});
        problem.similarity = similarity;
        expect_equals_naive(problem);
      }
    }
  }
}

TEST_P(EveryKernel, KeepsItsDigitsForEverySimilarityWhereAMapGoesBlank) {
  for (const Similarity& similarity : known_similarities()) {
    SCOPED_TRACE(name_of(similarity));
    if (!knows(*GetParam(), similarity)) continue;
    Problem problem = make_problem({.channels = 3, .exemplars = 2, .frame_height = 60, .mark_height_px = 40});
    problem.exemplars.slice(2, 12, 60).mul_(2e-3f);  // strong at the top, nearly dead below
    problem.block = pack_block(problem.exemplars, at::zeros({3}), problem.frame.border);
    problem.similarity = similarity;
    expect_equals_naive(problem);
  }
}

TEST_P(EveryKernel, ChannelsThatAreFlatOverTheDataSetAddNothingWhereItsDeviationScales) {
  Problem problem = make_problem({.exemplars = 2});
  problem.similarity = similarity_named("mu_c,sigma_bar_c");
  if (!knows(*GetParam(), problem.similarity)) GTEST_SKIP() << "this kernel does not know the similarity";
  problem.channels.deviation[3] = 1e-6;
  problem.channels.deviation[4] = 0.0;
  expect_equals_naive(problem);
}

TEST_P(EveryKernel, FindsTheDistanceOfAWindowFromItselfToBeZero) {
  Problem problem = make_problem({.exemplars = 2, .mark_height_px = 100, .mark_width_px = 56, .angles = 1});
  problem.similarity = similarity_named("euclidean");
  if (!knows(*GetParam(), problem.similarity)) GTEST_SKIP() << "this kernel does not know the similarity";
  problem.views.resize(1);
  MarkView& view = problem.views[0];
  view.features = problem.exemplars[1]
                      .slice(1, view.origin_y, view.origin_y + view.support.size(0))
                      .slice(2, view.origin_x, view.origin_x + view.support.size(1))
                      .contiguous();
  const auto best = search(problem);
  EXPECT_NEAR(best[1].score, 0, 1e-6);
  EXPECT_LT(best[0].score, -0.1);
}

TEST(Similarity, IsKnownByItsNames) {
  for (const Similarity& similarity : known_similarities())
    EXPECT_EQ(similarity_named(name_of(similarity)), similarity);
  EXPECT_EQ(known_similarities().size(), 16U);
  EXPECT_EQ(name_of(similarity_named("cosine")), "none,sigma");
  EXPECT_EQ(name_of(similarity_named("correlation")), "none,none");
  EXPECT_EQ(similarity_named("mcncc"), Similarity{});
}

TEST(Similarity, WithoutAMeaningIsRefusedByName) {
  for (const std::string name : {"mu,sigma_c", "mu,cosine", "euclidean,none", "mu", ""}) {
    try {
      similarity_named(name);
      ADD_FAILURE() << name;
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find("`similarity` " + name + ":"), std::string::npos) << error.what();
    }
  }
}

TEST(Similarity, OfADistanceTakesNoLearnedWeights) {
  ChannelModel channels = plain_channel_model(at::ones({3}, at::kDouble));
  EXPECT_NO_THROW(window_terms(similarity_named("euclidean"), channels));
  channels.weight = at::tensor({0.1f, 0.2f, 0.7f});
  EXPECT_THROW(window_terms(similarity_named("euclidean"), channels), UsageError);
}

TEST_P(EveryKernel, ComparesWhatTheExtractorGivesThoughMapsAreKeptWithoutWhitePaper) {
  Problem problem = make_problem({.exemplars = 2});
  const at::Tensor white = at::tensor({0.5f, -1.0f, 2.0f, 0.0f, 0.25f});
  Problem kept = problem;
  kept.channels.white = white;
  kept.channels.mean = problem.channels.mean - white;
  kept.block = pack_block(kept.exemplars, white, kept.frame.border);
  for (const Similarity& similarity : known_similarities()) {
    SCOPED_TRACE(name_of(similarity));
    if (!knows(*GetParam(), similarity)) continue;
    problem.similarity = kept.similarity = similarity;
    const auto expected = search(problem), found = search(kept);
    for (std::size_t n = 0; n < 2; ++n) {
      testing::expect_near(*GetParam(), found[n], expected[n].score, expected[n].pose, 1e-5);
    }
  }
}

TEST_P(EveryKernel, GivesAnExemplarWhoseMapsAreNotFiniteTheScoreNan) {
  const Problem problem = make_problem({});
  Problem broken = problem;
  broken.exemplars = problem.exemplars.clone();
  broken.exemplars[1][2][12][7] = std::numeric_limits<float>::quiet_NaN();
  broken.exemplars[3][4][2][2] = std::numeric_limits<float>::infinity();  // at the very edge of what is stored
  broken.exemplars[5][0].fill_(std::numeric_limits<float>::quiet_NaN());
  for (MarkView& view : broken.views) view.features[4].fill_(1.0f);  // flat: it would never look at that channel
  broken.block = pack_block(broken.exemplars, at::zeros({5}), broken.frame.border);
  Problem flat = broken;
  flat.block = problem.block;
  const auto expected = search(flat), found = search(broken);
  for (std::size_t n = 0; n < 7; ++n) {
    if (n == 1 || n == 3 || n == 5) {
      EXPECT_TRUE(std::isnan(found[n].score)) << "exemplar " << n;
      EXPECT_EQ(found[n].pose, Pose{}) << "exemplar " << n;
    } else {
      EXPECT_EQ(found[n].score, expected[n].score) << "exemplar " << n;
    }
  }
}

TEST(BestPose, KeepsThatAnExemplarCannotBeTold) {
  BestPose best;
  best.merge({0.5f, {0, 1, 1}});
  best.merge({std::numeric_limits<float>::quiet_NaN(), {}});
  best.merge({0.9f, {0, 2, 2}});
  EXPECT_TRUE(std::isnan(best.score));
}

TEST_P(EveryKernel, EqualsTheDefinitionForARectangle) { expect_equals_naive(make_problem({})); }

TEST_P(EveryKernel, EqualsTheDefinitionForARoundSupport) {
  expect_equals_naive(make_problem({.shape = ProblemOptions::Shape::kDisk}));
}

TEST_P(EveryKernel, EqualsTheDefinitionForASupportWithHoles) {
  expect_equals_naive(make_problem({.shape = ProblemOptions::Shape::kHoles}));
}

TEST_P(EveryKernel, EqualsTheDefinitionWhenErosionIsWiderThanTheIndexBorder) {
  expect_equals_naive(make_problem({.border = 1, .radius = 3}));
}

TEST_P(EveryKernel, EqualsTheDefinitionForEveryStride) {
  for (const std::int64_t stride : {1, 4, 8}) expect_equals_naive(make_problem({.stride_px = stride}, 3));
}

TEST_P(EveryKernel, EqualsTheDefinitionForPixelFeatures) {
  expect_equals_naive(make_problem({.channels = 1,
                                    .cell_px = 1,
                                    .stride_px = 2,
                                    .frame_height = 40,
                                    .frame_width = 30,
                                    .mark_height_px = 25,
                                    .mark_width_px = 17}));
}

TEST_P(EveryKernel, EqualsTheDefinitionForAMarkAsLargeAsTheFrame) {
  expect_equals_naive(make_problem({.mark_height_px = 100, .mark_width_px = 56}));
  expect_equals_naive(make_problem({.mark_height_px = 99, .mark_width_px = 54}));
}

TEST_P(EveryKernel, GivesOnePixelOfSupportTheScoreZero) {
  const Problem problem = make_problem({.angles = 1, .shape = ProblemOptions::Shape::kOnePixel});
  for (std::int64_t n = 0; n < problem.exemplars.size(0); ++n) EXPECT_EQ(search(problem)[n].score, 0.0f);
}

TEST_P(EveryKernel, NeverChoosesAnEmptySupport) {
  Problem problem = make_problem({});
  for (MarkView& view : problem.views) view.support.zero_();
  for (const BestPose& best : search(problem)) EXPECT_TRUE(std::isinf(best.score));
}

TEST_P(EveryKernel, IgnoresFlatChannels) {
  Problem problem = make_problem({});
  problem.exemplars.select(1, 2).fill_(3.25f);
  for (MarkView& view : problem.views) view.features[1].fill_(7.0f);
  problem.block = pack_block(problem.exemplars, at::zeros({5}), problem.frame.border);
  expect_equals_naive(problem);
}

TEST_P(EveryKernel, KeepsItsDigitsInNearDeadChannels) {
  Problem problem = make_problem({.channels = 3, .frame_height = 60, .mark_height_px = 40});
  problem.exemplars.select(1, 0).mul_(1e-3f).add_(1.0f);        // small contrast on a large constant
  problem.exemplars.select(1, 1).slice(1, 10, 60).mul_(2e-3f);  // strong at the top, nearly dead below
  problem.block = pack_block(problem.exemplars, at::zeros({3}), problem.frame.border);
  expect_equals_naive(problem);
}

TEST_P(EveryKernel, IsInvariantToPerChannelGainAndOffset) {
  Problem problem = make_problem({});
  const auto before = search(problem);
  const at::Tensor gain = at::rand({5, 1, 1}) + 0.5, offset = at::randn({5, 1, 1});
  for (MarkView& view : problem.views) view.features = (view.features * gain + offset).contiguous();
  const auto after = search(problem);
  for (std::size_t n = 0; n < 7; ++n) {
    testing::expect_near(*GetParam(), after[n], before[n].score, before[n].pose, 1e-5);
  }
}

TEST_P(EveryKernel, GivesTheEarlierPoseOnATie) {
  // Stripes two cells wide: moving by two cells along x, or by any along y, changes nothing.
  Problem problem = make_problem({.exemplars = 1, .stride_px = 4, .angles = 1});
  problem.exemplars.copy_((at::arange(14) % 2).view({1, 1, 1, 14}).expand_as(problem.exemplars));
  for (MarkView& view : problem.views) {
    const auto x = (at::arange(view.features.size(2)) + view.origin_x - problem.frame.border) % 2;
    view.features = x.to(at::kFloat).view({1, 1, -1}).expand_as(view.features).contiguous();
  }
  problem.block = pack_block(problem.exemplars, at::zeros({5}), problem.frame.border);
  const BestPose found = search(problem)[0];
  testing::expect_near(*GetParam(), found, 1.0, Pose{0, 0, 0}, 1e-5);
}

TEST_P(EveryCpuKernel, DoesNotDependOnTheNeighboursInABlock) {
  const Problem problem = make_problem({.exemplars = 32});
  const auto together = search(problem);
  for (const std::int64_t n : {0, 13, 31}) {
    Problem alone = problem;
    alone.exemplars = at::zeros_like(problem.exemplars);
    alone.exemplars[n % 5].copy_(problem.exemplars[n]);
    alone.block = pack_block(alone.exemplars, at::zeros({5}), problem.frame.border);
    EXPECT_EQ(search(alone)[static_cast<std::size_t>(n % 5)].score, together[static_cast<std::size_t>(n)].score);
  }
}

TEST_P(EveryKernel, CountsUsefulFlopsByTheDefinition) {
  const Problem problem = make_problem({.angles = 1, .shape = ProblemOptions::Shape::kOnePixel});
  const ReadyMark mark = GetParam()->make_ready(problem.views, problem.terms(), {testing::device_for(*GetParam())});
  double cells = 0;
  for (const MarkView& view : problem.views) {
    cells += static_cast<double>(view.support.sum().item<std::int64_t>() * view.offset.shifts_y * view.offset.shifts_x);
  }
  EXPECT_DOUBLE_EQ(mark.useful_flops_per_exemplar, 2 * 5 * cells);
}

/// The most memory that tensors of this thread took at once.
class TensorMemory : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t bytes, std::int64_t, std::int64_t, c10::Device) { add(bytes); }
  void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) { add(bytes); }
  bool memoryProfilingEnabled() const override { return true; }
  std::int64_t most() const { return most_; }

 private:
  void add(std::int64_t bytes) {
    now_ += bytes;
    most_ = std::max(most_, now_);
  }
  std::int64_t now_ = 0, most_ = 0;
};

TEST_P(EveryCpuKernel, TakesNoMoreMemoryThanIsPlanned) {
  const auto expect_planned = [&](const ProblemOptions& options, Similarity similarity = {}) {
    Problem problem = make_problem(options);
    problem.similarity = similarity;
    const ReadyMark mark = GetParam()->make_ready(problem.views, problem.terms(), {});
    const auto memory = std::make_shared<TensorMemory>();
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
      std::vector<BestPose> best(kLanes);
      mark.search(std::span(&problem.block, 1), best);
    }
    const std::int64_t planned =
        GetParam()->working_bytes(problem.frame, options.channels, options.stride_px, 1, similarity, {});
    EXPECT_GT(memory->most(), 0);
    EXPECT_LE(memory->most(), planned) << "stride " << options.stride_px;
    return static_cast<double>(planned) / static_cast<double>(memory->most());
  };
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  ProblemOptions pixels = {.channels = 1,
                           .exemplars = 2,
                           .cell_px = 1,
                           .stride_px = 100,
                           .frame_height = 200,
                           .frame_width = 100,
                           .mark_height_px = 90,
                           .mark_width_px = 60,
                           .angles = 1};
  EXPECT_LT(expect_planned(pixels), 2);  // far shifts: planes with wide borders
  pixels.stride_px = 2;
  expect_planned(pixels);
  pixels.stride_px = 1;
  expect_planned(pixels);
  pixels.mark_height_px = pixels.mark_width_px = 20;  // many poses, so many scores
  expect_planned(pixels);
  expect_planned(pixels, {Centring::kMu, Scaling::kSigma});
  expect_planned({.stride_px = 2, .shape = ProblemOptions::Shape::kHoles});
  omp_set_num_threads(threads);
}

TEST(PoseGrid, HasAsManyPosesAsItsViewsHaveShifts) {
  for (const std::int64_t stride : {1, 2, 4, 8}) {
    for (const std::int64_t mark_height : {100, 99, 98, 97, 50}) {
      const PoseGrid grid = {{0.0, 4.0}, stride, 100, 60, mark_height, 37};
      std::int64_t shifts = 0;
      for (const ViewOffset& offset : view_offsets(grid, 4)) shifts += offset.shifts_y * offset.shifts_x;
      EXPECT_EQ(shifts * 2, grid.size());
    }
  }
  EXPECT_THROW(view_offsets({{0.0}, 3, 100, 60, 50, 30}, 4), UsageError);
}

TEST(Support, ErosionByADiskTreatsOutsideAsEmpty) {
  const at::Tensor full = at::ones({9, 9}, at::kBool);
  EXPECT_EQ(eroded(full, 3).sum().item<std::int64_t>(), 9);
  at::Tensor hole = at::ones({11, 11}, at::kBool);
  hole[5][5] = false;
  const at::Tensor result = eroded(hole, 2);
  EXPECT_FALSE(result[5][3].item<bool>());
  EXPECT_FALSE(result[4][4].item<bool>());
  EXPECT_TRUE(result[3][3].item<bool>());  // (2, 2) is outside of a disk of radius 2
  EXPECT_EQ(erosion_radius_cells(73, 34, 0.1), 3);
  EXPECT_EQ(erosion_radius_cells(5, 5, 0.1), 1);
}

TEST(Support, IsSampledAtTheCentresOfCells) {
  at::Tensor mask = at::zeros({20, 20}, at::kBool);
  mask[6][10] = true;
  const at::Tensor cells = support_on_cells(mask, 5, 5, 4, 4);
  EXPECT_EQ(cells.sum().item<std::int64_t>(), 1);
  EXPECT_TRUE(cells[1][2].item<bool>());
}

TEST(Support, NeedsAllPixelsAroundACentreThatLiesBetweenThem) {
  at::Tensor mask = at::zeros({20, 20}, at::kBool);
  mask.slice(0, 5, 7).slice(1, 9, 11).fill_(true);  // around the centre 1.5 + 4 k, 1.5 + 4 l of cell (1, 2)
  const at::Tensor cells = support_on_cells(mask, 5, 5, 4, 3);
  EXPECT_EQ(cells.sum().item<std::int64_t>(), 1);
  EXPECT_TRUE(cells[1][2].item<bool>());
  mask[5][10] = false;
  EXPECT_FALSE(support_on_cells(mask, 5, 5, 4, 3).any().item<bool>());
  mask.fill_(true);
  EXPECT_TRUE(support_on_cells(mask, 5, 5, 4, 3).all().item<bool>());
  EXPECT_EQ(support_on_cells(mask, 6, 6, 4, 3).sum().item<std::int64_t>(), 25);  // the sixth row lies outside
}

}  // namespace
}  // namespace outsole::match
