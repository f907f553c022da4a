#include "retrieval/folds.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "../message_of.h"
#include "../temporary_folder.h"
#include "core/errors.h"

namespace outsole::retrieval {
namespace {

using outsole::testing::message_of;
using ExemplarGroups = testing::TemporaryFolder;

/// Exemplars 0 to 19; 3, 4 and 5 show the same tread, and so do 10 and 11.
std::vector<std::int64_t> some_groups() {
  std::vector<std::int64_t> groups;
  for (std::int64_t exemplar = 0; exemplar < 20; ++exemplar) groups.push_back(exemplar);
  groups[4] = groups[5] = 3;
  groups[11] = 10;
  return groups;
}

TEST(Folds, ShareNoMarkNoExemplarAndNoGroup) {
  // Exemplar 7 left three marks; one mark has two true exemplars, so that their groups stay together.
  const std::vector<std::vector<std::int64_t>> truth = {{3},      {4},  {5}, {7}, {7},  {7},
                                                        {10, 15}, {11}, {1}, {2}, {15}, {16}};
  const std::vector<std::int64_t> groups = some_groups();
  const Folds folds = make_folds(3, truth, groups);
  for (std::size_t mark = 0; mark < truth.size(); ++mark) {
    for (const std::int64_t exemplar : truth[mark]) {
      EXPECT_EQ(folds.of_exemplar[static_cast<std::size_t>(exemplar)], folds.of_mark[mark]) << mark;
    }
  }
  EXPECT_EQ(folds.of_exemplar[3], folds.of_exemplar[4]);
  EXPECT_EQ(folds.of_exemplar[3], folds.of_exemplar[5]);
  EXPECT_EQ(folds.of_exemplar[10], folds.of_exemplar[11]);
  EXPECT_EQ(folds.of_exemplar[10], folds.of_exemplar[15]);
  for (std::int32_t fold = 0; fold < 3; ++fold) {
    EXPECT_EQ(std::ranges::count(folds.of_mark, fold), 4);
    EXPECT_GE(std::ranges::count(folds.of_exemplar, fold), 5);
    EXPECT_FALSE(folds.may_learn(folds.of_mark[0], 0, 19));
    EXPECT_EQ(folds.may_learn(fold, 0, 3), folds.of_mark[0] != fold);
  }
  EXPECT_FALSE(folds.may_learn(folds.of_exemplar[7], 0, 7)) << "not as a wrong exemplar, either";
}

TEST(Folds, ExemplarsOfEqualPixelsJoinTheirGroups) {
  // 2 and 6 are of the same pixels as 0 and 4; 4 and 5 of one tread.
  const std::vector<std::int64_t> groups = {0, 1, 2, 3, 4, 4, 6, 7};
  const std::vector<std::int32_t> equal_to = {0, 1, 0, 3, 4, 5, 4, 7};
  EXPECT_EQ(joined_by_equals(groups, equal_to), (std::vector<std::int64_t>{0, 1, 0, 3, 4, 4, 4, 7}));
  EXPECT_EQ(joined_by_equals(groups, {}), groups) << "of an index that does not tell";
  // Groups whose number is not that of their first exemplar.
  EXPECT_EQ(joined_by_equals({3, 1, 2, 3, 2}, std::vector<std::int32_t>{0, 1, 2, 3, 0}),
            (std::vector<std::int64_t>{2, 1, 2, 2, 2}));
}

TEST(Folds, EqualPixelsAreNeverOnBothSides) {
  std::vector<std::vector<std::int64_t>> truth;
  std::vector<std::int64_t> groups;
  std::vector<std::int32_t> equal_to;
  for (std::int32_t exemplar = 0; exemplar < 24; ++exemplar) {
    truth.push_back({exemplar});
    groups.push_back(exemplar);
    equal_to.push_back(exemplar == 14 || exemplar == 20 ? 5 : exemplar);
  }
  const auto parted = make_folds(4, truth, groups);
  EXPECT_NE(parted.of_exemplar[5], parted.of_exemplar[20]) << "unless they are known to be equal";
  const Folds folds = make_folds(4, truth, joined_by_equals(groups, equal_to));
  for (const std::size_t copy : {14, 20}) {
    EXPECT_EQ(folds.of_exemplar[copy], folds.of_exemplar[5]);
    EXPECT_EQ(folds.of_mark[copy], folds.of_mark[5]);
  }
}

TEST(Folds, OneKeepsNothingApart) {
  const Folds folds = make_folds(1, {{0}}, {0, 1});
  EXPECT_TRUE(folds.may_learn(0, 0, 1));
}

TEST(Folds, OfASingleMarkAreRefusedWithAReason) {
  const std::string message = message_of<UsageError>([] { make_folds(2, {{0}, {1}, {1}}, {0, 1, 2}); });
  EXPECT_NE(message.find("a single mark, which would judge a metric by one hit or miss"), std::string::npos) << message;
  EXPECT_NE(message_of<UsageError>([] { make_folds(2, {{0}, {0}}, {0, 1}); }).find("no mark"), std::string::npos);
}

TEST_F(ExemplarGroups, AreNumberedByTheirFirstExemplar) {
  write("groups.csv", "exemplar,group\n3,a\n2,b\n1,a\n");
  EXPECT_EQ(read_exemplar_groups(folder_ / "groups.csv", {"0001", "0002", "0003", "0004"}),
            (std::vector<std::int64_t>{2, 1, 2, 3}));
}

TEST_F(ExemplarGroups, NameTheLineOfAnExemplarThatIsNotThere) {
  write("groups.csv", "exemplar,group\n1,a\n9,a\n");
  const std::string message = message_of<DataError>([&] {
    read_exemplar_groups(folder_ / "groups.csv", {"0001", "0002"});
  });
  EXPECT_NE(message.find("groups.csv, line 3: exemplar '9' is not in the index"), std::string::npos) << message;
}

}  // namespace
}  // namespace outsole::retrieval
