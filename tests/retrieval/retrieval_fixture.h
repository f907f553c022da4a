#pragma once
// A small database and marks in a folder shared by all ranks, indexed and searched by the pipeline.

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/csv.h"
#include "ingest/ingest_exemplars.h"
#include "naive_retrieval.h"
#include "retrieval/build_index.h"
#include "retrieval/search.h"
#include "retrieval/search_results.h"
#include "store/store.h"
#include "synth/exemplar.h"

namespace outsole::retrieval::testing {

namespace fs = std::filesystem;

/// A line of the table of candidates.
struct Candidate {
  std::string mark, exemplar;
  int rank = 0;
  double score = 0, angle_deg = 0, y_px = 0, x_px = 0, scale = 0;
  bool mirrored = false;
};

/// What a store of results with all scores says of one mark, by exemplar.
struct FoundScores {
  std::vector<float> scores;
  std::vector<NaivePose> poses;
};

/// A folder of this process, removed at its end.
struct KeptFolder {
  KeptFolder() {
    std::string name = (fs::temp_directory_path() / "outsole-retrieval-kept-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~KeptFolder() { fs::remove_all(path); }
  KeptFolder(const KeptFolder&) = delete;
  KeptFolder& operator=(const KeptFolder&) = delete;

  fs::path path;
};

/// Every member is collective but those that say otherwise.
class Retrieval : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "outsole-retrieval-XXXXXX").string();
    on_root([&] { ASSERT_NE(mkdtemp(name.data()), nullptr); });
    folder_ = comm_.broadcast(name);
  }
  void TearDown() override {
    comm_.barrier();
    on_root([&] { fs::remove_all(folder_); });
  }

  /// Rank 0 runs `work`; all go on when it is done.
  void on_root(const std::function<void()>& work) const {
    if (comm_.is_root()) work();
    comm_.barrier();
  }

  /// Fills the fresh folder by `make`; later tests that give the same name get a copy of what it made.
  void fill_once(const std::string& name, const std::function<void()>& make) const {
    static const KeptFolder kept;
    static std::set<std::string> made;
    const bool is_first = made.insert(name).second;
    if (is_first) make();
    on_root([&] {
      const fs::path copy = kept.path / name;
      fs::copy(is_first ? folder_ : copy, is_first ? copy : folder_, fs::copy_options::recursive);
    });
  }

  /// Synthetic outsoles of about this size, all different, every seventh one marked as to be mirrored. Not collective.
  static std::vector<NaiveExemplar> synthetic_exemplars(int count, int height_px, int width_px) {
    static std::map<std::array<int, 3>, cv::Mat1b> rendered;  // which takes longer than most of what they are used for
    std::vector<NaiveExemplar> exemplars;
    for (int i = 0; i < count; ++i) {
      const int height = height_px - i % 3 * 4, width = width_px - i % 5 * 3;
      cv::Mat1b& image = rendered[{i, height, width}];
      if (image.empty()) {
        image = synth::render_exemplar(synth::make_outsole(11, static_cast<std::uint64_t>(i)), height, width);
      }
      exemplars.push_back({image.clone(), i % 7 == 3});
    }
    return exemplars;
  }

  /// Ids are 000, 001, ...
  void ingest(const std::vector<NaiveExemplar>& exemplars) {
    on_root([&] {
      fs::create_directory(folder_ / "exemplars");
      std::ofstream manifest(folder_ / "manifest.csv");
      manifest << "file,mirror\n";
      for (std::size_t i = 0; i < exemplars.size(); ++i) {
        const std::string file = id_of_exemplar(i) + ".png";
        ASSERT_TRUE(cv::imwrite((folder_ / "exemplars" / file).string(), exemplars[i].image));
        manifest << file << "," << exemplars[i].mirror << "\n";
      }
    });
    ingest::IngestOptions options;
    options.inputs = {folder_ / "exemplars"};
    options.manifest = folder_ / "manifest.csv";
    options.output = folder_ / "exemplars.h5";
    options.strict = true;
    ingest::ingest_images(comm_, options, ingest::exemplar_kind());
  }

  static std::string id_of_exemplar(std::size_t index) {
    std::string digits = std::to_string(index);
    return digits.insert(0, 3 - digits.size(), '0');
  }

  void write_mark(const std::string& id, const NaiveMark& mark) const {
    on_root([&] {
      fs::create_directory(folder_ / "marks");
      ASSERT_TRUE(cv::imwrite((folder_ / "marks" / (id + ".png")).string(), mark.image));
      if (mark.mask.empty()) return;
      ASSERT_TRUE(cv::imwrite((folder_ / "marks" / (id + ".mask.png")).string(), mark.mask));
    });
  }

  BuildIndexOptions index_options(const features::ExtractorSpec& extractor) const {
    BuildIndexOptions options;
    options.exemplars = folder_ / "exemplars.h5";
    options.output = folder_ / "index.h5";
    options.extractor = extractor;
    return options;
  }

  SearchOptions search_options() const {
    SearchOptions options;
    options.indexes = {folder_ / "index.h5"};
    options.marks = {folder_ / "marks"};
    options.output = folder_ / "results.h5";
    options.csv = folder_ / "results.csv";
    options.all_scores = true;
    options.strict = true;
    return options;
  }

  /// By mark's id. Not collective.
  static std::map<std::string, FoundScores> read_all_scores(const fs::path& results) {
    const store::Store store(results, kResultsSchema);
    const auto marks = std::get<std::vector<std::string>>(store.read("mark_id").values);
    std::map<std::string, FoundScores> found;
    for (std::size_t row = 0; row < marks.size(); ++row) {
      const auto numbers = [&](const char* name) {
        return std::get<std::vector<double>>(store.read(name, static_cast<std::int64_t>(row), 1).values);
      };
      FoundScores& mark = found[marks[row]];
      mark.scores = std::get<std::vector<float>>(store.read("score", static_cast<std::int64_t>(row), 1).values);
      const auto angle_deg = numbers("angle_deg"), y_px = numbers("y_px"), x_px = numbers("x_px");
      for (std::size_t i = 0; i < angle_deg.size(); ++i) mark.poses.push_back({angle_deg[i], y_px[i], x_px[i]});
    }
    return found;
  }

  /// Not collective.
  static std::vector<Candidate> read_candidates(const fs::path& csv) {
    const CsvTable table = read_csv(csv);
    std::vector<Candidate> candidates;
    for (const auto& row : table.rows) {
      const auto text = [&](const char* name) { return row[table.column(name)]; };
      const auto number = [&](const char* name) { return std::stod(text(name)); };
      candidates.push_back({text("mark"), text("exemplar"), std::stoi(text("rank")), number("score"),
                            number("angle_deg"), number("y_px"), number("x_px"), number("scale"),
                            text("mirrored") == "1"});
    }
    return candidates;
  }

  /// SHA-256 of a store's view, which holds those of its shards. Not collective.
  std::string sha256(const std::string& name) const { return store::Store(folder_ / name).sha256(); }

  comm::Communicator comm_;
  fs::path folder_;
};

}  // namespace outsole::retrieval::testing
