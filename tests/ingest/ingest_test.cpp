#include "ingest/ingest.h"

#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <sstream>

#include "../shared_folder.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "image/geometry.h"
#include "image/image.h"
#include "ingest/duplicates.h"
#include "ingest/exemplars.h"
#include "ingest/ingest_exemplars.h"
#include "retrieval/exemplar_image.h"

namespace outsole::ingest {
namespace {

namespace fs = std::filesystem;

class Ingest : public testing::SharedFolder {
 protected:
  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] { fs::create_directory(folder_ / "images"); });
    options_.inputs = {folder_ / "images"};
    options_.output = folder_ / "exemplars.h5";
  }

  static cv::Mat pattern(int height_px, int width_px, int type, int seed) {
    cv::Mat image(height_px, width_px, type);
    cv::RNG(static_cast<std::uint64_t>(seed) + 1)
        .fill(image, cv::RNG::UNIFORM, 0, CV_MAT_DEPTH(type) == CV_16U ? 65536 : 256);
    return image;
  }

  void write_pattern(const std::string& name, int height_px, int width_px, int type = CV_8UC1, int seed = 0) const {
    ASSERT_TRUE(cv::imwrite((folder_ / "images" / name).string(), pattern(height_px, width_px, type, seed)));
  }

  /// 150 small images: three units.
  void write_three_units() const {
    for (int i = 0; i < 150; ++i) {
      std::string name = std::to_string(1000 + i);
      write_pattern(name.append(".png"), 5 + i % 4, 4 + i % 3, CV_8UC1, i);
    }
  }

  /// The message that every rank gets when ingesting ends with an error of class Kind.
  template <typename Kind>
  std::string refusal() const {
    try {
      ingest_images(comm_, options_, exemplar_kind());
    } catch (const Kind& error) {
      EXPECT_TRUE(error.known_to_all_ranks());
      return error.what();
    }
    ADD_FAILURE() << "no refusal";
    return {};
  }

  bool has_output() const { return fs::exists(options_.output) || fs::exists(folder_ / "exemplars.shards"); }

  IngestOptions options_;
};

TEST_F(Ingest, KeepsPixelsDepthColourAndDigest) {
  prepare([&] {
    write_pattern("a.png", 30, 20);
    write_pattern("b.png", 7, 9, CV_16UC1);
    write_pattern("c.png", 8, 8, CV_8UC3);
  });
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    EXPECT_EQ(summary.files, 3);
    EXPECT_EQ(summary.images, 3);
    EXPECT_EQ(summary.colour_images, 1);
    EXPECT_EQ(summary.sixteen_bit_images, 1);
    const ingest::ExemplarStore store(options_.output);
    EXPECT_EQ(store.ids(), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(cv::norm(retrieval::exemplar_image(store.record(0)), pattern(30, 20, CV_8UC1, 0), cv::NORM_INF), 0);
    EXPECT_EQ(cv::norm(retrieval::exemplar_image(store.record(1)), pattern(7, 9, CV_16UC1, 0), cv::NORM_INF), 0);
    EXPECT_TRUE(store.record(2).was_colour);
    EXPECT_EQ(store.record(2).bit_depth, 8);
    EXPECT_EQ(store.record(0).source_sha256, sha256_of_file(folder_ / "images" / "a.png"));
    EXPECT_TRUE(fs::exists(folder_ / "exemplars.provenance.json"));
    EXPECT_TRUE(store.store().validate().empty());
  }
}

TEST_F(Ingest, SkipsAndNamesEveryBadFile) {
  prepare([&] {
    write_pattern("good.png", 6, 6);
    write_pattern("large.png", 50, 60);
    write("images/empty.png", "");
    write("images/text.png", "not an image");
    write("images/cut.jpg", "\xFF\xD8\xFF\xE0");
  });
  options_.limits.max_pixels = 1000;
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    EXPECT_EQ(summary.images, 1);
    ASSERT_EQ(summary.skipped.size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) {
      const std::string name = std::vector<std::string>{"cut.jpg", "empty.png", "large.png", "text.png"}[i];
      EXPECT_EQ(summary.skipped[i].file, (folder_ / "images" / name).string());
      EXPECT_NE(summary.skipped[i].reason.find(name), std::string::npos);
    }
    std::ifstream file(folder_ / "exemplars.provenance.json");
    EXPECT_EQ(nlohmann::json::parse(file).at("details").at("skipped").size(), 4u);
  }
}

