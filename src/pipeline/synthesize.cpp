#include "pipeline/synthesize.h"

#include <array>
#include <cstdio>
#include <functional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/checked.h"
#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/sha256.h"
#include "core/stop.h"
#include "image/image.h"
#include "synth/exemplar.h"

namespace outsole::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kMaxCount = 99999;  // ids have five digits

std::string numbered(const char* prefix, std::int64_t index) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%s%05lld", prefix, static_cast<long long>(index + 1));
  return text.data();
}

std::string decimal(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6f", value);
  return text.data();
}

/// One folder of synthetic images: its parameters are written first, its manifest last.
class SynthesisFolder {
 public:
  SynthesisFolder(fs::path folder, const nlohmann::json& parameters)
      : folder_(std::move(folder)), parameters_(parameters.dump(2) + "\n") {}

  bool is_finished() const { return fs::exists(folder_ / "manifest.csv"); }

  /// Creates the folder, or takes up the one that the same command began. Throws UsageError for a folder with other
  /// content.
  void begin() const {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) throw EnvironmentError(folder_.string() + ": cannot be created: " + error.message());
    const fs::path begun = folder_ / "synthesis.json";
    if (fs::exists(begun)) {
      if (read_text_file(begun) == parameters_) return;
      throw UsageError(folder_.string() + ": holds images made with other options (see synthesis.json there); " +
                       "choose another --output or remove the folder");
    }
    if (!fs::is_empty(folder_)) {
      throw UsageError(folder_.string() + ": holds other files; choose another --output or empty the folder");
    }
    write_file_atomically(begun, parameters_);
  }

  const fs::path& path() const { return folder_; }

 private:
  fs::path folder_;
  std::string parameters_;
};

/// One row of each table that describes an image.
struct Rows {
  std::string manifest;
  std::string label;
};

/// Runs `make` for this rank's images and brings the rows of all to root, in the order of the images.
std::vector<Rows> make_images(const comm::Communicator& comm, std::int64_t count,
                              const std::function<Rows(std::int64_t)>& make) {
  nlohmann::json own = nlohmann::json::array();
  comm.together([&] {
    Progress progress("drawing", "images", divide_up(count, comm.size()), comm.is_root());
    for (std::int64_t i = comm.rank(); i < count; i += comm.size()) {
      if (stop_requested()) throw StopRequested("stopped on request; the same command starts the folder anew");
      const Rows rows = make(i);
      own.push_back({rows.manifest, rows.label});
      progress.advance();
    }
  });
  const std::vector<std::string> gathered = comm.gather(own.dump());
  if (!comm.is_root()) return {};
  std::vector<nlohmann::json> rows_of_rank;
  for (const std::string& text : gathered) rows_of_rank.push_back(nlohmann::json::parse(text));
  std::vector<Rows> rows;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& row =
        rows_of_rank[static_cast<std::size_t>(i % comm.size())][static_cast<std::size_t>(i / comm.size())];
    rows.push_back({row[0], row[1]});
  }
  return rows;
}

std::string table(const std::string& header, const std::vector<Rows>& rows, std::string Rows::*column) {
  std::string text = header + "\n";
  for (const Rows& row : rows) text += row.*column + "\n";
  return text;
}

void check_count(std::int64_t count) {
  if (count < 1 || count > kMaxCount) throw UsageError("--count: must be between 1 and " + std::to_string(kMaxCount));
}

/// Prepares the folder on root; true when there is nothing to do.
bool begin_together(const comm::Communicator& comm, const SynthesisFolder& folder) {
  comm.together([&] {
    if (comm.is_root()) folder.begin();
  });
  const bool finished = comm.any_of(comm.is_root() && folder.is_finished());
  if (finished && comm.is_root()) spdlog::info("{}: finished before, left as it is", folder.path().string());
  return finished;
}

