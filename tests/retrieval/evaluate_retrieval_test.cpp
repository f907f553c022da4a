#include "retrieval/evaluate_retrieval.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <span>

#include "core/errors.h"

namespace outsole::retrieval {
namespace {

namespace fs = std::filesystem;
using store::Column;

constexpr std::int64_t kExemplars = 20;

/// Results of two marks over 20 exemplars: the true one (exemplar 3) is first for the first mark and twelfth for the
/// second.
class EvaluateRetrieval : public ::testing::Test {
 protected:
  EvaluateRetrieval() : folder_(fs::temp_directory_path() / ("outsole_evaluate_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~EvaluateRetrieval() override { fs::remove_all(folder_); }

  /// `left_out` exemplars of the second mark, the first ones, have no score: a first pass has left them out.
  store::Store write_results(std::int64_t top, bool with_scores, std::int64_t left_out = 0) const {
    std::vector<float> scores;
    for (std::int64_t exemplar = 0; exemplar < kExemplars; ++exemplar) scores.push_back(exemplar == 3 ? 2.0f : 0.0f);
    for (std::int64_t exemplar = 0; exemplar < kExemplars; ++exemplar) {
      scores.push_back(exemplar == 3 ? 0.5f : static_cast<float>(exemplar) / 10 - (exemplar < 9 ? 1.0f : 0.0f));
    }
    return write_results(scores, top, with_scores, left_out);
  }

  /// The same of the given scores [2, exemplars].
  store::Store write_results(std::vector<float> scores, std::int64_t top, bool with_scores,
                             std::int64_t left_out = 0) const {
    std::vector<std::int32_t> lists;
    std::vector<float> listed_scores;
    std::vector<std::string> ids;
    for (int mark = 0; mark < 2; ++mark) {
      const auto row = std::span(scores).subspan(static_cast<std::size_t>(mark * kExemplars), kExemplars);
      std::vector<std::int32_t> list(static_cast<std::size_t>(kExemplars));
      for (std::int32_t exemplar = 0; exemplar < kExemplars; ++exemplar) {
        list[static_cast<std::size_t>(measure::rank_of(row, exemplar) - 1)] = exemplar;
      }
      lists.insert(lists.end(), list.begin(), list.begin() + top);
      for (std::int64_t k = 0; k < top; ++k) {
        listed_scores.push_back(row[static_cast<std::size_t>(list[static_cast<std::size_t>(k)])]);
      }
    }
    for (int exemplar = 1; exemplar <= kExemplars; ++exemplar) ids.push_back("0000" + std::to_string(exemplar));

    std::fill_n(scores.begin() + kExemplars, left_out, std::numeric_limits<float>::quiet_NaN());

    const auto cells = static_cast<std::size_t>(2 * top);
    const std::vector<double> zeros(cells, 0);
    store::Columns columns{{"mark_id", {{2}, std::vector<std::string>{"m1", "m2"}, {}}},
                           {"mark_sha256", {{2}, std::vector<std::string>(2, std::string(64, 'a')), {}}},
                           {"scale", {{2}, std::vector<double>{1, 1}, {}}},
                           {"top_exemplar", {{2, top}, lists, {}}},
                           {"top_score", {{2, top}, listed_scores, {}}},
                           {"top_angle_deg", {{2, top}, zeros, {}}},
                           {"top_y_px", {{2, top}, zeros, {}}},
                           {"top_x_px", {{2, top}, zeros, {}}},
                           {"top_mirrored", {{2, top}, std::vector<std::uint8_t>(cells, 0), {}}}};
    if (with_scores) columns["score"] = {{2, kExemplars}, scores, {}};
    const fs::path path = folder_ / ((with_scores ? "all" : "top") + std::to_string(top) + ".h5");
    store::StoreWriter writer(path, {"outsole.results", 1, {{"top", top}}}, 1, true);
    writer.write_unit(0, columns);
    writer.finish({{"exemplar_id", {{kExemplars}, ids, {}}}});
    return store::Store(path, "outsole.results");
  }

  static Labels labels() { return {"labels.csv", {"area"}, {{"m1", "4", {"full"}, 1}, {"m2", "4", {"half"}, 2}}}; }

  static nlohmann::ordered_json evaluate(const store::Store& results) {
    const Truth truth = resolve_labels(labels(), read_ids(results, "mark_id"), read_ids(results, "exemplar_id"));
    return evaluate_retrieval(rank_true_exemplars(results, truth), truth, {"area"});
  }

  fs::path folder_;
};

TEST_F(EvaluateRetrieval, KnowsEveryRankFromTheScoreMatrix) {
  const auto json = evaluate(write_results(5, true));
  EXPECT_EQ(json["marks"], 2);
  EXPECT_EQ(json["exemplars"], kExemplars);
  EXPECT_EQ(json["known_to_rank"], kExemplars);
  EXPECT_EQ(json["cmc"].size(), static_cast<std::size_t>(kExemplars));
  EXPECT_EQ(json["cmc"][10], 50);
  EXPECT_EQ(json["cmc"][11], 100);
  EXPECT_EQ(json["top_k"]["1"], 50);
  EXPECT_EQ(json["top_percent"]["10"], 50);  // k = 2
  EXPECT_NEAR(json["mean_average_precision"], (1 + 1.0 / 12) / 2, 1e-12);
  EXPECT_NEAR(json["chance"]["top_k"]["10"], 50, 1e-12);
  EXPECT_NEAR(json["standard_error"]["top_k"]["1"], 100 * 0.5 / std::sqrt(2.0), 1e-12);
}

TEST_F(EvaluateRetrieval, SaysNothingOfRanksBeyondTheStoredLists) {
  const auto json = evaluate(write_results(5, false));
  EXPECT_EQ(json["known_to_rank"], 5);
  EXPECT_EQ(json["cmc"].size(), 5u);
  EXPECT_EQ(json["top_k"]["1"], 50);
  EXPECT_TRUE(json["top_k"]["10"].is_null());
  EXPECT_TRUE(json["mean_average_precision"].is_null());
  EXPECT_EQ(json["top_percent"]["10"], 50);
}

TEST_F(EvaluateRetrieval, GivesNoRankToExemplarsThatAFirstPassHasLeftOut) {
  const auto json = evaluate(write_results(5, true, 8));
  EXPECT_EQ(json["known_to_rank"], 12);
  EXPECT_EQ(json["cmc"].size(), 12u);
  EXPECT_EQ(json["cmc"][11], 50);  // exemplar 3 of the second mark is among them
  EXPECT_TRUE(json["mean_average_precision"].is_null());
}

TEST_F(EvaluateRetrieval, AgreesBetweenListsAndScoresWhenListsAreComplete) {
  EXPECT_EQ(evaluate(write_results(kExemplars, false)), evaluate(write_results(kExemplars, true)));
}

TEST_F(EvaluateRetrieval, TakesNoTieForAFind) {
  // The first mark is as like one exemplar as any other, the second as like as two others, which nothing else is.
  std::vector<float> scores(2 * kExemplars, 0.0f);
  for (const int exemplar : {1, 3, 7}) scores[static_cast<std::size_t>(kExemplars + exemplar)] = 0.25f;
  for (const bool with_scores : {true, false}) {
    const auto json = evaluate(write_results(scores, kExemplars, with_scores));
    EXPECT_EQ(json["ties"]["counted_at"], "worst");
    EXPECT_EQ(json["ties"]["marks"], 2);
    EXPECT_EQ(json["top_k"]["1"], 0);
    EXPECT_EQ(json["cmc"][1], 0);
    EXPECT_EQ(json["cmc"][2], 50);
    EXPECT_EQ(json["cmc"][18], 50);
    EXPECT_EQ(json["cmc"][19], 100);
    EXPECT_NEAR(json["mean_average_precision"], (1.0 / 3 + 1.0 / 20) / 2, 1e-12);
  }
  // A list that ends within a tie does not say where that ends.
  const auto cut = evaluate(write_results(scores, 5, false));
  EXPECT_EQ(cut["ties"]["marks"], 2);
  EXPECT_EQ(cut["cmc"][1], 0);
  EXPECT_EQ(cut["cmc"][2], 50);
  EXPECT_EQ(cut["cmc"][4], 50);
  const auto shorter = evaluate(write_results(scores, 3, false));
  EXPECT_EQ(shorter["cmc"][2], 0);
}

TEST_F(EvaluateRetrieval, EvaluatesEachGroupApart) {
  const auto json = evaluate(write_results(kExemplars, false));
  EXPECT_EQ(json["groups"]["area"]["full"]["top_k"]["1"], 100);
  EXPECT_EQ(json["groups"]["area"]["half"]["top_k"]["1"], 0);
  EXPECT_EQ(json["groups"]["area"]["half"]["marks"], 1);
}

TEST_F(EvaluateRetrieval, TakesExcludedExemplarsOutOfTheDatabaseOfTheirMark) {
  const store::Store results = write_results(5, true);
  // Exemplars 19 and 20 come before the true one of m2, its own print 4 is first of m1; 9999 was not searched.
  const Labels more{"labels.csv", {}, {{"m1", "4", {}, 1}, {"m1", "5", {}, 2}, {"m2", "4", {}, 3}}};
  const Labels rows{
      "exclude.csv", {}, {{"m1", "4", {}, 1}, {"m2", "20", {}, 2}, {"m2", "19", {}, 3}, {"m2", "9999", {}, 4}}};
  const auto marks = read_ids(results, "mark_id"), exemplars = read_ids(results, "exemplar_id");
  Truth truth = resolve_labels(more, marks, exemplars);
  EXPECT_EQ(exclude(rows, marks, exemplars, truth), 3);
  const RetrievalRanks ranks = rank_true_exemplars(results, truth);
  EXPECT_EQ(ranks.exemplars, kExemplars - 1);  // m1 has the most candidates
  EXPECT_EQ(ranks.known_to_rank, kExemplars - 1);
  EXPECT_EQ(ranks.ranks[0].ranks, std::vector<std::int64_t>{19});  // after 1, 2, 3, 6, ... of equal score
  EXPECT_TRUE(ranks.ranks[0].is_tied);
  EXPECT_FALSE(ranks.ranks[1].is_tied);
  EXPECT_EQ(ranks.ranks[0].relevant, 1);
  EXPECT_EQ(ranks.ranks[0].excluded, 0);
  EXPECT_EQ(ranks.ranks[1].ranks, std::vector<std::int64_t>{10});
  EXPECT_EQ(ranks.ranks[1].excluded, 1);
}

TEST_F(EvaluateRetrieval, ExcludesNothingFromListsThatMayLackWhatComesNext) {
  const store::Store results = write_results(5, false);
  const auto marks = read_ids(results, "mark_id"), exemplars = read_ids(results, "exemplar_id");
  Truth truth = resolve_labels(labels(), marks, exemplars);
  exclude({"exclude.csv", {}, {{"m1", "1", {}, 1}}}, marks, exemplars, truth);
  EXPECT_THROW(rank_true_exemplars(results, truth), DataError);
}

TEST_F(EvaluateRetrieval, LeavesOutAMarkWhoseOnlyTrueExemplarIsExcluded) {
  const store::Store results = write_results(5, true);
  const auto marks = read_ids(results, "mark_id"), exemplars = read_ids(results, "exemplar_id");
  Truth truth = resolve_labels(labels(), marks, exemplars);
  exclude({"exclude.csv", {}, {{"m1", "4", {}, 1}}}, marks, exemplars, truth);
  EXPECT_EQ(rank_true_exemplars(results, truth).mark_rows, std::vector<std::int64_t>{1});
}

TEST_F(EvaluateRetrieval, RefusesLabelsOfOtherMarks) {
  const store::Store results = write_results(5, false);
  const Labels other{"labels.csv", {}, {{"x", "4", {}, 1}}};
  const Truth truth = resolve_labels(other, read_ids(results, "mark_id"), read_ids(results, "exemplar_id"));
  EXPECT_THROW(rank_true_exemplars(results, truth), DataError);
}

}  // namespace
}  // namespace outsole::retrieval