TEST_F(Ingest, StrictStopsAtABadFileAndLeavesNothing) {
  prepare([&] {
    write_three_units();
    write("images/1100.png", "not an image");
  });
  options_.strict = true;
  EXPECT_NE(refusal<DataError>().find("1100.png"), std::string::npos);
  comm_.barrier();
  EXPECT_FALSE(has_output());
}

TEST_F(Ingest, RefusesAFolderWithoutAReadableImage) {
  prepare([&] { write("images/a.png", "not an image"); });
  EXPECT_NE(refusal<DataError>().find("a.png"), std::string::npos);
  comm_.barrier();
  EXPECT_FALSE(has_output());
}

TEST_F(Ingest, RefusesEqualIds) {
  prepare([&] {
    write_pattern("1.png", 6, 6);
    write_pattern("1.jpg", 6, 6);
  });
  const std::string message = refusal<DataError>();
  EXPECT_NE(message.find("1.png"), std::string::npos);
  EXPECT_NE(message.find("1.jpg"), std::string::npos);
  EXPECT_FALSE(has_output());
}

TEST_F(Ingest, RefusesIdsThatAStoreCannotHold) {
  for (const std::string& id : {std::string(129, 'x'), std::string("new\nline"), std::string("latin\xE9")}) {
    prepare([&] { write_pattern(id + ".png", 6, 6); });
    EXPECT_NE(refusal<DataError>().find("rename it"), std::string::npos);
    EXPECT_FALSE(has_output());
    comm_.barrier();
    prepare([&] { fs::remove(folder_ / "images" / (id + ".png")); });
  }
}

TEST_F(Ingest, RefusesAnOutputThatIsNoStore) {
  prepare([&] { write_pattern("a.png", 6, 6); });
  options_.output = folder_ / "exemplars.png";
  refusal<UsageError>();
}

TEST_F(Ingest, JoinsTheManifestByFile) {
  prepare([&] {
    write_pattern("a.png", 4, 5);
    write_pattern("b.png", 4, 5);
    write_pattern("c.png", 4, 5);
    write("manifest.csv",
          "file,mirror,brand\nimages/a.png,1,\"Gr\xC3\xB6\xC3\x9F"
          "e, Co\"\nb.png,0,other\ngone.png,0,none\n");
  });
  options_.manifest = folder_ / "manifest.csv";
  EXPECT_NE(refusal<DataError>().find("row 3: 'gone.png' is not among the inputs"), std::string::npos);
  options_.lenient = true;
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    EXPECT_EQ(summary.images, 3);
    EXPECT_EQ(summary.mirrored_images, 1);
    ASSERT_EQ(summary.manifest_mismatches.size(), 2u);
    EXPECT_NE(summary.manifest_mismatches[0].find("gone.png"), std::string::npos);
    EXPECT_NE(summary.manifest_mismatches[1].find("c.png"), std::string::npos);
    const ingest::ExemplarStore store(options_.output);
    const ingest::ExemplarRecord a = store.record(0);
    EXPECT_TRUE(a.mirror);
    EXPECT_EQ(a.metadata, nlohmann::json({{"brand",
                                           "Gr\xC3\xB6\xC3\x9F"
                                           "e, Co"}}));
    EXPECT_EQ(store.record(2).metadata, nlohmann::json::object());
    const cv::Mat stored = image::to_float(retrieval::exemplar_image(a));
    EXPECT_EQ(cv::norm(retrieval::exemplar_for_search(a), image::mirrored(stored), cv::NORM_INF), 0);
  }
}

