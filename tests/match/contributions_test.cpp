#include "match/contributions.h"

#include <gtest/gtest.h>

#include "core/errors.h"
#include "match/naive_search.h"

namespace outsole::match {
namespace {

constexpr std::int64_t kChannels = 5, kHeight = 9, kWidth = 7;

struct Pair {
  at::Tensor x, y, support;
  ChannelModel channels;
};

/// Maps of which one channel is flat on one side, a support with holes, and weights.
Pair make_pair() {
  at::manual_seed(3);
  Pair pair;
  pair.x = at::relu(at::randn({kChannels, kHeight, kWidth}));
  pair.y = at::relu(at::randn({kChannels, kHeight, kWidth}));
  pair.y[2].fill_(0.7);
  pair.support = at::rand({kHeight, kWidth}) > 0.3;
  pair.channels = plain_channel_model(at::full({kChannels}, 0.5, at::kDouble));
  pair.channels.weight = at::tensor({0.1f, 0.3f, 0.2f, 0.15f, 0.25f});
  pair.channels.mean = at::tensor({0.4, 0.3, 0.5, 0.45, 0.35}, at::kDouble);
  pair.channels.deviation = at::tensor({1.4, 1.3, 1.5, 1.45, 1.35}, at::kDouble);
  return pair;
}

TEST(Contributions, AddUpToTheScoreOfEverySimilarity) {
  Pair pair = make_pair();
  const MarkView view = {0, {}, 0, 0, pair.x, pair.support};
  for (const bool is_kept_without_white : {false, true}) {
    for (const Similarity& similarity : known_similarities()) {
      if (similarity.is_distance) continue;
      const double expected = testing::naive_score(view, pair.y, 0, 0, 0, pair.channels, similarity);
      ChannelModel channels = pair.channels;
      if (is_kept_without_white) {
        channels.white = at::tensor({0.5f, -1.0f, 2.0f, 0.0f, 0.25f});
        channels.mean = pair.channels.mean - channels.white;
      }
      const at::Tensor terms =
          contributions(pair.x.to(at::kDouble), pair.y.to(at::kDouble), pair.support, channels, similarity);
      EXPECT_EQ(terms.sizes(), pair.x.sizes());
      EXPECT_NEAR(terms.sum().item<double>(), expected, 1e-6) << name_of(similarity);
      EXPECT_EQ(terms.masked_select(pair.support.logical_not()).abs().sum().item<double>(), 0);
    }
  }
}

TEST(Contributions, HaveFiniteGradientsWhereAChannelIsFlat) {
  const Pair pair = make_pair();
  for (const Similarity& similarity : known_similarities()) {
    if (similarity.is_distance) continue;
    const at::Tensor x = pair.x.clone().requires_grad_(true), y = pair.y.clone().requires_grad_(true);
    contributions(x, y, pair.support, pair.channels, similarity).relu().sum().backward();
    EXPECT_TRUE(at::isfinite(x.grad()).all().item<bool>()) << name_of(similarity);
    EXPECT_TRUE(at::isfinite(y.grad()).all().item<bool>()) << name_of(similarity);
  }
}

TEST(Contributions, OfADistanceDoNotExist) {
  const Pair pair = make_pair();
  EXPECT_THROW(contributions(pair.x, pair.y, pair.support, pair.channels, similarity_named("euclidean")), UsageError);
}

}  // namespace
}  // namespace outsole::match
