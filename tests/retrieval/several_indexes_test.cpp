// Several indexes as one database, and results that marks are added to.

#include <gmock/gmock.h>

#include <cstring>
#include <set>

#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "match/lanes.h"
#include "retrieval/database.h"
#include "retrieval/exemplar_blocks.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// 70 exemplars in one index, and the same in three that together are a database.
class Database : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    exemplars_ = synthetic_exemplars(70, 80, 46);
    fill_once("Database", [&] { make_database(); });
  }

  void make_database() {
    std::vector<std::size_t> base, week1, week2, all;
    for (std::size_t i = 0; i < exemplars_.size(); ++i) {
      (i % 3 != 0 ? base : i < 60 ? week1 : week2).push_back(i);
      all.push_back(i);
    }
    make_index("base", base, {});
    make_index("week1", week1, folder_ / "base.h5");
    make_index("week2", week2, folder_ / "week1.h5");
    make_index("all", all, folder_ / "base.h5");
    for (std::size_t i = 0; i < 3; ++i) {
      // On the grid of translations, of frames of 76 rows as of 80.
      write_mark("m" + std::to_string(i), {exemplars_[9 * i].image(cv::Rect(10, 8, 24, 40)).clone(), {}});
    }
  }

  void ingest_some(const std::string& name, const std::vector<std::size_t>& numbers) {
    on_root([&] {
      fs::create_directory(folder_ / name);
      for (const std::size_t i : numbers) {
        ASSERT_TRUE(cv::imwrite((folder_ / name / (id_of_exemplar(i) + ".png")).string(), exemplars_[i].image));
      }
    });
    ingest::IngestOptions options;
    options.inputs = {folder_ / name};
    options.output = folder_ / (name + ".exemplars.h5");
    ingest::ingest_images(comm_, options, ingest::exemplar_kind());
  }

  BuildIndexOptions options_for(const std::string& name, const fs::path& like) const {
    BuildIndexOptions options = index_options({"scattering"});
    options.exemplars = folder_ / (name + ".exemplars.h5");
    options.output = folder_ / (name + ".h5");
    options.like = like;
    if (!like.empty()) {  // that they are the other's
      options.extractor = {"pixels"};
      options.image_scale = 2;
      options.precision_bits = 16;
    }
    return options;
  }

  void make_index(const std::string& name, const std::vector<std::size_t>& numbers, const fs::path& like) {
    ingest_some(name, numbers);
    build_index(comm_, options_for(name, like));
  }

  SearchOptions search_of(const std::vector<std::string>& indexes, const std::string& output) const {
    SearchOptions options = search_options();
    options.indexes.clear();
    for (const std::string& index : indexes) options.indexes.push_back(folder_ / (index + ".h5"));
    options.output = folder_ / (output + ".h5");
    options.csv = folder_ / (output + ".csv");
    options.protocol.angles_deg = {-4, 0};
    options.protocol.stride_px = 2;
    return options;
  }

  /// To the last bit: a NaN, too, is like itself.
  static bool are_the_same(const store::Values& a, const store::Values& b) {
    if (a.index() != b.index()) return false;
    return std::visit(
        [&]<typename T>(const std::vector<T>& values) {
          const auto& others = std::get<std::vector<T>>(b);
          if constexpr (std::is_same_v<T, std::string>) {
            return values == others;
          } else {
            return values.size() == others.size() &&
                   std::memcmp(values.data(), others.data(), values.size() * sizeof(T)) == 0;
          }
        },
        a);
  }

  /// What two stores of results hold is the same to the last bit. Not collective.
  void expect_same_data(const fs::path& a, const fs::path& b) const {
    const store::Store left(a, kResultsSchema), right(b, kResultsSchema);
    ASSERT_EQ(left.datasets(), right.datasets());
    for (const std::string& name : left.datasets()) {
      EXPECT_EQ(left.read(name).shape, right.read(name).shape) << name;
      EXPECT_TRUE(are_the_same(left.read(name).values, right.read(name).values)) << name;
    }
  }

  std::vector<std::string> texts(const std::string& results, const char* name) const {
    return std::get<std::vector<std::string>>(store::Store(folder_ / (results + ".h5")).read(name).values);
  }

  template <typename Kind>
  std::string refusal(const SearchOptions& options) const {
    try {
      search(comm_, options);
    } catch (const Kind& error) {
      EXPECT_TRUE(error.known_to_all_ranks());
      return error.what();
    }
    ADD_FAILURE() << "no refusal";
    return {};
  }

  std::vector<NaiveExemplar> exemplars_;
};