TEST_F(Ingest, AccountsForWhatItDoesNotReadInProvenance) {
  prepare([&] {
    write_pattern("a.png", 4, 5);
    write("images/b.bmp", "BM");
    write("images/._a.png", "x");
    write("images/Thumbs.db", "x");
    fs::create_directory(folder_ / "images/more");
    write("images/a.mask.TIF", "x");
  });
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (!comm_.is_root()) return;
  EXPECT_EQ(summary.not_read.size(), 5u);
  const auto details = nlohmann::json::parse(read_text_file(folder_ / "exemplars.provenance.json")).at("details");
  EXPECT_EQ(details.at("account").at("read"), 1);
  std::map<std::string, std::string> reasons;
  for (const auto& entry : details.at("account").at("not_read")) {
    reasons[fs::path(entry.at("path").get<std::string>()).filename()] = entry.at("reason");
  }
  EXPECT_EQ(reasons, (std::map<std::string, std::string>{{"b.bmp", "extension"},
                                                         {"._a.png", "system"},
                                                         {"Thumbs.db", "system"},
                                                         {"more", "folder"},
                                                         {"a.mask.TIF", "mask"}}));
}

TEST_F(Ingest, TellsImagesThatAreOneByTheirFilesOrTheirPixels) {
  prepare([&] {
    for (int i = 0; i < 150; ++i) write_pattern("x" + std::to_string(1000 + i) + ".png", 5, 4, CV_8UC1, i);
    write_pattern("a.png", 20, 30, CV_8UC1, 500);
    fs::copy_file(folder_ / "images/a.png", folder_ / "images/y.png");  // the same file, in another unit
    write_pattern("b.png", 20, 30, CV_8UC1, 501);
    write_pattern("z.tif", 20, 30, CV_8UC1, 501);  // the same pixels
    write_pattern("c.png", 30, 20, CV_8UC1, 502);
    write_pattern("d.png", 20, 30, CV_8UC1, 502);  // as many, but otherwise
  });
  const std::vector<std::vector<std::string>> expected = {{"a", "y"}, {"b", "z"}};
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    EXPECT_EQ(summary.duplicates, expected);
    const auto details = nlohmann::json::parse(read_text_file(folder_ / "exemplars.provenance.json")).at("details");
    EXPECT_EQ(details.at("duplicates"), nlohmann::json(expected));
    // The store keeps what tells them, so no pixel is read again.
    const store::Store store(options_.output);
    EXPECT_EQ(find_duplicates(store, {}, 0), expected);
    // Of a store that does not, what an interrupted run has written is read again; of a finished one only files are
    // compared.
    store::StoreWriter writer(folder_ / "first.h5", {kExemplarsSchema, 1, nlohmann::json::object()}, 1, true);
    store::Columns columns;
    for (const std::string& name : store.datasets()) {
      if (name != "dpi" && name != kPixelsDigests) columns[name] = store.read(name);
    }
    writer.write_unit(0, columns);
    writer.finish();
    const store::Store first(folder_ / "first.h5");
    EXPECT_EQ(find_duplicates(first, {}, 1 << 20), expected);
    EXPECT_EQ(find_duplicates(first, {}, 0), (std::vector<std::vector<std::string>>{{"a", "y"}}));
  }
}

TEST_F(Ingest, KeepsTheResolutionOfTheManifestOrOfTheFile) {
  prepare([&] {
    for (const char* name : {"a.tif", "b.tif", "c.tif"}) {
      image::write_tiff(folder_ / "images" / name, pattern(20, 30, CV_8UC1, name[0]), 300);
    }
    image::write_tiff(folder_ / "images/phone.tif", pattern(20, 30, CV_8UC1, 9), 72);
    write_pattern("z.png", 20, 30);
    write("manifest.csv", "id,DPI,brand\na,100,x\nb,,x\nc,300,x\nphone,,x\nz,,x\n");
  });
  options_.manifest = folder_ / "manifest.csv";
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    const ExemplarStore store(options_.output);
    std::vector<double> dpi;
    for (const ExemplarInfo& exemplar : store.exemplars()) dpi.push_back(exemplar.dpi);
    EXPECT_EQ(dpi, (std::vector<double>{100, 300, 300, 0, 0}));
    EXPECT_EQ(store.record(0).metadata, nlohmann::json({{"brand", "x"}}));
    EXPECT_EQ(summary.images_of_dpi, (std::map<double, std::int64_t>{{0, 2}, {100, 1}, {300, 2}}));
    ASSERT_EQ(summary.remarks.size(), 2U);  // of a.tif, and of the phone's 72
    EXPECT_EQ(summary.remarks[0].first,
              std::vector<std::string>{(folder_ / "images/a.tif").string() + " (300.0 dpi, manifest 100.0)"});
    EXPECT_THAT(summary.remarks[1].what, ::testing::HasSubstr("not believed"));
  }
  options_.output = folder_ / "other.h5";
  for (const char* dpi : {"-100", "0", "1", "inf", "nan", "100dpi", "1e9"}) {
    prepare([&] { write("manifest.csv", std::string("id,dpi\na,") + dpi + "\n"); });
    EXPECT_THAT(refusal<DataError>(), ::testing::AllOf(::testing::HasSubstr("manifest.csv, row 1"),
                                                       ::testing::HasSubstr(std::string("dpi is '") + dpi + "'")));
  }
}

