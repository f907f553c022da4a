#include "learn/schedule.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace outsole::learn {
namespace {

TEST(Schedule, OfAConstantIsTheWholeRateAlways) {
  for (const std::int64_t step : {0, 1, 999, 5000}) EXPECT_EQ(learning_rate_share(Schedule::kConstant, step, 1000), 1);
}

TEST(Schedule, OfACosineRisesFirstThenFallsToNothing) {
  constexpr std::int64_t kAllSteps = 1000, kRising = 50;
  const auto share = [](std::int64_t step) { return learning_rate_share(Schedule::kCosine, step, kAllSteps); };
  EXPECT_NEAR(share(0), 1.0 / kRising, 1e-12);
  EXPECT_NEAR(share(kAllSteps / 2), 0.5, 1e-12);
  for (std::int64_t step = 1; step < kRising; ++step) EXPECT_GT(share(step), share(step - 1));
  for (std::int64_t step = kRising; step < kAllSteps; ++step) EXPECT_LT(share(step), share(step - 1));
  EXPECT_GT(share(kAllSteps - 1), 0);
  EXPECT_LT(share(kAllSteps - 1), 1e-5);
}

TEST(Schedule, OfOneStepTakesIt) { EXPECT_EQ(learning_rate_share(Schedule::kCosine, 0, 1), 1); }

TEST(Schedule, OfAnotherNameIsRefusedNamingThose) {
  EXPECT_EQ(parse_schedule("cosine"), Schedule::kCosine);
  EXPECT_THROW(parse_schedule("linear"), UsageError);
}

}  // namespace
}  // namespace outsole::learn