TEST_F(Database, OfSeveralIndexesIsSearchedAsTheIndexOfAllToTheLastBit) {
  for (const char* similarity : {"mu_c,sigma_c", "mu_bar_c,sigma_bar_c"}) {
    const std::string name = similarity;
    SearchOptions one = search_of({"all"}, "one." + name), several = search_of({"base", "week1", "week2"}, name),
                  reversed = search_of({"week2", "base", "week1"}, "reversed." + name);
    for (SearchOptions* options : {&one, &several, &reversed}) {
      options->protocol.similarity = match::similarity_named(name);
      search(comm_, *options);
    }
    on_root([&] {
      expect_same_data(several.output, one.output);
      expect_same_data(reversed.output, one.output);
      if (name == "mu_c,sigma_c") {
        EXPECT_EQ(read_candidates(several.csv).front().exemplar, id_of_exemplar(0));
      }
      EXPECT_EQ(store::Store(several.output).header().parameters.at("index_sha256"),
                nlohmann::json({sha256("base.h5"), sha256("week1.h5"), sha256("week2.h5")}));
    });
  }
}

TEST_F(Database, IsSearchedCoarselyFirstAsTheIndexOfAll) {
  SearchOptions one = search_of({"all"}, "one"), several = search_of({"week1", "base", "week2"}, "several");
  for (SearchOptions* options : {&one, &several}) {
    options->coarse = 25;
    options->memory_bytes = std::int64_t{4} << 30;
    search(comm_, *options);
  }
  on_root([&] { expect_same_data(several.output, one.output); });
}

TEST_F(Database, OfIndexesThatDoNotFitIsRefusedNamingBothAndWhatDiffers) {
  const auto misfit = [&](const std::function<void(BuildIndexOptions&)>& change) {
    BuildIndexOptions options = options_for("week1", {});
    options.output = folder_ / "other.h5";
    change(options);
    on_root([&] {
      fs::remove(options.output);
      fs::remove_all(folder_ / "other.shards");
    });
    build_index(comm_, options);
    const std::string message = refusal<DataError>(search_of({"base", "other"}, "results"));
    EXPECT_THAT(message, AllOf(HasSubstr("other.h5"), HasSubstr("base.h5"), HasSubstr("--like")));
    return message;
  };
  EXPECT_THAT(misfit([](BuildIndexOptions& options) { options.extractor = {"pixels"}; }), HasSubstr("extractor"));
  EXPECT_THAT(misfit([](BuildIndexOptions& options) { options.image_scale = 0.75; }), HasSubstr("image_scale"));
  EXPECT_THAT(misfit([](BuildIndexOptions& options) {
                options.frame = FrameSize{76, 46};
                options.precision_bits = 8;
              }),
              HasSubstr("precision_bits"));
  EXPECT_THAT(misfit([](BuildIndexOptions& options) { options.frame = FrameSize{76, 46}; }), HasSubstr("mean_grey"));
  EXPECT_THAT(refusal<DataError>(search_of({"base", "week1", "all"}, "results")),
              AllOf(HasSubstr("'000'"), HasSubstr("week1.h5"), HasSubstr("all.h5"), HasSubstr("others")));
}

