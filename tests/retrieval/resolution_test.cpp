// Marks of another resolution than the exemplars': scaled to it where both are known, and told.

#include <gmock/gmock.h>

#include <opencv2/imgproc.hpp>

#include "../message_of.h"
#include "core/errors.h"
#include "core/files.h"
#include "image/image.h"
#include "retrieval/learn_metric.h"
#include "retrieval/learning_pairs.h"
#include "retrieval/open_index.h"
#include "retrieval/relevance.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(FactorToExemplars, IsOneUnlessBothAreKnownAndDiffer) {
  EXPECT_EQ(factor_to_exemplars(200, 100), 0.5);
  EXPECT_EQ(factor_to_exemplars(100, 300), 3);
  EXPECT_EQ(factor_to_exemplars(0, 100), 1);
  EXPECT_EQ(factor_to_exemplars(200, 0), 1);
  EXPECT_EQ(factor_to_exemplars(0, 0), 1);
  EXPECT_EQ(factor_to_exemplars(299.9994, 300), 1) << "files round";
  EXPECT_NE(factor_to_exemplars(297, 300), 1);
}

/// Twelve exemplars of 100 dpi, some mirrored; marks are of the sixth.
class Resolution : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    exemplars_ = synthetic_exemplars(12, 160, 80);
    ingest_as_tiff({});
    build_index(comm_, index_options());
  }

  /// Their resolutions, by number, where they are not 100.
  void ingest_as_tiff(const std::map<std::size_t, double>& others) {
    const std::string folder = "tiff" + std::to_string(++collections_);
    on_root([&] {
      fs::create_directory(folder_ / folder);
      std::ofstream manifest(folder_ / (folder + ".csv"));
      manifest << "file,mirror\n";
      for (std::size_t i = 0; i < exemplars_.size(); ++i) {
        const auto other = others.find(i);
        const double dpi = other == others.end() ? 100 : other->second;
        const std::string file = id_of_exemplar(i) + ".tiff";
        image::write_tiff(folder_ / folder / file, exemplars_[i].image, dpi);
        manifest << file << "," << exemplars_[i].mirror << "\n";
      }
    });
    ingest::IngestOptions options;
    options.inputs = {folder_ / folder};
    options.manifest = folder_ / (folder + ".csv");
    options.output = folder_ / (folder + ".h5");
    options.strict = true;
    ingest::ingest_images(comm_, options, ingest::exemplar_kind());
  }

  BuildIndexOptions index_options() const {
    BuildIndexOptions options = Retrieval::index_options({"pixels"});
    options.exemplars = folder_ / ("tiff" + std::to_string(collections_) + ".h5");
    return options;
  }

  SearchOptions search_options() const {
    SearchOptions options = Retrieval::search_options();
    options.protocol.angles_deg = {0};
    return options;
  }

  static constexpr std::size_t kTrue = 5, kMirrored = 10;

  cv::Mat1b part(std::size_t exemplar = kTrue) const {
    return exemplars_[exemplar].image(cv::Rect(16, 32, 36, 60)).clone();
  }
  static cv::Mat1b resized(const cv::Mat1b& image, double factor) {
    cv::Mat1b result;
    cv::resize(image, result, {}, factor, factor, factor < 1 ? cv::INTER_AREA : cv::INTER_NEAREST);
    return result;
  }
  /// 0: a file that does not say it.
  void write_mark_of(const std::string& id, const cv::Mat1b& mark, double dpi) const {
    if (dpi == 0) return write_mark(id, {mark, {}});
    on_root([&] {
      fs::create_directory(folder_ / "marks");
      image::write_tiff(folder_ / "marks" / (id + ".tiff"), mark, dpi);
    });
  }

  /// By mark, the first candidate. Not collective.
  std::map<std::string, Candidate> firsts() const {
    std::map<std::string, Candidate> found;
    for (const Candidate& candidate : read_candidates(folder_ / "results.csv")) {
      if (candidate.rank == 1) found[candidate.mark] = candidate;
    }
    return found;
  }
  nlohmann::json details() const {
    return nlohmann::json::parse(read_text_file(folder_ / "results.provenance.json")).at("details");
  }

  std::vector<NaiveExemplar> exemplars_;
  int collections_ = 0;
};