TEST_F(Ingest, KeepsOnlyTheRowsThatPassTheFilter) {
  prepare([&] {
    for (const char* name : {"a.png", "b.png", "c.png"}) write_pattern(name, 4, 5);
    write("manifest.csv", "id,foot\na,left\nb,right\n");
  });
  options_.manifest = folder_ / "manifest.csv";
  options_.where = {{"foot", "right"}};
  ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    EXPECT_EQ(ingest::ExemplarStore(options_.output).ids(), std::vector<std::string>{"b"});
  }
}

TEST_F(Ingest, RefusesManifestsThatDoNotFit) {
  prepare([&] {
    write_pattern("a.png", 4, 5);
    write("columns.csv", "name,foot\na,left\n");
    write("mirror.csv", "id,mirror\na,yes\n");
    write("twice.csv", "id,foot\na,left\na,right\n");
    write("latin.csv",
          "id,brand\na,Gr\xF6\xDF"
          "e\n");
    write("good.csv", "id,foot\na,left\nb,left\n");
  });
  for (const char* name : {"columns.csv", "mirror.csv", "twice.csv", "latin.csv", "missing.csv"}) {
    options_.manifest = folder_ / name;
    EXPECT_NE(refusal<DataError>().find(name), std::string::npos);
  }
  options_.manifest = folder_ / "good.csv";
  options_.where = {{"shoe", "1"}};
  EXPECT_NE(refusal<DataError>().find("shoe"), std::string::npos);
  options_.where = {{"foot", "right"}};
  refusal<DataError>();
  options_.where.clear();
  options_.strict = true;
  EXPECT_NE(refusal<DataError>().find("'b'"), std::string::npos);
  options_.manifest.reset();
  options_.where = {{"foot", "left"}};
  refusal<UsageError>();
  EXPECT_FALSE(has_output());
}

/// The warnings that `work` logs on this rank, a line each.
template <typename Work>
std::vector<std::string> warnings_of(const Work& work) {
  std::ostringstream text;
  const auto before = spdlog::default_logger();
  const auto logger = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  logger->set_level(spdlog::level::warn);
  logger->set_pattern("%v");
  spdlog::set_default_logger(logger);
  work();
  spdlog::set_default_logger(before);
  std::vector<std::string> lines;
  std::istringstream all(text.str());
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

TEST_F(Ingest, SaysInOneLineThatAManifestSpeaksOfFewFilesOnly) {
  prepare([&] {
    write_three_units();
    write("manifest.csv", "id,foot\n1000,left\n1001,right\n");
  });
  options_.manifest = folder_ / "manifest.csv";
  IngestSummary summary;
  const auto warnings = warnings_of([&] { summary = ingest_images(comm_, options_, exemplar_kind()); });
  if (!comm_.is_root()) return;
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].find("148 files have no row"), 0u) << warnings[0];
  EXPECT_EQ(summary.manifest_mismatches.size(), 148u);
}