Rows write_exemplar(const SynthesizeExemplarsOptions& options, std::int64_t index) {
  const synth::Outsole outsole = synth::make_outsole(options.seed, static_cast<std::uint64_t>(index));
  const std::string file = numbered("", index) + ".png";
  image::write_image(options.output / file, synth::render_exemplar(outsole, options.height_px, options.width_px));
  std::string row = file + "," + (outsole.left_foot ? "L" : "R");
  for (const synth::TreadFamily family : outsole.families) row.append(",").append(synth::name_of(family));
  return {row + "," + std::to_string(outsole.blocks.size()), ""};
}

Rows write_mark(const SynthesizeMarksOptions& options, const std::vector<fs::path>& exemplars, std::int64_t index) {
  synth::Random random(options.seed, static_cast<std::uint64_t>(index));
  const fs::path& exemplar = exemplars[static_cast<std::size_t>(random.below(narrow<int>(std::ssize(exemplars))))];
  cv::Mat1b pixels;
  image::to_float(image::read_image(exemplar).grey).convertTo(pixels, CV_8U);
  const synth::Mark mark = synth::make_mark(pixels, options.mark, random);

  const std::string id = numbered("mark", index);
  image::write_image(options.output / (id + ".png"), mark.image);
  const std::string area = synth::name_of(mark.area);
  const std::string inverted = mark.inverted ? "1" : "0";
  return {id + ".png," + area + "," + synth::name_of(mark.background) + "," + inverted,
          id + "," + csv_field(id_of(exemplar)) + "," + decimal(mark.pose.angle_deg) + "," + decimal(mark.pose.y_px) +
              "," + decimal(mark.pose.x_px) + ",1,0," + area};
}

/// Identity of the exemplars: names and content.
std::string digest_of(const std::vector<fs::path>& files) {
  std::string text;
  for (const fs::path& file : files) text += file.filename().string() + "\n" + sha256_of_file(file) + "\n";
  return sha256_of(std::as_bytes(std::span(text)));
}

}  // namespace

void synthesize_exemplars(const comm::Communicator& comm, const SynthesizeExemplarsOptions& options) {
  check_count(options.count);
  const SynthesisFolder folder(options.output, {{"kind", "exemplars"},
                                                {"count", options.count},
                                                {"seed", options.seed},
                                                {"height_px", options.height_px},
                                                {"width_px", options.width_px}});
  if (begin_together(comm, folder)) return;
  const auto rows = make_images(comm, options.count, [&](std::int64_t i) { return write_exemplar(options, i); });
  comm.together([&] {
    if (!comm.is_root()) return;
    write_file_atomically(options.output / "manifest.csv",
                          table("file,foot,forefoot,arch,heel,blocks", rows, &Rows::manifest));
  });
}

void synthesize_marks(const comm::Communicator& comm, const SynthesizeMarksOptions& options) {
  check_count(options.count);
  std::vector<fs::path> exemplars;
  std::string digest;
  comm.together([&] {
    exemplars = list_inputs(options.exemplars, image::image_extensions());
    if (comm.is_root()) digest = digest_of(exemplars);
  });
  const SynthesisFolder folder(options.output, {{"kind", "marks"},
                                                {"count", options.count},
                                                {"seed", options.seed},
                                                {"max_angle_deg", options.mark.max_angle_deg},
                                                {"damage", options.mark.damage},
                                                {"exemplars_sha256", digest}});
  if (begin_together(comm, folder)) return;
  const auto rows = make_images(comm, options.count, [&](std::int64_t i) { return write_mark(options, exemplars, i); });
  comm.together([&] {
    if (!comm.is_root()) return;
    write_file_atomically(options.output / "labels.csv",
                          table("mark,exemplar,angle_deg,y_px,x_px,scale,mirrored,area", rows, &Rows::label));
    write_file_atomically(options.output / "manifest.csv",
                          table("file,area,background,inverted", rows, &Rows::manifest));
  });
}

}  // namespace outsole::pipeline