TEST_F(Resolution, MarksOfAnyAreFoundWhereTheyAreFromAndTheResultsSayTheScale) {
  write_mark_of("same", part(), 100);
  write_mark_of("double", resized(part(), 2), 200);
  write_mark_of("triple", resized(part(), 3), 300);
  write_mark_of("half", resized(part(), 0.5), 50);
  cv::Mat1b mirrored;
  cv::flip(resized(part(kMirrored), 2), mirrored, 1);
  write_mark_of("mirrored", mirrored, 200);
  write_mark_of("unknown", part(), 0);
  write_mark_of("phone", part(), 72);  // which nobody believes
  write_mark_of("alike", part(), 100.04);
  const SearchSummary summary = search(comm_, search_options());
  on_root([&] {
    const std::map<std::string, double> scales = {{"same", 1},    {"double", 0.5}, {"triple", 1.0 / 3}, {"half", 2},
                                                  {"unknown", 1}, {"phone", 1},    {"alike", 1}};
    const auto found = firsts();
    for (const auto& [id, scale] : scales) {
      const Candidate& first = found.at(id);
      EXPECT_EQ(first.exemplar, id_of_exemplar(kTrue)) << id;
      EXPECT_GT(first.score, 0.9) << id;
      EXPECT_NEAR(first.scale, scale, 1e-6) << id;
      EXPECT_NEAR(first.y_px, 32 + 29.5, 2.1) << id;
      EXPECT_NEAR(first.x_px, 16 + 17.5, 2.1) << id;
    }
    EXPECT_EQ(found.at("mirrored").exemplar, id_of_exemplar(kMirrored));
    EXPECT_TRUE(found.at("mirrored").mirrored);
    EXPECT_NEAR(found.at("mirrored").x_px, 16 + 17.5, 2.1);

    const store::Store results(folder_ / "results.h5");
    EXPECT_EQ(results.header().parameters.at("exemplar_dpi"), 100);
    EXPECT_EQ(std::get<std::vector<double>>(results.read("mark_dpi").values),
              (std::vector<double>{100, 200, 50, 200, 0, 100, 300, 0}));  // by name
    EXPECT_EQ(summary.exemplar_dpi, 100);
    const auto told = nlohmann::json::parse(R"([{"mark_dpi": 0, "factor": 1, "marks": 2},
                                                {"mark_dpi": 50, "factor": 2, "marks": 1},
                                                {"mark_dpi": 100, "factor": 1, "marks": 2},
                                                {"mark_dpi": 200, "factor": 0.5, "marks": 2},
                                                {"mark_dpi": 300, "factor": 0.333, "marks": 1}])");
    const auto resolutions = details().at("resolutions");
    ASSERT_EQ(resolutions.size(), told.size());
    for (std::size_t i = 0; i < told.size(); ++i) {
      EXPECT_EQ(resolutions[i].at("mark_dpi"), told[i].at("mark_dpi"));
      EXPECT_EQ(resolutions[i].at("marks"), told[i].at("marks"));
      EXPECT_NEAR(resolutions[i].at("factor").get<double>(), told[i].at("factor").get<double>(), 1e-3);
      EXPECT_EQ(summary.resolutions[i].marks, told[i].at("marks"));
    }
  });
}

TEST_F(Resolution, OfMarksThatIsToldCountsForAllOfThem) {
  write_mark_of("unknown", resized(part(), 2), 0);
  write_mark_of("wrong", resized(part(), 2), 100);
  SearchOptions options = search_options();
  options.protocol.mark_dpi = 200;
  search(comm_, options);
  on_root([&] {
    for (const auto& [id, first] : firsts()) {
      EXPECT_EQ(first.exemplar, id_of_exemplar(kTrue)) << id;
      EXPECT_EQ(first.scale, 0.5) << id;
      EXPECT_GT(first.score, 0.9) << id;
    }
    EXPECT_EQ(details().at("mark_dpi"), 200);
  });
  // Finished or interrupted, results are not taken for those of another resolution.
  for (const bool is_finished : {true, false}) {
    if (!is_finished) on_root([&] { fs::remove(folder_ / "results.h5"); });
    for (const std::optional<double>& other : {std::optional<double>(150), std::optional<double>()}) {
      options.protocol.mark_dpi = other;
      EXPECT_THAT(message_of<DataError>([&] { search(comm_, options); }),
                  AllOf(HasSubstr("mark_dpi"), HasSubstr("results.h5"), HasSubstr("200")));
    }
  }
  for (const double wrong : {-200.0, 0.0, 5.0, 1e9}) {
    options.protocol.mark_dpi = wrong;
    EXPECT_THAT(message_of<UsageError>([&] { search(comm_, options); }), HasSubstr("`mark_dpi`: from 10 to 20000"));
  }
}

TEST_F(Resolution, AMarkScaledToNothingIsNamed) {
  write_mark_of("same", part(), 100);
  write_mark_of("dot", part(), 12000);
  SearchOptions options = search_options();
  options.strict = false;
  const SearchSummary summary = search(comm_, options);
  on_root([&] {
    ASSERT_EQ(summary.skipped.size(), 1U);
    EXPECT_THAT(summary.skipped[0], AllOf(HasSubstr("dot.tiff"), HasSubstr("support")));
  });
}

