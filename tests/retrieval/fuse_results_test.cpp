#include "retrieval/fuse_results.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "../message_of.h"
#include "../shared_folder.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/split_mix.h"
#include "retrieval/score_meaning.h"
#include "store/store.h"

namespace outsole::retrieval {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kSearched = 9, kListed = 4;

std::vector<std::string> numbered(const std::string& letter, std::int64_t count) {
  std::vector<std::string> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(letter + std::to_string(i));
  return all;
}

/// A made-up search: each exemplar of each mark with a score, and at an angle and place of its own.
struct MadeUp {
  std::uint64_t seed = 1;
  std::vector<std::string> marks = {"m0", "m1", "m2"}, exemplars = numbered("e", kSearched);
  double scale = 0.5;
  char picture = 'a';
  bool all_scores = true;
  std::string filter = "none";
};

class FuseResults : public testing::SharedFolder {
 protected:
  std::vector<float> scores(const MadeUp& search, const std::string& mark) const {
    std::vector<float> all;
    for (const std::string& exemplar : search.exemplars) {
      std::uint64_t state =
          search.seed * 1000 + static_cast<std::uint64_t>(mark[1]) * 37 + static_cast<std::uint64_t>(exemplar[1]);
      all.push_back(static_cast<float>(split_mix(state) >> 40) * 0x1p-24f * static_cast<float>(search.seed));
    }
    return all;
  }

  fs::path write(const std::string& name, const MadeUp& search) const {
    const fs::path path = folder_ / (name + ".h5");
    prepare([&] {
      const std::int64_t marks = std::ssize(search.marks), columns = std::ssize(search.exemplars);
      const auto count = search.marks.size();
      std::vector<float> score;
      for (const std::string& mark : search.marks) {
        const auto own = scores(search, mark);
        score.insert(score.end(), own.begin(), own.end());
      }
      std::vector<double> angle;  // tells search and exemplar
      for (std::size_t i = 0; i < score.size(); ++i) {
        angle.push_back(100.0 * static_cast<double>(search.seed) + search.exemplars[i % search.exemplars.size()][1]);
      }
      const auto zeros = [](std::int64_t rows, std::int64_t width) {
        return store::Column{{rows, width}, std::vector<double>(static_cast<std::size_t>(rows * width), 0.0), {}};
      };
      const auto bytes = [](std::int64_t rows, std::int64_t width) {
        return store::Column{{rows, width}, std::vector<std::uint8_t>(static_cast<std::size_t>(rows * width), 0), {}};
      };
      store::Columns table = {
          {"mark_id", {{marks}, search.marks, {}}},
          {"mark_sha256", {{marks}, std::vector<std::string>(count, std::string(64, search.picture)), {}}},
          {"scale", {{marks}, std::vector<double>(count, search.scale), {}}},
          {"mark_dpi", {{marks}, std::vector<double>(count, 0), {}}},
          {"mask_png", {{marks}, std::vector<std::uint8_t>(count, 7), std::vector<std::int64_t>(count, 1)}},
          {"top_exemplar", {{marks, 1}, std::vector<std::int32_t>(count, 0), {}}},
          {"top_score", {{marks, 1}, std::vector<float>(count, 0), {}}},
          {"top_angle_deg", zeros(marks, 1)},
          {"top_y_px", zeros(marks, 1)},
          {"top_x_px", zeros(marks, 1)},
          {"top_mirrored", bytes(marks, 1)}};
      if (search.all_scores) {
        table["score"] = {{marks, columns}, score, {}};
        table["angle_deg"] = {{marks, columns}, angle, {}};
        table["y_px"] = zeros(marks, columns);
        table["x_px"] = zeros(marks, columns);
        table["mirrored"] = bytes(marks, columns);
      }
      store::StoreWriter writer(
          path, {"outsole.results", 3, {{"top", 1}, {"stride_px", 4}, {"mark_filter", search.filter}}}, 1, true);
      writer.write_unit(0, table);
      writer.finish({{"exemplar_id", {{columns}, search.exemplars, {}}}});
    });
    return path;
  }