TEST_F(Database, LeavesOutWhatListsSayAndScoresTheOthersAsBefore) {
  SearchOptions whole = search_of({"base", "week1"}, "whole"), part = search_of({"base", "week1"}, "part");
  search(comm_, whole);
  on_root([&] {
    write_file_atomically(folder_ / "list.txt", "# of the case\n0\n 044  # as it is written\r\n\n012\n013\n");
    write_file_atomically(folder_ / "withdrawn.txt", "013\n999\n");
  });
  part.exemplars_list = folder_ / "list.txt";
  part.withdrawn = folder_ / "withdrawn.txt";
  part.top = 2;
  search(comm_, part);
  on_root([&] {
    EXPECT_THAT(texts("part", "exemplar_id"), ElementsAre("000", "012", "044"));
    const auto all = texts("whole", "exemplar_id");
    const auto scores = read_all_scores(part.output), expected = read_all_scores(whole.output);
    for (const auto& [mark, found] : scores) {
      for (std::size_t i = 0; i < 3; ++i) {
        const auto there = std::ranges::find(all, texts("part", "exemplar_id")[i]) - all.begin();
        EXPECT_EQ(found.scores[i], expected.at(mark).scores[static_cast<std::size_t>(there)]);
      }
    }
    const auto parameters = store::Store(part.output).header().parameters;
    EXPECT_EQ(parameters.at("exemplars_listed"), 4);
    EXPECT_EQ(parameters.at("withdrawn"), 1);
    EXPECT_EQ(parameters.at("withdrawn_sha256"), sha256_of_file(folder_ / "withdrawn.txt"));
    const auto told = nlohmann::json::parse(read_text_file(folder_ / "part.provenance.json")).at("details");
    EXPECT_EQ(told.at("withdrawn"), 1);
    EXPECT_EQ(told.at("database").at("indexes").size(), 2U);
  });
  on_root([&] { write_file_atomically(folder_ / "list.txt", "000\nnobody\n"); });
  EXPECT_THAT(refusal<DataError>(part), AllOf(HasSubstr("list.txt"), HasSubstr("'nobody'")));
}

TEST_F(Database, GetsNewMarksIntoTheSameResultsWithoutSearchingTheOldOnes) {
  SearchOptions options = search_of({"base", "week1"}, "results"), at_once = search_of({"base", "week1"}, "at_once");
  options.marks = {folder_ / "marks" / "m1.png"};
  search(comm_, options);
  const fs::path first = folder_ / "results.shards" / "00000.h5";
  const auto written = fs::last_write_time(first);
  comm_.barrier();
  options.marks = at_once.marks;
  const SearchSummary added = search(comm_, options);
  search(comm_, at_once);
  on_root([&] {
    EXPECT_EQ(fs::last_write_time(first), written);
    EXPECT_EQ(added.marks, 3);
    EXPECT_EQ(added.marks_before, 1);
    EXPECT_THAT(texts("results", "mark_id"), ElementsAre("m1", "m0", "m2"));
    EXPECT_TRUE(store::Store(options.output).validate().empty());
    const auto told = nlohmann::json::parse(read_text_file(folder_ / "results.provenance.json")).at("details");
    EXPECT_EQ(told.at("marks_added"), 2);
    ASSERT_EQ(told.at("earlier_runs").size(), 1U);
    EXPECT_EQ(told.at("earlier_runs")[0].at("details").at("marks"), 1);
    const auto found = read_all_scores(options.output), expected = read_all_scores(at_once.output);
    for (const auto& [mark, scores] : expected) EXPECT_EQ(found.at(mark).scores, scores.scores) << mark;
  });
  EXPECT_EQ(comm_.broadcast(std::to_string(search(comm_, options).was_finished)), "1");
}