TEST_F(Resolution, OfAlignedMarksCountsToo) {
  write_mark_of("double", resized(exemplars_[kTrue].image, 2), 200);
  write_mark_of("same", exemplars_[kTrue].image, 100);
  cv::Mat1b noise(20, 20);
  cv::RNG(3).fill(noise, cv::RNG::UNIFORM, 0, 256);
  write_mark_of("huge", noise, 10);
  SearchOptions options = search_options();
  options.protocol.as_they_lie = true;
  search(comm_, options);
  on_root([&] {
    const auto found = firsts();
    for (const char* id : {"same", "double"}) {
      const Candidate& first = found.at(id);
      EXPECT_EQ(first.exemplar, id_of_exemplar(kTrue)) << id;
      EXPECT_NEAR(first.score, 1, 1e-3) << id;
      EXPECT_NEAR(first.y_px, (exemplars_[kTrue].image.rows - 1) / 2.0, 0.006) << id;
      EXPECT_NEAR(first.x_px, (exemplars_[kTrue].image.cols - 1) / 2.0, 0.006) << id;
    }
    EXPECT_EQ(found.at("double").scale, 0.5);
    EXPECT_EQ(found.at("huge").scale, 10);
  });
  options.protocol.mark_dpi = 10;
  IndexParameters fine = open_index(store::Store(options.indexes.front(), kIndexSchema), "", at::kCPU).parameters;
  fine.exemplar_dpi = 20000;
  EXPECT_THAT(message_of<DataError>([&] { read_scaled_mark(folder_ / "marks/same.tiff", fine, options.protocol); }),
              AllOf(HasSubstr("same.tiff"), HasSubstr("is its resolution right?")));
}

/// The exemplars' resolution that an index keeps.
double dpi_of(const fs::path& index) {
  return open_index(store::Store(index, kIndexSchema), "", at::kCPU).parameters.exemplar_dpi;
}

TEST_F(Resolution, OfExemplarsMustBeOneAndIsNotKnownWhereSomeDoNotSayIt) {
  on_root([&] { EXPECT_EQ(dpi_of(folder_ / "index.h5"), 100); });
  ingest_as_tiff({{5, 200}});
  BuildIndexOptions options = index_options();
  options.output = folder_ / "other.h5";
  EXPECT_THAT(message_of<DataError>([&] { build_index(comm_, options); }),
              AllOf(HasSubstr("'005'"), HasSubstr("'000'"), HasSubstr("200"), HasSubstr("`exemplar_dpi`")));
  EXPECT_FALSE(fs::exists(folder_ / "other.shards"));
  comm_.barrier();
  options.exemplar_dpi = 150;
  build_index(comm_, options);
  on_root([&] { EXPECT_EQ(dpi_of(options.output), 150); });

  ingest_as_tiff({{5, 72}});
  options = index_options();
  options.output = folder_ / "some.h5";
  EXPECT_EQ(index_facts(options).without_dpi, 1);
  build_index(comm_, options);
  on_root([&] { EXPECT_EQ(dpi_of(options.output), 0); });
  for (const double wrong : {-100.0, 0.0, 1e9}) {
    options.exemplar_dpi = wrong;
    EXPECT_THAT(message_of<UsageError>([&] { build_index(comm_, options); }), HasSubstr("`exemplar_dpi`"));
  }
}

TEST_F(Resolution, OfMarksChangesNothingWhereThatOfTheExemplarsIsNotKnown) {
  ingest(exemplars_);
  BuildIndexOptions index = Retrieval::index_options({"pixels"});
  index.output = folder_ / "unknown.h5";
  build_index(comm_, index);
  write_mark_of("double", resized(part(), 2), 200);
  SearchOptions options = search_options();
  options.indexes = {index.output};
  const SearchSummary summary = search(comm_, options);
  on_root([&] {
    EXPECT_EQ(summary.exemplar_dpi, 0);
    ASSERT_EQ(summary.resolutions.size(), 1U);
    EXPECT_EQ(summary.resolutions[0].dpi, 200);
    EXPECT_EQ(summary.resolutions[0].factor, 1);
    EXPECT_FALSE(store::Store(options.output).header().parameters.contains("exemplar_dpi"));
    EXPECT_GT(firsts().at("double").scale, 0.9);  // as large as the frame, or nearly so
  });
  options.output = folder_ / "other.h5";
  options.protocol.mark_dpi = 200;
  EXPECT_THAT(message_of<UsageError>([&] { search(comm_, options); }),
              AllOf(HasSubstr("`mark_dpi`"), HasSubstr("unknown.h5"), HasSubstr("--exemplar-dpi")));
}

