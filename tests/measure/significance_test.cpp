#include "measure/significance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/errors.h"

namespace outsole::measure {
namespace {

TEST(McNemar, EqualsTheBinomialTailByHand) {
  EXPECT_NEAR(mcnemar_p_value(0, 5), 2.0 / 32, 1e-15);  // one split of 32 on either side
  EXPECT_NEAR(mcnemar_p_value(1, 5), 2.0 * (1 + 6) / 64, 1e-15);
  EXPECT_NEAR(mcnemar_p_value(2, 8), 2.0 * (1 + 10 + 45) / 1024, 1e-14);
  EXPECT_EQ(mcnemar_p_value(8, 2), mcnemar_p_value(2, 8));
}

TEST(McNemar, IsOneWithoutADifference) {
  EXPECT_EQ(mcnemar_p_value(0, 0), 1);
  EXPECT_EQ(mcnemar_p_value(4, 4), 1);
  EXPECT_EQ(mcnemar_p_value(0, 1), 1);
}

TEST(McNemar, HoldsManyMarks) {
  EXPECT_EQ(mcnemar_p_value(5000, 5000), 1);
  EXPECT_LT(mcnemar_p_value(4000, 6000), 1e-80);
  // 4900 of 10000: 2.0 standard deviations from the middle, continuity corrected 1.99: p = 0.0466.
  EXPECT_NEAR(mcnemar_p_value(4900, 5100), 0.0466, 5e-4);
}

/// Every choice of signs.
double exhaustive_p_value(const std::vector<double>& differences) {
  double observed = 0;
  for (const double difference : differences) observed += difference;
  const std::uint32_t choices = 1U << differences.size();
  int hits = 0;
  for (std::uint32_t signs = 0; signs < choices; ++signs) {
    double sum = 0;
    for (std::size_t i = 0; i < differences.size(); ++i)
      sum += (signs >> i & 1) != 0 ? -differences[i] : differences[i];
    if (std::abs(sum) >= std::abs(observed) - 1e-12) ++hits;
  }
  return static_cast<double>(hits) / choices;
}

TEST(SignFlip, ComesNearToAllSigns) {
  const std::vector<std::vector<double>> samples = {{0.5, 0.25, 0.25, 1, 0.75, -0.25},
                                                    {0.1, -0.2, 0.3, -0.4, 0.5, 0.6, 0.7},
                                                    {1, 1, 1, 1, 1, 1, 1, 1},
                                                    {1, -1, 0, 0, 2, -2}};
  for (const auto& differences : samples) {
    EXPECT_NEAR(sign_flip_p_value(differences, 100000, 1), exhaustive_p_value(differences), 0.005);
  }
}

TEST(SignFlip, CountsTheTrueSignsAsOne) {
  const std::vector<double> clear(64, 0.5);  // no random choice of signs is as extreme
  EXPECT_DOUBLE_EQ(sign_flip_p_value(clear, 999, 1), 0.001);
}

TEST(SignFlip, IsOneWithoutADifference) {
  EXPECT_EQ(sign_flip_p_value({}, 10, 1), 1);
  EXPECT_EQ(sign_flip_p_value(std::vector<double>{0, 0, 0}, 10, 1), 1);
}

TEST(SignFlip, GivesTheSameNumberForASeed) {
  const std::vector<double> differences = {0.5, 0.1, -0.3, 0.2, 0.4};
  EXPECT_EQ(sign_flip_p_value(differences, 9999, 7), sign_flip_p_value(differences, 9999, 7));
  EXPECT_DOUBLE_EQ(sign_flip_p_value(differences, 9, 1) * 10, std::round(sign_flip_p_value(differences, 9, 1) * 10));
  EXPECT_THROW(sign_flip_p_value(differences, 0, 1), Bug);
}

}  // namespace
}  // namespace outsole::measure