TEST_F(Database, AnAdditionOfMarksThatWasKilledLeavesTheResultsAndIsCarriedOn) {
  SearchOptions options = search_of({"base"}, "results");
  const auto marks = options.marks;
  options.marks = {folder_ / "marks" / "m0.png"};
  search(comm_, options);
  const std::string before = comm_.broadcast(comm_.is_root() ? sha256("results.h5") : "");
  on_root([&] { fs::copy_file(options.output, folder_ / "before.h5"); });
  options.marks = marks;
  search(comm_, options);
  const std::string after = comm_.broadcast(comm_.is_root() ? sha256("results.h5") : "");
  const fs::path kept = folder_ / "results.shards" / "00001.h5";
  on_root([&] {  // killed before the last mark was there
    fs::copy_file(folder_ / "before.h5", options.output, fs::copy_options::overwrite_existing);
    fs::remove(folder_ / "results.shards" / "00002.h5");
    EXPECT_EQ(sha256("results.h5"), before);
    EXPECT_TRUE(store::Store(options.output).validate().empty());
  });
  search(comm_, options);
  on_root([&] { EXPECT_EQ(sha256("results.h5"), after); });
  on_root([&] {  // another mark than the killed one would have added
    fs::copy_file(folder_ / "before.h5", options.output, fs::copy_options::overwrite_existing);
  });
  options.marks = {folder_ / "marks" / "m2.png"};
  search(comm_, options);
  on_root([&] {
    EXPECT_THAT(texts("results", "mark_id"), ElementsAre("m0", "m2"));
    EXPECT_TRUE(store::Store(options.output).validate().empty());
  });
}

TEST_F(Database, RefusesMarksForResultsOfAnotherSearchAndMarksThatHaveChanged) {
  SearchOptions options = search_of({"base"}, "results");
  search(comm_, options);
  write_mark("late", {exemplars_[4].image(cv::Rect(2, 10, 24, 40)).clone(), {}});
  SearchOptions other = search_of({"base", "week1"}, "results");
  EXPECT_THAT(refusal<DataError>(other), AllOf(HasSubstr("results.h5"), HasSubstr("index_sha256")));
  write_mark("m1", {exemplars_[5].image(cv::Rect(2, 10, 24, 40)).clone(), {}});
  EXPECT_THAT(refusal<DataError>(options), AllOf(HasSubstr("m1.png"), HasSubstr("results.h5")));
}

TEST_F(Database, Of8BitsFindsTheSameFromMemoryAsFromDiskInAQuarterOfTheMemory) {
  BuildIndexOptions exact = options_for("all", {}), narrow = exact;
  exact.output = folder_ / "exact.h5";
  build_index(comm_, exact);
  narrow.output = folder_ / "narrow.h5";
  narrow.precision_bits = 8;
  build_index(comm_, narrow);
  const OpenIndex index = open_database(comm_, {{narrow.output}, {}, {}}, "", at::kCPU);
  OpenIndex wide = open_database(comm_, {{exact.output}, {}, {}}, "", at::kCPU);
  const std::int64_t gib = std::int64_t{1} << 30;
  EXPECT_GT(static_cast<double>(ExemplarBlocks::most_in_memory(index.parameters, gib)),
            3.4 * static_cast<double>(ExemplarBlocks::most_in_memory(wide.parameters, gib)));
  ExemplarBlocks kept(index, 0, 3, gib), streamed(index, 0, 3, 0);
  std::vector<at::Tensor> blocks;
  streamed.visit([&](std::span<const at::Tensor> run, std::int64_t) { blocks.push_back(run.front().clone()); });
  for (int time = 0; time < 2; ++time) {
    std::size_t seen = 0;
    kept.visit([&](std::span<const at::Tensor> run, std::int64_t first) {
      EXPECT_EQ(first, static_cast<std::int64_t>(seen));
      for (const at::Tensor& block : run) EXPECT_TRUE(at::equal(block, blocks[seen++]));
    });
    EXPECT_EQ(seen, 3U);
  }
  SearchOptions options = search_of({"narrow"}, "narrow_results"), in_full = search_of({"exact"}, "in_full");
  search(comm_, options);
  search(comm_, in_full);
  on_root([&] {
    const auto found = read_all_scores(options.output), expected = read_all_scores(in_full.output);
    for (const auto& [mark, scores] : expected) {
      for (std::size_t i = 0; i < scores.scores.size(); ++i) {
        EXPECT_NEAR(found.at(mark).scores[i], scores.scores[i], 0.02) << mark << " on " << i;
      }
    }
    EXPECT_EQ(read_candidates(options.csv).front().exemplar, id_of_exemplar(0));
  });
}

}  // namespace
}  // namespace outsole::retrieval::testing
