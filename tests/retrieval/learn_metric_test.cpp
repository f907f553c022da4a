// Metrics learned from a small database whose marks lie under stripes, on one rank or several, and searched by.

#include "retrieval/learn_metric.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <random>

#include "../features/weights_fixture.h"
#include "../message_of.h"
#include "core/errors.h"
#include "match/column_ncc.h"
#include "match/lanes.h"
#include "match/support.h"
#include "retrieval/folds.h"
#include "retrieval/metric.h"
#include "retrieval/open_index.h"
#include "retrieval_fixture.h"

namespace outsole::retrieval::testing {
namespace {

using outsole::testing::message_of;
using ::testing::HasSubstr;

constexpr int kShoes = 24, kMarks = 16;

/// Parts of exemplars under strong stripes of one direction, which some channels see and others do not.
class LearnMetric : public Retrieval {
 protected:
  void SetUp() override {
    Retrieval::SetUp();
    fill_once("LearnMetric", [&] { make_database(); });
  }

  void make_database() {
    const auto exemplars = synthetic_exemplars(kShoes, 120, 60);
    ingest(exemplars);
    for (int i = 0; i < kMarks; ++i) {
      write_mark(id_of_mark(i), {striped(exemplars[static_cast<std::size_t>(i)].image, i), {}});
    }
    on_root([&] {
      std::ofstream labels(folder_ / "labels.csv"), groups(folder_ / "groups.csv");
      labels << "mark,exemplar\n";
      for (int i = 0; i < kMarks; ++i) labels << id_of_mark(i) << "," << i << "\n";
      groups << "exemplar,group\n0,a\n1,a\n20,b\n21,b\n";
    });
    BuildIndexOptions options = index_options({"scattering"});
    options.image_scale = 1;
    build_index(comm_, options);
    search_by(options.output, {}, "plain");
    learn_metric(comm_, learn_options(LearnMethod::kWeights, subfolder("weights")));  // keeps the pairs
  }

  static std::string id_of_mark(int i) { return id_of_exemplar(static_cast<std::size_t>(i)).insert(0, 1, 'm'); }

  static cv::Mat1b striped(const cv::Mat1b& exemplar, int number) {
    cv::Mat1b mark = exemplar(cv::Rect(4 + number % 4, 18 + number % 5, 36, 76)).clone();
    std::mt19937 random(static_cast<unsigned>(number));
    const double phase = static_cast<double>(random() % 628) / 100;
    for (int y = 0; y < mark.rows; ++y) {
      for (int x = 0; x < mark.cols; ++x) {
        const double stripe = 110 * std::sin(2 * std::numbers::pi * x / 3.1 + phase + 0.02 * y);
        mark(y, x) = cv::saturate_cast<std::uint8_t>(0.16 * mark(y, x) + 80 + stripe + static_cast<int>(random() % 60));
      }
    }
    return mark;
  }

  SearchOptions plain_search() const {
    SearchOptions options = search_options();
    options.protocol.angles_deg = {0};
    options.protocol.stride_px = 2;
    options.csv.clear();
    return options;
  }

  LearnOptions learn_options(LearnMethod method, const fs::path& folder) const {
    LearnOptions options;
    options.search = plain_search();
    options.labels = folder_ / "labels.csv";
    options.groups = folder_ / "groups.csv";
    options.method = method;
    options.results = folder_ / "plain.h5";
    options.pairs = folder_ / "plain.pairs.h5";
    options.output = folder / "metric.h5";
    options.training.epochs = 3;
    options.training.adam.learning_rate = 1e-3;
    return options;
  }

  fs::path subfolder(const std::string& name) const {
    on_root([&] { fs::create_directories(folder_ / name); });
    return folder_ / name;
  }

  std::map<std::string, FoundScores> search_by(const fs::path& index, const fs::path& metric, const std::string& name) {
    SearchOptions options = plain_search();
    options.indexes = {index};
    options.metric = metric;
    options.output = folder_ / (name + ".h5");
    search(comm_, options);
    std::map<std::string, FoundScores> found;
    on_root([&] { found = read_all_scores(options.output); });
    return found;
  }

  /// Of each mark's true exemplar. On root.
  static std::vector<int> ranks_of(const std::map<std::string, FoundScores>& found) {
    std::vector<int> ranks;
    for (int i = 0; i < kMarks; ++i) {
      const std::vector<float>& scores = found.at(id_of_mark(i)).scores;
      ranks.push_back(1 + static_cast<int>(std::ranges::count_if(
                              scores, [&](float score) { return score > scores[static_cast<std::size_t>(i)]; })));
    }
    return ranks;
  }

