#include "retrieval/compare_results.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "../message_of.h"
#include "../temporary_folder.h"
#include "core/errors.h"
#include "measure/significance.h"
#include "store/store.h"

namespace outsole::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(CompareMethods, CountsMarksThatOnlyOneOfTwoFinds) {
  const Method ours{"ours", {{{1}, 1}, {{1}, 1}, {{1}, 1}, {{4}, 1}}, 100};
  const Method theirs{"theirs", {{{1}, 1}, {{2}, 1}, {{3}, 1}, {{1}, 1}}, 100};
  const auto json = compare_methods(std::vector{ours, theirs}, 100);
  EXPECT_EQ(json["marks"], 4);
  EXPECT_EQ(json["methods"][0]["top_k"]["1"], 75);
  EXPECT_FALSE(json["methods"][0].contains("against_first"));
  const auto& against = json["methods"][1]["against_first"];
  EXPECT_EQ(against["top_k"]["1"]["only_this"], 1);
  EXPECT_EQ(against["top_k"]["1"]["only_first"], 2);
  EXPECT_EQ(against["top_k"]["1"]["p_value"], 1);  // 1 of 3, either side
  EXPECT_EQ(against["top_percent"]["5"]["only_first"], 0);
  EXPECT_NEAR(against["mean_average_precision"]["difference"], (0 - 0.5 - 2.0 / 3 + 0.75) / 4, 1e-12);
  EXPECT_EQ(against["mean_average_precision"]["p_value"],
            measure::sign_flip_p_value(std::vector<double>{0, -0.5, 1.0 / 3 - 1, 0.75}, 99'999, 1));
}

TEST(CompareMethods, SaysNothingBeyondWhatBothKnow) {
  const Method all{"all scores", {{{1}, 1}, {{30}, 1}}, 100}, lists{"lists", {{{1}, 1}, {{}, 1}}, 5};
  const auto json = compare_methods(std::vector{all, lists}, 100);
  const auto& against = json["methods"][1]["against_first"];
  EXPECT_EQ(against["top_percent"]["5"]["p_value"], 1);
  EXPECT_TRUE(against["top_percent"]["10"].is_null());
  EXPECT_TRUE(against["mean_average_precision"].is_null());
}

class CompareResults : public testing::TemporaryFolder {
 protected:
  fs::path text(const std::string& name, const std::string& content) const { return write(name, content); }

  /// Results in which exemplar `best[i]` of ten is first for the i-th mark, and the others follow in their order, or
  /// all with the same score where `step` is 0.
  fs::path results(const std::string& name, const std::vector<std::string>& marks, const std::vector<int>& best,
                   float step) const {
    return results(name, marks, best, "e", step);
  }
  fs::path results(const std::string& name, const std::vector<std::string>& marks, const std::vector<int>& best,
                   const std::string& exemplar = "e", float step = 0.01f) const {
    constexpr std::int64_t kExemplars = 10, kTop = 3;
    const std::int64_t count = std::ssize(marks);
    std::vector<std::string> ids;
    for (std::int64_t i = 0; i < kExemplars; ++i) ids.push_back(exemplar + std::to_string(i));
    std::vector<float> scores;
    for (const int first : best) {
      for (int i = 0; i < kExemplars; ++i) scores.push_back(i == first ? 1.0f : -step * static_cast<float>(i));
    }
    const auto cells = static_cast<std::size_t>(count * kTop);
    const std::vector<double> zeros(cells, 0);
    const store::Columns columns{
        {"mark_id", {{count}, marks, {}}},
        {"mark_sha256", {{count}, std::vector<std::string>(marks.size(), std::string(64, 'a')), {}}},
        {"scale", {{count}, std::vector<double>(marks.size(), 1), {}}},
        {"top_exemplar", {{count, kTop}, std::vector<std::int32_t>(cells, 0), {}}},
        {"top_score", {{count, kTop}, std::vector<float>(cells, 0), {}}},
        {"top_angle_deg", {{count, kTop}, zeros, {}}},
        {"top_y_px", {{count, kTop}, zeros, {}}},
        {"top_x_px", {{count, kTop}, zeros, {}}},
        {"top_mirrored", {{count, kTop}, std::vector<std::uint8_t>(cells, 0), {}}},
        {"score", {{count, kExemplars}, scores, {}}}};
    const fs::path path = folder_ / (name + ".h5");
    store::StoreWriter writer(path, {"outsole.results", 1, {{"top", kTop}}}, 1, true);
    writer.write_unit(0, columns);
    writer.finish({{"exemplar_id", {{kExemplars}, ids, {}}}});
    return path;
  }

  CompareOptions options(const std::vector<fs::path>& paths) const {
    CompareOptions result;
    result.results = paths;
    result.labels = folder_ / "labels.csv";
    return result;
  }
};

TEST_F(CompareResults, TakesTheMarksThatAllHoldWhateverTheirOrder) {
  text("labels.csv", "mark,exemplar,kind\n1,e4,dust\n2,e5,dust\n3,e6,ink\n");
  CompareOptions compare =
      options({results("a", {"1", "2", "3"}, {4, 5, 6}), results("b", {"00003", "00001"}, {6, 0})});
  compare.names = {"ours", "theirs"};
  compare.group_columns = {"kind"};
  const auto json = compare_results(compare).json;
  EXPECT_EQ(json["marks"], 2);
  EXPECT_EQ(json["left_out"], 1);
  EXPECT_EQ(json["exemplars"], 10);
  EXPECT_EQ(json["methods"][1]["name"], "theirs");
  EXPECT_EQ(json["methods"][1]["top_k"]["1"], 50);  // found of mark 3, and fifth of mark 1
  EXPECT_EQ(json["methods"][1]["cmc"][3], 50);
  EXPECT_EQ(json["methods"][1]["cmc"][4], 100);
  EXPECT_EQ(json["groups"]["kind"]["ink"]["methods"][1]["top_k"]["1"], 100);
  EXPECT_EQ(json["groups"]["kind"]["dust"]["methods"][1]["top_k"]["1"], 0);
}

TEST_F(CompareResults, TakesPublishedRanksAsAMethod) {
  text("labels.csv", "query,ref\n1,e4\n2,e5\n");
  const auto published = text("theirs.csv", "query,rank\n1,2\n2,10\n3,1175\n");
  const auto json = compare_results(options({results("ours", {"00001", "00002"}, {4, 5}), published})).json;
  EXPECT_EQ(json["left_out"], 0);  // that others were judged on more marks does not matter
  EXPECT_EQ(json["methods"][1]["name"], "theirs");
  EXPECT_NEAR(json["methods"][1]["mean_average_precision"], (0.5 + 0.1) / 2, 1e-12);
  EXPECT_EQ(json["methods"][1]["against_first"]["top_k"]["1"]["only_first"], 2);
}

TEST_F(CompareResults, CountsTiesOfEveryMethod) {
  text("labels.csv", "mark,exemplar\n1,e4\n2,e5\n");
  const auto json =
      compare_results(options({results("a", {"1", "2"}, {4, 5}), results("b", {"1", "2"}, {-1, 5}, 0.0f)})).json;
  EXPECT_EQ(json["methods"][0]["ties"]["marks"], 0);
  EXPECT_EQ(json["methods"][1]["ties"]["counted_at"], "worst");
  EXPECT_EQ(json["methods"][1]["ties"]["marks"], 1);
  EXPECT_EQ(json["methods"][1]["top_k"]["1"], 50);
  EXPECT_EQ(json["methods"][1]["cmc"][8], 50);
  EXPECT_EQ(json["methods"][1]["against_first"]["top_k"]["1"]["only_first"], 1);
}

TEST_F(CompareResults, ExcludesInEveryMethodAlike) {
  text("labels.csv", "mark,exemplar\n1,e4\n1,e0\n");
  CompareOptions compare = options({results("a", {"1"}, {4}), text("b.csv", "mark,rank\n1,9\n")});
  compare.exclude = text("exclude.csv", "mark,exemplar\n1,e0\n");
  const auto json = compare_results(compare).json;
  EXPECT_EQ(json["exemplars"], 9);
  EXPECT_EQ(json["methods"][0]["mean_average_precision"], 1);
  EXPECT_NEAR(json["methods"][1]["mean_average_precision"], 1.0 / 9, 1e-12);
}

TEST_F(CompareResults, RefusesWhatCannotBeCompared) {
  text("labels.csv", "mark,exemplar\n1,e4\n2,x4\n");
  const auto ours = results("ours", {"1"}, {4});
  const auto message = [&](const CompareOptions& compare) {
    return outsole::testing::message_of<Error>([&] { compare_results(compare); });
  };
  EXPECT_THAT(message(options({ours, results("x", {"2"}, {4}, "x")})),
              HasSubstr("x.h5 was searched among other exemplars"));
  EXPECT_THAT(message(options({ours, text("r.csv", "mark,rank\n1,0\n")})), HasSubstr("r.csv, line 2: '0' is no rank"));
  EXPECT_THAT(message(options({ours, text("r.csv", "mark,rank\n1,2nd\n")})), HasSubstr("'2nd' is no rank"));
  EXPECT_THAT(message(options({ours, text("r.csv", "mark,rank\n1,11\n")})), HasSubstr("rank 11, of 10"));
  EXPECT_THAT(message(options({ours, text("r.csv", "mark,rank\n7,1\n")})), HasSubstr("no mark"));
  EXPECT_THAT(message(options({text("r.csv", "mark,rank\n1,1\n")})), HasSubstr("needs a search"));
  CompareOptions names = options({ours});
  names.names = {"a", "b"};
  EXPECT_THAT(message(names), HasSubstr("2 names for 1 results"));
}

}  // namespace
}  // namespace outsole::retrieval