  FuseOptions options(std::vector<fs::path> results) const {
    FuseOptions options;
    options.results = std::move(results);
    options.output = folder_ / "fused.h5";
    options.csv = folder_ / "fused.csv";
    options.top = kListed;
    return options;
  }

};

TEST_F(FuseResults, AveragesLevelsWhateverTheOrderOfMarksAndExemplars) {
  const MadeUp one{.seed = 1};
  MadeUp other{.seed = 5, .marks = {"m2", "m3", "m0", "m1"}, .filter = "local-contrast"};
  std::ranges::reverse(other.exemplars);
  FuseOptions wanted = options({write("one", one), write("other", other)});
  wanted.shares = {3, 1};
  const FuseSummary summary = fuse(comm_, wanted);
  if (!comm_.is_root()) return;
  EXPECT_EQ(summary.marks, 3);
  EXPECT_THAT(summary.left_out, ElementsAre("m3"));

  const store::Store fused(wanted.output, "outsole.results");
  EXPECT_TRUE(fused.validate().empty());
  const auto& parameters = fused.header().parameters;
  EXPECT_EQ(parameters["stride_px"], 4);
  EXPECT_FALSE(parameters.contains("mark_filter"));
  EXPECT_EQ(parameters["fused"][0]["share"], 0.75);
  EXPECT_EQ(parameters["fused"][1]["mark_filter"], "local-contrast");
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto mark = std::get<std::vector<std::string>>(fused.read("mark_id", row, 1).values)[0];
    const auto a = scores(one, mark);
    auto b = scores(other, mark);
    std::ranges::reverse(b);
    const ScoreLevel of_a = level_of(a), of_b = level_of(b);
    const auto got = std::get<std::vector<float>>(fused.read("score", row, 1).values);
    const auto angle = std::get<std::vector<double>>(fused.read("angle_deg", row, 1).values);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double from_a = 0.75 * (a[i] - of_a.median) / of_a.spread,
                   from_b = 0.25 * (b[i] - of_b.median) / of_b.spread;
      EXPECT_NEAR(got[i], from_a + from_b, 1e-6);
      EXPECT_EQ(angle[i], (from_a >= from_b ? 100 : 500) + one.exemplars[i][1]);
    }
    const auto listed = std::get<std::vector<std::int32_t>>(fused.read("top_exemplar", row, 1).values);
    ASSERT_EQ(std::ssize(listed), kListed);
    for (std::size_t k = 0; k < listed.size(); ++k) {
      const float score = got[static_cast<std::size_t>(listed[k])];
      EXPECT_EQ(std::ranges::count_if(got, [&](float other_score) { return other_score > score; }), std::ptrdiff_t(k));
    }
  }
  EXPECT_THAT(read_text_file(wanted.csv), HasSubstr("m0,1,e"));
}

TEST_F(FuseResults, OfOneSearchTwiceIsThatSearch) {
  const MadeUp one{.seed = 2};
  const fs::path path = write("one", one);
  FuseOptions wanted = options({path, path});
  wanted.by = FusedBy::kScore;
  EXPECT_FALSE(fuse(comm_, wanted).was_finished);
  EXPECT_TRUE(fuse(comm_, wanted).was_finished);
  if (!comm_.is_root()) return;
  const store::Store fused(wanted.output), searched(path);
  EXPECT_EQ(fused.read("score").values, searched.read("score").values);
  EXPECT_EQ(fused.read("angle_deg").values, searched.read("angle_deg").values);
}

TEST_F(FuseResults, RefusesWhatDoesNotFitAndNamesIt) {
  const fs::path one = write("one", {});
  const auto complaint = [&](const MadeUp& other) {
    const FuseOptions wanted = options({one, write("other", other)});
    const std::string message = testing::message_of<DataError>([&] { fuse(comm_, wanted); });
    prepare([&] {
      EXPECT_FALSE(fs::exists(wanted.output));
      fs::remove_all(folder_ / "other.shards");
      fs::remove(folder_ / "other.h5");
    });
    return message;
  };
  EXPECT_THAT(complaint({.picture = 'b'}), AllOf(HasSubstr("other.h5"), HasSubstr("'m0' is of another picture")));
  EXPECT_THAT(complaint({.scale = 0.6}), HasSubstr("'m0' was scaled by 0.6, but by 0.5 in"));
  EXPECT_THAT(complaint({.all_scores = false}), HasSubstr("all_scores"));
  EXPECT_THAT(complaint({.exemplars = numbered("e", 8)}), HasSubstr("'e8' was not searched"));
  EXPECT_THAT(complaint({.exemplars = numbered("e", 10)}), HasSubstr("10 exemplars were searched"));
  EXPECT_THAT(complaint({.marks = {"x0"}}), HasSubstr("no mark is in all"));
  EXPECT_THROW(fuse(comm_, options({one})), UsageError);
}

TEST(FuseScores, RefusesScoresThatHaveNoLevel) {
  const std::vector<float> good = {1, 2, 3, 4}, flat = {1, 1, 1, 4},
                           missing = {1, 2, std::numeric_limits<float>::quiet_NaN(), 4};
  const std::vector<double> halves = {0.5, 0.5};
  EXPECT_THROW(fuse_scores(std::vector{good, flat}, halves, FusedBy::kLevel), DataError);
  EXPECT_EQ(fuse_scores(std::vector{good, flat}, halves, FusedBy::kScore)[3].score, 4);
  EXPECT_THROW(fuse_scores(std::vector{good, missing}, halves, FusedBy::kScore), DataError);
}

}  // namespace
}  // namespace outsole::retrieval