  static double mean_reciprocal(const std::vector<int>& ranks) {
    double sum = 0;
    for (const int rank : ranks) sum += 1.0 / rank;
    return sum / static_cast<double>(ranks.size());
  }

  OpenIndex index() const {
    return open_index(store::Store(folder_ / "index.h5", kIndexSchema), "", at::Device(at::kCPU));
  }
  /// Not collective.
  MetricFile metrics(const fs::path& path) const { return read_metrics(path, index().parameters, "index.h5"); }
};

class LearnMetricOnOneRank : public LearnMetric {};

TEST_F(LearnMetric, IsTheSameToTheLastBitOnAnyNumberOfRanks) {
  const fs::path together = subfolder("together"), alone = subfolder("alone");
  const comm::Communicator own = comm_.split(comm_.rank());
  for (const LearnMethod method :
       {LearnMethod::kWeights, LearnMethod::kPca, LearnMethod::kCca, LearnMethod::kCcaWeights}) {
    LearnOptions options = learn_options(method, together);
    options.folds = 2;
    options.output = together / (name_of(method) + ".h5");
    options.pairs = together / "pairs.h5";
    options.results.clear();  // those of a search of its own
    if (method != LearnMethod::kWeights) {
      options.components = 12;
      options.results = together / "weights.results.h5";
    }
    learn_metric(comm_, options);
    if (comm_.is_root()) {
      for (fs::path* path : {&options.output, &options.pairs, &options.results}) {
        if (!path->empty()) *path = alone / path->filename();
      }
      learn_metric(own, options);
      EXPECT_EQ(store::Store(together / options.output.filename()).sha256(), store::Store(options.output).sha256())
          << name_of(method);
    }
    comm_.barrier();
  }
}

/// Numbers of a metric file, for comparison.
std::vector<double> doubles_of(const fs::path& path, const char* name) {
  return std::get<std::vector<double>>(store::Store(path).read(name).values);
}

TEST_F(LearnMetric, ChoosesARidgeAmongWhatItMayLearnFrom) {
  const std::vector<double> ridges = {1e-4, 1e4};
  for (const std::int64_t folds : {1, 4}) {
    LearnOptions options = learn_options(LearnMethod::kCca, subfolder("chosen" + std::to_string(folds)));
    options.folds = folds;
    options.components = 12;
    options.ridges = ridges;
    learn_metric(comm_, options);
    std::map<double, fs::path> alone;
    for (const double ridge : ridges) {
      LearnOptions single = options;
      single.ridges = {ridge};
      single.output = folder_ / ("ridge" + std::to_string(folds) + "_" + std::to_string(alone.size()) + ".h5");
      learn_metric(comm_, single);
      alone[ridge] = single.output;
    }
    on_root([&] {
      const std::vector<double> chosen = doubles_of(options.output, "ridge"),
                                projections = doubles_of(options.output, "mark_projection");
      ASSERT_EQ(std::ssize(chosen), folds);
      const std::size_t size = projections.size() / chosen.size();
      for (std::size_t fold = 0; fold < chosen.size(); ++fold) {
        ASSERT_TRUE(alone.contains(chosen[fold])) << chosen[fold];
        const std::vector<double> expected = doubles_of(alone[chosen[fold]], "mark_projection");
        for (std::size_t i = 0; i < size; ++i) {
          // A single metric's statistics are added up fold by fold where a ridge is chosen.
          const double tolerance = folds == 1 ? 1e-6 * (1 + std::abs(expected[i])) : 0;
          ASSERT_NEAR(projections[fold * size + i], expected[fold * size + i], tolerance);
        }
      }
    });
  }
}

TEST_F(LearnMetric, NeedsThreeFoldsToChooseARidge) {
  LearnOptions options = learn_options(LearnMethod::kCca, folder_);
  options.folds = 2;
  options.ridges = {1e-3, 1e-1};
  EXPECT_THROW(learn_metric(comm_, options), UsageError);
}

TEST_F(LearnMetricOnOneRank, HelpsMarksThatItHasNotSeen) {
  const auto plain = search_by(folder_ / "index.h5", {}, "plain");
  double untrained = 0;
  on_root([&] { untrained = mean_reciprocal(ranks_of(plain)); });
  for (const LearnMethod method : {LearnMethod::kWeights, LearnMethod::kCca, LearnMethod::kCcaWeights}) {
    LearnOptions options = learn_options(method, folder_);
    options.folds = 4;
    options.output = folder_ / (name_of(method) + ".h5");
    options.terms.alpha = 1;
    if (method != LearnMethod::kWeights) options.components = 24;
    learn_metric(comm_, options);
    const auto found = search_by(folder_ / "index.h5", options.output, "by_" + name_of(method));
    on_root([&] {
      EXPECT_GT(mean_reciprocal(ranks_of(found)), untrained + (method == LearnMethod::kWeights ? 0.01 : 0.05))
          << name_of(method);
    });
  }
}

TEST_F(LearnMetric, ScoresAreThoseOfTheDefinitionWithTheMetricOfTheFold) {
  LearnOptions options = learn_options(LearnMethod::kCcaWeights, folder_);
  options.folds = 3;
  options.components = 10;
  learn_metric(comm_, options);
  const auto found = search_by(folder_ / "index.h5", options.output, "folds");
  on_root([&] {
    const OpenIndex opened = index();
    const MetricFile file = metrics(options.output);
    const SearchProtocol& protocol = options.search.protocol;
    for (int i = 0; i < kMarks; i += 3) {
      const ScaledMark mark =
          read_scaled_mark(folder_ / "marks" / (id_of_mark(i) + ".png"), opened.parameters, protocol);
      const FoundScores& scores = found.at(id_of_mark(i));
      const auto place = std::ranges::find(file.mark_ids, id_of_mark(i)) - file.mark_ids.begin();
      const Metric& metric = file.metrics[static_cast<std::size_t>(file.mark_folds[static_cast<std::size_t>(place)])];
      for (const std::int32_t exemplar : {i, (i + 5) % kShoes}) {
        const NaivePose& told = scores.poses[static_cast<std::size_t>(exemplar)];
        const auto pose = pose_on_grid({told.angle_deg, told.y_px, told.x_px}, exemplar, mark, opened);
        ASSERT_TRUE(pose.has_value());
        std::vector<ViewTask> task = view_tasks(mark, 4);
        std::erase_if(task, [&](const ViewTask& one) {
          return one.offset.offset_y_px != pose->y_px % 4 || one.offset.offset_x_px != pose->x_px % 4;
        });
        const auto views = make_views(mark, task, *opened.extractor, opened.parameters, protocol, at::Device(at::kCPU));
        const auto column = opened.store.read("maps", exemplar / match::kLanes, 1);
        const at::Tensor block = at::tensor(std::get<std::vector<float>>(column.values))
                                     .view(at::IntArrayRef(column.shape).slice(1))
                                     .select(3, exemplar % match::kLanes);
        const auto columns =
            aligned_columns(views.at(0), *pose, block, opened.parameters.frame_cells(),
                            match::erosion_radius_cells(opened.parameters.map_height, opened.parameters.map_width,
                                                        protocol.erosion_fraction));
        const at::Tensor ncc =
            match::correlate_columns(at::mm(metric.mark_projection, columns.mark.to(at::kDouble)),
                                     at::mm(metric.exemplar_projection, columns.exemplar.to(at::kDouble)),
                                     at::full({10}, kFlatComponent, at::kDouble))
                .ncc;
        EXPECT_NEAR(scores.scores[static_cast<std::size_t>(exemplar)], at::dot(ncc, metric.weight).item<double>(),
                    2e-5);
      }
    }
  });
}

TEST_F(LearnMetric, AnIndexOfProjectedMapsGivesTheSameScoresAsProjectingInTheSearch) {
  LearnOptions options = learn_options(LearnMethod::kCcaWeights, folder_);
  options.components = 7;
  learn_metric(comm_, options);
  BuildIndexOptions projected = index_options({"scattering"});
  projected.image_scale = 1;
  projected.metric = options.output;
  projected.output = folder_ / "projected.h5";
  build_index(comm_, projected);
  const auto in_search = search_by(folder_ / "index.h5", options.output, "in_search");
  const auto in_index = search_by(projected.output, options.output, "in_index");
  on_root([&] {
    EXPECT_EQ(store::Store(projected.output).shape("maps")[1], 7);
    for (const auto& [id, found] : in_search) EXPECT_EQ(found.scores, in_index.at(id).scores) << id;
  });
  SearchOptions without = plain_search();
  without.indexes = {projected.output};
  without.output = folder_ / "without.h5";
  EXPECT_THAT(message_of<UsageError>([&] { search(comm_, without); }), HasSubstr("give that as `metric`, too"));
  without.metric = options.output;
  without.protocol.similarity = match::similarity_named("none,none");
  EXPECT_THAT(message_of<UsageError>([&] { search(comm_, without); }), HasSubstr("learned for mu_c,sigma_c"));
  LearnOptions again = options;
  again.search.indexes = {projected.output};
  again.output = folder_ / "again.h5";
  EXPECT_THAT(message_of<UsageError>([&] { learn_metric(comm_, again); }), HasSubstr("projected by a learned metric"));
}

TEST_F(LearnMetric, FinetuningLowersTheLossAndAgreesBetweenNumbersOfRanks) {
  const fs::path together = subfolder("together"), alone = subfolder("alone");
  const comm::Communicator own = comm_.split(comm_.rank());
  LearnOptions options = learn_options(LearnMethod::kFinetune, together);
  options.components = 8;
  options.terms.alpha = 1;
  options.terms.batch = 12;
  options.training.adam.learning_rate = 3e-3;
  learn_metric(comm_, options);
  if (comm_.is_root()) {
    LearnOptions single = options;
    single.output = alone / "metric.h5";
    learn_metric(own, single);
    const Metric a = metrics(options.output).metrics.front(), b = metrics(single.output).metrics.front();
    for (const auto& [there, here] :
         {std::pair{a.mark_projection, b.mark_projection}, std::pair{a.exemplar_projection, b.exemplar_projection},
          std::pair{a.weight, b.weight}}) {
      EXPECT_LT((there - here).norm().item<double>(), 1e-5 * here.norm().item<double>());
    }
    const CsvTable history = read_csv(together / "metric.training" / "fold_0" / "history.csv");
    ASSERT_EQ(history.rows.size(), 3u);
    const auto loss = [&](std::size_t row) { return std::stod(history.rows[row][history.column("loss")]); };
    EXPECT_LT(loss(2), loss(0));
  }
  comm_.barrier();
  // The same command finds it done; more epochs are another metric.
  EXPECT_TRUE(learn_metric(comm_, options).was_finished);
}

TEST_F(LearnMetricOnOneRank, FinetuningStartsFromAMetricWithTheSameFoldsOnly) {
  LearnOptions start = learn_options(LearnMethod::kCcaWeights, folder_);
  start.components = 6;
  start.folds = 2;
  start.output = folder_ / "start.h5";
  learn_metric(comm_, start);
  LearnOptions options = learn_options(LearnMethod::kFinetune, folder_);
  options.components = 6;
  options.folds = 2;
  options.init = start.output;
  learn_metric(comm_, options);
  LearnOptions other = options;
  other.folds = 4;
  other.output = folder_ / "other.h5";
  EXPECT_THAT(message_of<UsageError>([&] { learn_metric(comm_, other); }), HasSubstr("its folds are not these"));
  other.folds = 1;
  other.components = 5;
  EXPECT_THAT(message_of<UsageError>([&] { learn_metric(comm_, other); }), HasSubstr("has 6 components"));
}

TEST_F(LearnMetric, RefusesLabelsAndMarksThatAreNotThere) {
  const auto write = [&](const std::string& text) {
    on_root([&] { std::ofstream(folder_ / "other.csv") << "mark,exemplar\n" << text; });
  };
  LearnOptions options = learn_options(LearnMethod::kWeights, folder_);
  options.labels = folder_ / "other.csv";
  options.pairs.clear();  // which are of the labels
  write("m000,0\nm001,77\n");
  EXPECT_THAT(message_of<DataError>([&] { learn_metric(comm_, options); }),
              HasSubstr("other.csv, line 3: exemplar '77' is not among those searched"));
  write("nobody,3\n");
  EXPECT_THAT(message_of<DataError>([&] { learn_metric(comm_, options); }), HasSubstr("names none of the marks"));
  write("m000,0\nm001,1\nm002,2\n");
  options.groups.clear();
  options.folds = 2;
  EXPECT_THAT(message_of<UsageError>([&] { learn_metric(comm_, options); }), HasSubstr("a single mark"));
  options.folds = 1;
  options.method = LearnMethod::kCca;
  options.components = 1000;
  EXPECT_THAT(message_of<UsageError>([&] { learn_metric(comm_, options); }), HasSubstr("`components` 1000"));
}

TEST_F(LearnMetric, RefusesMarksWithoutAFoldAndResultsOfAnotherSearch) {
  LearnOptions options = learn_options(LearnMethod::kWeights, folder_);
  options.folds = 2;
  learn_metric(comm_, options);
  write_mark("stranger", {cv::Mat1b(60, 40, std::uint8_t{90}), {}});
  SearchOptions by_folds = plain_search();
  by_folds.metric = options.output;
  EXPECT_THAT(message_of<DataError>([&] { search(comm_, by_folds); }), HasSubstr("not among the marks in"));
  LearnOptions other = options;
  other.output = folder_ / "other.h5";
  other.search.protocol.stride_px = 4;
  EXPECT_THAT(message_of<DataError>([&] { learn_metric(comm_, other); }), HasSubstr("'stride_px' is not 4"));
}

TEST_F(LearnMetric, RefusesMetricsThatAreBrokenOrOfOtherFeatures) {
  LearnOptions options = learn_options(LearnMethod::kCca, folder_);
  options.components = 5;
  learn_metric(comm_, options);
  BuildIndexOptions pixels = index_options({"pixels"});
  pixels.output = folder_ / "pixels.h5";
  build_index(comm_, pixels);
  SearchOptions by_metric = plain_search();
  by_metric.indexes = {pixels.output};
  by_metric.metric = options.output;
  EXPECT_THAT(message_of<DataError>([&] { search(comm_, by_metric); }),
              HasSubstr("metric.h5: was learned from features whose"));

  // Of the right extractor, but with a number that is none, or of another size.
  const auto write_metric = [&](const std::string& name, const Metric& metric) {
    on_root([&] {
      store::StoreWriter writer(folder_ / name, {kMetricSchema, 1, features_of(index().parameters)}, 1, true);
      writer.write_unit(0, columns_of(metric));
      writer.finish();
    });
    by_metric.metric = folder_ / name;
  };
  by_metric.indexes = {folder_ / "index.h5"};
  Metric metric;
  metric.weight = at::full({81}, 0.1, at::kDouble);
  metric.weight[4] = std::nan("");
  write_metric("nan.h5", metric);
  EXPECT_THAT(message_of<DataError>([&] { search(comm_, by_metric); }),
              HasSubstr("nan.h5: 'weight' of metric 0 holds a number that is not finite"));
  metric.weight = at::full({7}, 0.1, at::kDouble);
  write_metric("small.h5", metric);
  EXPECT_THAT(message_of<DataError>([&] { search(comm_, by_metric); }), HasSubstr("compares 7 channels"));
  on_root([&] { fs::resize_file(folder_ / "metric.shards" / "00000.h5", 2000); });
  by_metric.metric = options.output;
  EXPECT_THAT(message_of<DataError>([&] { search(comm_, by_metric); }), HasSubstr("00000.h5"));
}

features::NamedTensor named(const std::string& name, const at::Tensor& values) {
  return {name, values.sizes().vec(), {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()}};
}

TEST_F(LearnMetricOnOneRank, TakesPublishedTensors) {
  at::manual_seed(17);
  const at::Tensor query = at::randn({6, 81}), trace = at::randn({6, 81}), w = at::randn({6});
  const fs::path file = folder_ / "published.safetensors";
  on_root([&] {
    features::write_safetensors(file, {named("query_T", query), named("trace_T", trace), named("w", w)});
  });
  LearnOptions options = learn_options(LearnMethod::kCca, folder_);
  import_metric(comm_, file, options);
  on_root([&] {
    const Metric metric = metrics(options.output).metrics.front();
    EXPECT_TRUE(at::equal(metric.weight, w.to(at::kDouble)));
    const at::Tensor ratio = metric.mark_projection / query.to(at::kDouble);  // rows are only scaled
    EXPECT_LT((ratio - ratio.slice(1, 0, 1)).abs().max().item<double>(), 1e-9 * ratio.abs().max().item<double>());
  });
  search_by(folder_ / "index.h5", options.output, "by_published");
  on_root([&] {
    features::write_safetensors(file, {named("query_T", at::randn({6, 80})), named("trace_T", trace), named("w", w)});
  });
  options.output = folder_ / "other.h5";
  EXPECT_THAT(message_of<DataError>([&] { import_metric(comm_, file, options); }),
              HasSubstr("tensor 'query_T' is not of up to 81 rows"));
}

}  // namespace
}  // namespace outsole::retrieval::testing