TEST_F(Ingest, TellsTransparencyOnceWithAFewNames) {
  prepare([&] {
    write_three_units();
    for (int i = 0; i < 100; ++i) write_pattern(std::to_string(2000 + i) + ".png", 4, 4, CV_8UC4, i);
  });
  IngestSummary summary;
  const auto warnings = warnings_of([&] { summary = ingest_images(comm_, options_, exemplar_kind()); });
  EXPECT_TRUE(warnings.empty());
  if (!comm_.is_root()) return;
  ASSERT_EQ(summary.remarks.size(), 1u);
  EXPECT_NE(summary.remarks[0].what.find("transparent"), std::string::npos);
  EXPECT_EQ(summary.remarks[0].images, 100);
  ASSERT_EQ(summary.remarks[0].first.size(), 3u);
  EXPECT_EQ(summary.remarks[0].first[0], (folder_ / "images" / "2000.png").string());
  const auto provenance = nlohmann::json::parse(read_text_file(folder_ / "exemplars.provenance.json"));
  EXPECT_EQ(provenance.at("details").at("remarks").at(0).at("images"), 100);
}

TEST_F(Ingest, TellsNegativesWhateverTheirInk) {
  prepare([&] {
    const auto write_image = [&](const std::string& name, int paper, int ink, int type) {
      cv::Mat image(60, 40, type, cv::Scalar(paper));
      image(cv::Rect(10, 10, 20, 40)).setTo(ink);
      cv::imwrite((folder_ / "images" / name).string(), image);
    };
    write_image("negative.png", 20, 250, CV_8UC1);
    write_image("negative16.png", 5000, 64000, CV_16UC1);
    write_image("print.png", 250, 20, CV_8UC1);
    write_image("grey.png", 90, 20, CV_8UC1);
    cv::Mat filled(60, 40, CV_8UC1, cv::Scalar(10));  // ink up to three borders
    filled.row(0).setTo(255);
    cv::imwrite((folder_ / "images/filled.png").string(), filled);
  });
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (!comm_.is_root()) return;
  ASSERT_EQ(summary.remarks.size(), 1u);
  EXPECT_THAT(summary.remarks[0].what, ::testing::HasSubstr("a negative"));
  EXPECT_EQ(summary.remarks[0].first, (std::vector<std::string>{(folder_ / "images/negative.png").string(),
                                                                (folder_ / "images/negative16.png").string()}));
}

TEST_F(Ingest, WritesTheBytesThatOneRankWouldWrite) {
  prepare([&] { write_three_units(); });
  ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    const ingest::ExemplarStore spread(options_.output);
    EXPECT_EQ(spread.size(), 150);
    fs::create_directory(folder_ / "serial");
    const fs::path serial = folder_ / "serial" / options_.output.filename();
    {
      store::StoreWriter writer(serial, spread.store().header(), spread.store().units(), /*create_folder=*/true);
      for (std::int64_t unit = 0; unit < spread.store().units(); ++unit) {
        const auto [first, count] = spread.store().unit_rows(unit);
        writer.write_unit(unit, ingest::exemplar_columns(spread.records(first, count)));
      }
      writer.finish();
    }
    EXPECT_EQ(sha256_of_file(serial), sha256_of_file(options_.output));
    EXPECT_EQ(cv::norm(retrieval::exemplar_image(spread.records(100, 30)[7]),
                       pattern(5 + 107 % 4, 4 + 107 % 3, CV_8UC1, 107), cv::NORM_INF),
              0);
  }
}

class InterruptedIngest : public Ingest {
 protected:
  /// Three units, the last one with an image that needs more memory than a first run has.
  void SetUp() override {
    Ingest::SetUp();
    prepare([&] {
      write_three_units();
      write("images/1002.png", "not an image");
      write_plain(1);
      write_pattern("2000.png", 200, 200);
    });
    interrupt();
  }

  void interrupt() {
    options_.memory_bytes = 20000;
    refusal<EnvironmentError>();
    options_.memory_bytes = IngestOptions().memory_bytes;
    comm_.barrier();
    ASSERT_TRUE(fs::exists(first_shard()));
  }

