#include "retrieval/relevance.h"

#include <gmock/gmock.h>

#include "core/errors.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using ::testing::HasSubstr;

/// Exemplars of which one is mirrored, marks cut from them.
class RelevanceOfResults : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    exemplars_ = synthetic_exemplars(6, 120, 64);
    ingest(exemplars_);
    write_mark("cut", {exemplars_[2].image(cv::Rect(6, 10, 40, 70)).clone(), {}});
    cv::Mat1b mask(70, 40, std::uint8_t{0});
    mask(cv::Rect(0, 5, 40, 60)) = 255;
    write_mark("masked", {exemplars_[3].image(cv::Rect(10, 30, 40, 70)).clone(), mask});
  }

  /// Expects each listed score from the terms of the pair at its pose, on root.
  void expect_scores_again(const SearchOptions& options, const std::string& name) const {
    search(comm_, options);
    on_root([&] {
      const OpenIndex index = open_index(store::Store(options.indexes.front(), kIndexSchema), "", at::kCPU);
      const ingest::ExemplarStore exemplars(folder_ / "exemplars.h5");
      for (const Candidate& candidate : read_candidates(options.csv)) {
        const image::MarkPose pose = {candidate.angle_deg, candidate.y_px, candidate.x_px, candidate.scale,
                                      candidate.mirrored};
        const ScaledMark mark =
            read_scaled_mark(folder_ / "marks" / (candidate.mark + ".png"), index.parameters, options.protocol);
        const PosedPair pair =
            posed_pair(mark, exemplars.record(std::stol(candidate.exemplar)), index, options.protocol, pose);
        const Relevance found =
            relevance_of(pair, *index.extractor, index.parameters, index.channels, options.protocol.similarity);
        EXPECT_NEAR(found.score, candidate.score, 2e-5 * std::max(1.0, std::abs(candidate.score)))
            << name << ' ' << candidate.mark << " on " << candidate.exemplar;
        EXPECT_GE(found.positive, found.score);
        EXPECT_GT(found.mark.max().item<float>(), 0);
        EXPECT_EQ(found.mark.sizes(), found.exemplar.sizes());
      }
    });
  }

  std::vector<NaiveExemplar> exemplars_;
};

TEST_F(RelevanceOfResults, GivesTheScoresOfTheSearchAgain) {
  build_index(comm_, index_options({"scattering"}));
  SearchOptions options = search_options();
  options.protocol.angles_deg = {-8, 0, 8};
  options.top = 6;
  for (const char* similarity : {"mu_c,sigma_c", "none,none", "mu_bar_c,sigma"}) {
    options.protocol.similarity = match::similarity_named(similarity);
    options.output = folder_ / (std::string(similarity) + ".h5");
    expect_scores_again(options, similarity);
  }
  options.protocol.as_they_lie = true;
  options.output = folder_ / "as_they_lie.h5";
  expect_scores_again(options, "as they lie");
}

TEST_F(RelevanceOfResults, RefusesAPoseThatTheSearchCouldNotHaveFound) {
  build_index(comm_, index_options({"scattering"}));
  on_root([&] {
    const OpenIndex index = open_index(store::Store(folder_ / "index.h5", kIndexSchema), "", at::kCPU);
    const ScaledMark mark = read_scaled_mark(folder_ / "marks" / "cut.png", index.parameters, {});
    for (const image::MarkPose& pose : {image::MarkPose{0, -400, 30}, image::MarkPose{0, 51, 30}}) {
      try {
        posed_mark(mark, {64, false}, index, {}, pose);
        ADD_FAILURE() << "no refusal";
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("'cut'"));
      }
    }
  });
}

/// A pair in double precision, smaller than any of a search.
TEST(RelevanceGradientOnOneRank, IsThatOfFiniteDifferences) {
  at::manual_seed(9);
  IndexParameters index;
  const auto extractor = features::make_extractor({"scattering"});
  index.geometry = extractor->geometry();
  index.search_height_px = 30;
  index.search_width_px = 26;
  index.map_height = extractor->map_length(30);
  index.map_width = extractor->map_length(26);
  PosedPair pair;
  pair.row = 1;
  pair.column = 2;
  pair.mark_image = at::rand({30 + 7, 26 + 9}, at::kDouble) * 255;
  pair.exemplar_image = at::rand({30, 26}, at::kDouble) * 255;
  pair.support = at::rand({index.map_height, index.map_width}) > 0.2;
  const match::ChannelModel channels = match::plain_channel_model(at::full({81}, 25.0, at::kDouble));
  for (const char* name : {"none,none", "mu_c,sigma_c"}) {
    const match::Similarity similarity = match::similarity_named(name);
    const auto positive = [&](const PosedPair& moved) {
      return relevance_of(moved, *extractor, index, channels, similarity).positive;
    };
    const Relevance found = relevance_of(pair, *extractor, index, channels, similarity);
    for (const bool of_mark : {true, false}) {
      const at::Tensor& gradient = of_mark ? found.mark : found.exemplar;
      double most = 0, error = 0;
      constexpr double kStep = 2e-6;  // seldom crosses a kink
      for (std::int64_t y = 1; y < 30; y += 14) {
        for (std::int64_t x = 2; x < 26; x += 11) {
          const auto moved = [&](double by) {
            PosedPair other = pair;
            at::Tensor& image = of_mark ? other.mark_image : other.exemplar_image;
            image = image.clone();
            (of_mark ? on_frame(image, pair, index) : image)[y][x] += by;
            return positive(other);
          };
          const double expected = std::abs(moved(kStep) - moved(-kStep)) / (2 * kStep);
          most = std::max(most, expected);
          error = std::max(error, std::abs(expected - gradient[y][x].item<double>()));
        }
      }
      EXPECT_LT(error, 1e-5 * most) << name << (of_mark ? ", mark" : ", exemplar");
    }
  }
}

TEST(MostRelevantOnOneRank, IsAShareOfThePixelsUnderTheMark) {
  at::Tensor gradient = at::arange(100, at::kFloat).view({10, 10});
  at::Tensor under = at::zeros({10, 10}, at::kBool);
  under.slice(0, 0, 5).fill_(true);
  const at::Tensor relevant = most_relevant(gradient, under, 0.2);
  EXPECT_EQ(relevant.sum().item<std::int64_t>(), 10);
  EXPECT_TRUE(relevant[4].all().item<bool>());
  EXPECT_FALSE(most_relevant(gradient.zero_(), under, 0.2).any().item<bool>());
}

}  // namespace
}  // namespace outsole::retrieval::testing