TEST_F(Resolution, IsTheSameWhereMarksAreLearnedFromOrLaidOverExemplars) {
  for (const std::size_t exemplar : {std::size_t{0}, kTrue}) {
    write_mark_of("m" + std::to_string(exemplar), resized(part(exemplar), 2), 0);
  }
  on_root([&] { std::ofstream(folder_ / "labels.csv") << "mark,exemplar\nm0,0\nm5,5\n"; });
  SearchOptions searched = search_options();
  searched.protocol.mark_dpi = 200;
  search(comm_, searched);
  PairOptions options;
  options.results = searched.output;
  options.marks = searched.marks;
  options.labels = folder_ / "labels.csv";
  options.protocol = searched.protocol;
  options.protocol.mark_dpi.reset();
  options.output = folder_ / "pairs.h5";
  const OpenIndex index = open_index(store::Store(searched.indexes.front(), kIndexSchema), "", at::kCPU);
  EXPECT_THAT(message_of<DataError>([&] { make_learning_pairs(comm_, options, index); }),
              AllOf(HasSubstr("results.h5"), HasSubstr("'mark_dpi'")));
  options.protocol.mark_dpi = 200;
  make_learning_pairs(comm_, options, index);
  on_root([&] {
    const store::Store pairs(options.output);
    EXPECT_EQ(pairs.header().parameters.at("mark_dpi"), 200);
    EXPECT_GT(std::get<std::vector<double>>(pairs.read("ncc").values)[0], 0.9);
    const ingest::ExemplarStore exemplars(index_options().exemplars);
    const Candidate first = firsts().at("m5");
    const ScaledMark mark = read_scaled_mark(folder_ / "marks/m5.png", index.parameters, searched.protocol);
    const PosedPair pair = posed_pair(mark, exemplars.record(5), index, searched.protocol,
                                      {first.angle_deg, first.y_px, first.x_px, first.scale, first.mirrored});
    EXPECT_TRUE(pair.support.any().item<bool>());
  });
}

TEST_F(Resolution, FoldsOfAMetricKeepEqualPixelsTogether) {
  exemplars_[4].image = exemplars_[1].image.clone();
  exemplars_[10].image = exemplars_[1].image.clone();
  exemplars_[10].mirror = !exemplars_[1].mirror;
  ingest_as_tiff({});
  BuildIndexOptions index = index_options();
  index.output = folder_ / "equal.h5";
  build_index(comm_, index);
  on_root([&] {
    std::ofstream labels(folder_ / "labels.csv");
    labels << "mark,exemplar\n";
    for (int i = 0; i < 12; ++i) labels << "m" << i << "," << i << "\n";
  });
  for (std::size_t i = 0; i < 12; ++i) {
    cv::Mat1b mark = part(i);
    mark(0, 0) = static_cast<uchar>(i);  // no mark is another's image
    write_mark_of("m" + std::to_string(i), mark, 100);
  }
  LearnOptions options;
  options.search = search_options();
  options.search.indexes = {index.output};
  options.search.csv.clear();
  options.labels = folder_ / "labels.csv";
  options.method = LearnMethod::kWeights;
  options.folds = 3;
  options.output = folder_ / "metric.h5";
  const LearnSummary summary = learn_metric(comm_, options);
  on_root([&] {
    const store::Store metric(options.output), pairs(folder_ / "metric.pairs.h5");
    const auto fold = std::get<std::vector<std::int32_t>>(metric.read("exemplar_fold").values);
    EXPECT_EQ(fold[4], fold[1]);
    EXPECT_EQ(fold[10], fold[1]);
    // Nor is one a wrong exemplar for another's mark.
    const auto mark = std::get<std::vector<std::int32_t>>(pairs.read("mark").values),
               exemplar = std::get<std::vector<std::int32_t>>(pairs.read("exemplar").values);
    const auto ids = std::get<std::vector<std::string>>(pairs.read("mark_id").values);
    for (std::size_t i = 0; i < mark.size(); ++i) {
      const bool is_of_copy = exemplar[i] == 4 || exemplar[i] == 10;
      if (ids[static_cast<std::size_t>(mark[i])] == "m1") EXPECT_FALSE(is_of_copy);
    }
    EXPECT_EQ(summary.mark_files, 12);
    EXPECT_EQ(summary.exemplar_dpi, 100);
    ASSERT_EQ(summary.resolutions.size(), 1U);
    EXPECT_EQ(summary.resolutions[0].marks, 12);
    const auto told = nlohmann::json::parse(read_text_file(folder_ / "metric.provenance.json")).at("details");
    EXPECT_EQ(told.at("account").at("read"), 12);
    EXPECT_EQ(told.at("resolutions").size(), 1U);
  });
}

}  // namespace
}  // namespace outsole::retrieval::testing
