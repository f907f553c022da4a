#include "retrieval/calibrate_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/errors.h"
#include "core/split_mix.h"
#include "retrieval/score_meaning.h"

namespace outsole::retrieval {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using ::testing::HasSubstr;

constexpr std::int64_t kDatabase = 120;

double noise(std::uint64_t& state) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<double>(split_mix(state) >> 11) * 0x1p-53;
  return sum;
}

/// Marks whose true exemplar scores `lift` standard deviations more than others; mark i is of exemplar i % 30.
class CalibrateScores : public ::testing::Test {
 protected:
  CalibrateScores() : folder_(fs::temp_directory_path() / ("outsole_calibrate_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~CalibrateScores() override { fs::remove_all(folder_); }

  static std::vector<float> scores_of(std::int64_t marks, double lift) {
    std::vector<float> scores;
    std::uint64_t state = 11;
    for (std::int64_t mark = 0; mark < marks; ++mark) {
      const double level = 0.05 + 0.01 * static_cast<double>(mark % 7),
                   spread = 0.01 + 0.002 * static_cast<double>(mark % 3);
      for (std::int64_t exemplar = 0; exemplar < kDatabase; ++exemplar) {
        const double score = noise(state) + (exemplar == mark % 30 ? lift : 0);
        scores.push_back(static_cast<float>(level + spread * score));
      }
    }
    return scores;
  }

  store::Store write_results(std::int64_t marks, const std::vector<float>& scores, bool with_scores = true) const {
    std::vector<std::string> mark_ids, ids;
    for (std::int64_t mark = 0; mark < marks; ++mark) mark_ids.push_back("m" + std::to_string(mark));
    for (std::int64_t exemplar = 0; exemplar < kDatabase; ++exemplar) ids.push_back("e" + std::to_string(exemplar));
    const auto count = static_cast<std::size_t>(marks);
    const std::vector<double> zeros(count, 0);
    store::Columns columns{{"mark_id", {{marks}, mark_ids, {}}},
                           {"mark_sha256", {{marks}, std::vector<std::string>(count, std::string(64, 'a')), {}}},
                           {"scale", {{marks}, std::vector<double>(count, 1), {}}},
                           {"top_exemplar", {{marks, 1}, std::vector<std::int32_t>(count, 0), {}}},
                           {"top_score", {{marks, 1}, std::vector<float>(count, 0), {}}},
                           {"top_angle_deg", {{marks, 1}, zeros, {}}},
                           {"top_y_px", {{marks, 1}, zeros, {}}},
                           {"top_x_px", {{marks, 1}, zeros, {}}},
                           {"top_mirrored", {{marks, 1}, std::vector<std::uint8_t>(count, 0), {}}}};
    if (with_scores) columns["score"] = {{marks, kDatabase}, scores, {}};
    const fs::path path = folder_ / ("results" + std::to_string(marks) + (with_scores ? "" : "top") + ".h5");
    store::StoreWriter writer(path, {"outsole.results", 1, {{"top", 1}, {"similarity", "mu_c,sigma_c"}}}, 1, true);
    writer.write_unit(0, columns);
    writer.finish({{"exemplar_id", {{kDatabase}, ids, {}}}});
    return store::Store(path, "outsole.results");
  }

  static Truth truth_of(std::int64_t marks) {
    Truth truth;
    for (std::int64_t mark = 0; mark < marks; ++mark) truth.exemplars.push_back({mark % 30});
    truth.groups.resize(truth.exemplars.size());
    truth.excluded.resize(truth.exemplars.size());
    return truth;
  }

  fs::path write(const std::string& text) const {
    const fs::path path = folder_ / "evaluation.json";
    std::ofstream(path) << text;
    return path;
  }

  fs::path folder_;
};

TEST_F(CalibrateScores, FindsTheRatioOfScoresOfKnownDistribution) {
  const std::vector<float> scores = scores_of(60, 3);
  const ordered_json c = calibrate_scores(write_results(60, scores), truth_of(60), {});
  // ln LR = 3 z - 4.5, drawn towards 0 by the few marks.
  EXPECT_NEAR(c["log10_lr"]["slope"].get<double>() * std::log(10), 3, 1);
  EXPECT_LT(c["cllr_min"].get<double>(), c["cllr"].get<double>());
  EXPECT_LT(c["cllr"].get<double>(), 0.5);
  EXPECT_EQ(c["marks"], 60);
  EXPECT_EQ(c["treads"], 30);
  EXPECT_EQ(c["folds"], 10);
  EXPECT_LT(c["bounds"]["most_log10_lr"].get<double>(), std::log10(kDatabase));
  EXPECT_GT(c["bounds"]["most_log10_lr"].get<double>(), 1);
  EXPECT_GE(c["bounds"]["least_log10_lr"].get<double>(), -std::log10(61));

  const ScoreCalibration read = read_calibration(write(ordered_json{{"calibration", c}}.dump()));
  EXPECT_EQ(read.slope, c["log10_lr"]["slope"].get<double>());
  const ScoreLevel level = level_of(std::span(scores).first(kDatabase));
  const auto meaning_at = [&](double z) { return meaning_of(read, level.median + z * level.spread, level); };
  EXPECT_NEAR(meaning_at(2).standardized, 2, 1e-9);
  EXPECT_LE(meaning_at(2).low, meaning_at(2).log10_lr);
  EXPECT_GE(meaning_at(2).high, meaning_at(2).log10_lr);
  EXPECT_TRUE(meaning_at(100).is_cut_high);
  EXPECT_EQ(meaning_at(100).log10_lr, read.most_log10_lr);
  EXPECT_TRUE(meaning_at(-100).is_cut_low);
  EXPECT_EQ(meaning_at(-100).log10_lr, read.least_log10_lr);
}

TEST_F(CalibrateScores, SaysThatScoresOfChanceMeanNothing) {
  std::uint64_t state = 3;
  std::vector<float> scores(60 * kDatabase);
  for (float& score : scores) score = static_cast<float>(noise(state));
  try {
    const ordered_json c = calibrate_scores(write_results(60, scores), truth_of(60), {});
    EXPECT_NEAR(c["cllr"].get<double>(), 1, 0.1);
    EXPECT_LT(c["bounds"]["most_log10_lr"].get<double>(), 0.5);
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("not higher"));
  }
}

TEST_F(CalibrateScores, DoesNotTakeExemplarsOfTheTrueTreadForNonMatches) {
  std::vector<float> scores = scores_of(40, 4);
  for (std::size_t mark = 0; mark < 40; ++mark) {  // exemplar 90 + k shows the tread of exemplar k
    scores[mark * kDatabase + 90 + mark % 30] = scores[mark * kDatabase + mark % 30];
  }
  std::ofstream groups(folder_ / "groups.csv");
  groups << "exemplar,group\n";
  for (int k = 0; k < 30; ++k) groups << "e" << k << "," << k << "\ne" << 90 + k << "," << k << "\n";
  groups.close();
  const store::Store results = write_results(40, scores);
  const ordered_json apart = calibrate_scores(results, truth_of(40), {});
  const ordered_json together = calibrate_scores(results, truth_of(40), {folder_ / "groups.csv", 0});
  EXPECT_LT(together["cllr"].get<double>(), apart["cllr"].get<double>());
  EXPECT_EQ(together["misleading"]["non_matches_above_1"]["of"], 40 * (kDatabase - 2));
}

TEST_F(CalibrateScores, IsRefusedWhereTheSetIsTooSmall) {
  const auto message_of = [&](const store::Store& results, std::int64_t marks) {
    try {
      calibrate_scores(results, truth_of(marks), {});
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_THAT(message_of(write_results(19, scores_of(19, 3)), 19), HasSubstr("at least 20 marks of 10 treads"));
  EXPECT_THAT(message_of(write_results(40, {}, false), 40), HasSubstr("--all-scores"));
  std::vector<float> scores = scores_of(41, 3);
  scores[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(message_of(write_results(41, scores), 41), HasSubstr("without a first pass"));
}

TEST_F(CalibrateScores, ReadsNoCalibrationThatIsNone) {
  const ordered_json good = calibrate_scores(write_results(40, scores_of(40, 3)), truth_of(40), {});
  const auto changed = [&](const std::string& pointer, const ordered_json& value) {
    ordered_json json{{"calibration", good}};
    json[ordered_json::json_pointer("/calibration" + pointer)] = value;
    return json.dump();
  };
  EXPECT_NO_THROW(read_calibration(write(changed("/cllr", 0.5))));
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string("{}"), std::string("{\"calibration\": 3}"),
        std::string("{\"calibration\": {}}"), changed("/log10_lr/slope", -1), changed("/log10_lr/slope", "1"),
        changed("/log10_lr/resampled", ordered_json::array()), changed("/log10_lr/resampled", {{1, 2, 3}}),
        changed("/bounds/most_log10_lr", 1e9), changed("/bounds/least_log10_lr", nullptr), changed("/bounds", 3),
        changed("/marks", -4), changed("/propositions/first", 7), changed("/search", {1, 2})}) {
    EXPECT_THROW(read_calibration(write(text)), DataError) << text.substr(0, 60);
  }
}

TEST(ScoreMeaning, SaysWhereASearchDiffersFromTheCalibratedOne) {
  ScoreCalibration calibration;
  calibration.search = {{"similarity", "mu_c,sigma_c"}, {"top", 20}, {"index_sha256", "a"}};
  EXPECT_TRUE(differences(calibration, {{"similarity", "mu_c,sigma_c"}, {"top", 5}, {"index_sha256", "a"}}).empty());
  EXPECT_THAT(differences(calibration, {{"similarity", "mu,none"}, {"index_sha256", "a"}, {"<x>", 1}}),
              ::testing::ElementsAre("<x>: 1 instead of nothing", "similarity: mu,none instead of mu_c,sigma_c"));
}

TEST(ScoreMeaning, LevelIsTheMedianAndItsScaledMedianDistance) {
  const std::vector<float> scores{3, 1, std::numeric_limits<float>::quiet_NaN(), 2, 10};
  const ScoreLevel level = level_of(scores);
  EXPECT_EQ(level.known, 4);
  EXPECT_DOUBLE_EQ(level.median, 2.5);
  EXPECT_DOUBLE_EQ(level.spread, 1.4826 * 1);
  EXPECT_EQ(level_of(std::vector<float>{}).spread, 0);
  EXPECT_THROW(meaning_of({}, 1, level_of(std::vector<float>{1, 1, 1})), DataError);
  EXPECT_THROW(meaning_of({}, std::nan(""), level), DataError);
}

TEST(ScoreMeaning, WordsFollowTheScaleOnBothSides) {
  EXPECT_EQ(verbal_equivalent(0), "no support for one proposition rather than the other");
  EXPECT_EQ(verbal_equivalent(std::log10(1.9)), "no support for one proposition rather than the other");
  EXPECT_EQ(verbal_equivalent(std::log10(2)), "weak support for the first proposition rather than the alternative");
  EXPECT_EQ(verbal_equivalent(-1.5), "moderate support for the alternative proposition rather than the first");
  EXPECT_EQ(verbal_equivalent(2.5), "moderately strong support for the first proposition rather than the alternative");
  EXPECT_EQ(verbal_equivalent(7), "extremely strong support for the first proposition rather than the alternative");
}

}  // namespace
}  // namespace outsole::retrieval