  /// 1003.png of some pixels, always of one size.
  void write_plain(int seed) const {
    ASSERT_TRUE(cv::imwrite(plain().string(), pattern(8, 4, CV_8UC1, seed), {cv::IMWRITE_PNG_COMPRESSION, 0}));
  }
  fs::path plain() const { return folder_ / "images" / "1003.png"; }
  fs::path first_shard() const { return folder_ / "exemplars.shards" / "00000.h5"; }

  /// SHA-256 of the store made without interruption.
  std::string undisturbed() const {
    IngestOptions options = options_;
    options.output = folder_ / "undisturbed" / options_.output.filename();
    prepare([&] { fs::create_directory(folder_ / "undisturbed"); });
    ingest_images(comm_, options, exemplar_kind());
    comm_.barrier();
    return sha256_of_file(options.output);
  }
};

TEST_F(InterruptedIngest, CarriesOnFromTheShardsThatExist) {
  const auto written = fs::last_write_time(first_shard());
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  comm_.barrier();
  EXPECT_EQ(sha256_of_file(options_.output), undisturbed());
  EXPECT_EQ(fs::last_write_time(first_shard()), written);
  EXPECT_FALSE(fs::exists(folder_ / "exemplars.shards" / "stamps"));
  if (comm_.is_root()) {
    EXPECT_FALSE(summary.was_finished);
    ASSERT_EQ(summary.skipped.size(), 1u);
    EXPECT_NE(summary.skipped[0].reason.find("neither PNG, JPEG nor TIFF"), std::string::npos);
  }
  EXPECT_EQ(comm_.any_of(ingest_images(comm_, options_, exemplar_kind()).was_finished), true);
}

TEST_F(InterruptedIngest, TakesAFileAsItIsNowThoughItWasEditedInPlace) {
  const auto size = fs::file_size(plain());
  const auto time = fs::last_write_time(plain());
  prepare([&] {
    write_plain(2);
    fs::last_write_time(plain(), time);  // as copying tools do
  });
  EXPECT_EQ(fs::file_size(plain()), size);
  EXPECT_TRUE(fs::last_write_time(plain()) == time);
  ingest_images(comm_, options_, exemplar_kind());
  comm_.barrier();
  EXPECT_EQ(sha256_of_file(options_.output), undisturbed());
  const ingest::ExemplarStore store(options_.output);
  EXPECT_EQ(store.record(2).source_sha256, sha256_of_file(plain()));
}

TEST_F(InterruptedIngest, MakesTheSameOfAFileThatWasOnlyTouched) {
  prepare([&] { fs::last_write_time(plain(), fs::file_time_type::clock::now()); });
  ingest_images(comm_, options_, exemplar_kind());
  comm_.barrier();
  EXPECT_EQ(sha256_of_file(options_.output), undisturbed());
}

/// A finished store, and what is done to its files before the command is run again.
class FinishedIngest : public Ingest {
 protected:
  void SetUp() override {
    Ingest::SetUp();
    prepare([&] {
      write_three_units();
      write_plain("1003.png", 1);
      write("images/1002.png", std::string(80, 'x'));
    });
    ingest_images(comm_, options_, exemplar_kind());
    comm_.barrier();
  }

  void write_plain(const std::string& name, int seed) const {
    ASSERT_TRUE(cv::imwrite((folder_ / "images" / name).string(), pattern(8, 4, CV_8UC1, seed),
                            {cv::IMWRITE_PNG_COMPRESSION, 0}));
  }

  /// Does something to a file, and sets its time back, as copying tools do.
  void edit_unseen(const std::string& name, const std::function<void()>& edit) const {
    prepare([&] {
      const fs::path file = folder_ / "images" / name;
      const auto time = fs::last_write_time(file);
      const auto size = fs::file_size(file);
      edit();
      EXPECT_EQ(fs::file_size(file), size);
      fs::last_write_time(file, time);
    });
  }

  bool is_left_alone() {
    const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
    return comm_.any_of(summary.was_finished);
  }
};

TEST_F(FinishedIngest, IsLeftAloneWhenNothingWasDone) {
  EXPECT_TRUE(is_left_alone());
  EXPECT_TRUE(is_left_alone());
}

TEST_F(FinishedIngest, IsLeftAloneWhenFilesWereOnlyTouchedOrCopied) {
  prepare([&] {
    fs::last_write_time(folder_ / "images/1003.png", fs::file_time_type::clock::now());
    fs::copy_file(folder_ / "images/1100.png", folder_ / "copy");
    fs::rename(folder_ / "copy", folder_ / "images/1100.png");
  });
  EXPECT_TRUE(is_left_alone());
}

TEST_F(FinishedIngest, IsLeftAloneWithoutProvenance) {
  prepare([&] { fs::remove(folder_ / "exemplars.provenance.json"); });
  EXPECT_TRUE(is_left_alone());
  prepare([&] { write("exemplars.provenance.json", "{\"details\": 3}"); });
  EXPECT_TRUE(is_left_alone());
  prepare([&] { write("exemplars.provenance.json", "no JSON"); });
  EXPECT_TRUE(is_left_alone());
}

TEST_F(FinishedIngest, NamesAFileThatWasEditedToTheSameSizeAndTime) {
  edit_unseen("1003.png", [&] { write_plain("1003.png", 2); });
  EXPECT_THAT(refusal<DataError>(), ::testing::HasSubstr("1003.png: was edited since"));
  edit_unseen("1003.png", [&] { write_plain("1003.png", 1); });
  EXPECT_TRUE(is_left_alone()) << "it is again what it was";
}

TEST_F(FinishedIngest, NamesAnEditedFileWithoutProvenanceToo) {
  prepare([&] { fs::remove(folder_ / "exemplars.provenance.json"); });
  edit_unseen("1003.png", [&] { write_plain("1003.png", 2); });
  EXPECT_THAT(refusal<DataError>(), ::testing::HasSubstr("1003.png: was edited since"));
}

TEST_F(FinishedIngest, NamesABadFileThatWasMended) {
  const std::string good = comm_.broadcast(comm_.is_root() ? read_text_file(folder_ / "images/1003.png") : "");
  prepare([&] {
    fs::remove_all(folder_ / "exemplars.shards");
    fs::remove(folder_ / "exemplars.h5");
    write("images/1002.png", std::string(good.size(), 'x'));
  });
  ingest_images(comm_, options_, exemplar_kind());
  comm_.barrier();
  edit_unseen("1002.png", [&] { write("images/1002.png", good); });
  EXPECT_THAT(refusal<DataError>(), ::testing::HasSubstr("1002.png: can be read now"));
}

TEST_F(Ingest, RefusesToMixShardsOfDifferentFiles) {
  prepare([&] { write_three_units(); });
  ingest_images(comm_, options_, exemplar_kind());
  prepare([&] { write_pattern("more.png", 4, 4); });
  refusal<DataError>();
}

TEST_F(Ingest, NeedsMemoryForOneUnitOnly) {
  prepare([&] { write_pattern("a.png", 100, 100); });
  options_.memory_bytes = 10000;
  refusal<EnvironmentError>();
}

TEST_F(Ingest, PlanCountsFilesAndUnitsAndWritesNothing) {
  prepare([&] { write_three_units(); });
  const IngestFacts facts = ingest_facts(comm_, options_, exemplar_kind());
  EXPECT_EQ(facts.files, 150);
  EXPECT_EQ(facts.units, 3);
  EXPECT_GT(facts.file_bytes, 150 * 50);
  EXPECT_FALSE(has_output());
}

TEST_F(Ingest, TakesFid300) {
  const char* data = std::getenv("OUTSOLE_DATA");
  const fs::path references = fs::path(data != nullptr ? data : "") / "fid300/references";
  if (data == nullptr || !fs::exists(references)) GTEST_SKIP() << "OUTSOLE_DATA names no folder with fid300";
  options_.inputs = {references};
  const IngestSummary summary = ingest_images(comm_, options_, exemplar_kind());
  if (comm_.is_root()) {
    EXPECT_EQ(summary.images, 1175);
    EXPECT_TRUE(summary.skipped.empty());
    EXPECT_EQ(ingest::ExemplarStore(options_.output).records(586, 1)[0].height_px, 586);
  }
}

}  // namespace
}  // namespace outsole::ingest
