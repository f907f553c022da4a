#include "synth/synthesize.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "comm/from_root.h"
#include "core/checked.h"
#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "image/image.h"
#include "synth/capture.h"
#include "synth/exemplar.h"
#include "synth/synthesis_folder.h"

namespace outsole::synth {

namespace fs = std::filesystem;

namespace {

TableRows write_exemplar(const SynthesizeExemplarsOptions& options, std::int64_t index) {
  const Outsole outsole = synth::make_outsole(options.seed, static_cast<std::uint64_t>(index));
  const std::string file = numbered("", index) + ".png";
  image::write_image(options.output / file, synth::render_exemplar(outsole, options.height_px, options.width_px));
  std::string row = file + "," + (outsole.left_foot ? "L" : "R");
  for (const TreadFamily family : outsole.families) row.append(",").append(synth::name_of(family));
  return {row + "," + std::to_string(outsole.blocks.size())};
}

TableRows write_mark(const SynthesizeMarksOptions& options, const std::vector<fs::path>& exemplars,
                     std::int64_t index) {
  Random random(options.seed, static_cast<std::uint64_t>(index));
  const fs::path& exemplar = exemplars[static_cast<std::size_t>(random.below(narrow<int>(std::ssize(exemplars))))];
  const cv::Mat1b pixels = image::to_8_bit(image::read_image(exemplar).grey);
  const Mark mark = synth::make_mark(pixels, options.mark, random);

  const std::string id = numbered("mark", index);
  image::write_image(options.output / (id + ".png"), mark.image);
  const std::string area = synth::name_of(mark.area);
  const std::string capture = synth::name_of(mark.capture);
  const std::string inverted = mark.inverted ? "1" : "0";
  return {id + ".png," + area + "," + capture + "," + synth::name_of(mark.background) + "," + inverted,
          id + "," + csv_field(id_of(exemplar)) + "," + decimal(mark.pose.angle_deg) + "," + decimal(mark.pose.y_px) +
              "," + decimal(mark.pose.x_px) + "," + decimal(mark.pose.scale) + ",0," + area + "," + capture};
}

std::vector<std::string> names_of(const std::vector<Capture>& captures) {
  std::vector<std::string> names;
  for (const Capture capture : captures) names.push_back(synth::name_of(capture));
  return names;
}

// --- A year of wear --------------------------------------------------------------------------------------------------

constexpr std::array<Foot, 2> kFeet{Foot::kLeft, Foot::kRight};

/// Which scan image number `index` is: pairs one after another, the left foot first, its weeks in order.
struct ScanOfYear {
  std::int64_t pair = 0;
  Foot foot = Foot::kLeft;
  int week = 0;

  explicit ScanOfYear(std::int64_t index) {
    const std::int64_t weeks = std::ssize(synth::captured_weeks());
    pair = index / (2 * weeks);
    foot = kFeet[static_cast<std::size_t>(index / weeks % 2)];
    week = synth::captured_weeks()[static_cast<std::size_t>(index % weeks)];
  }

  bool is_same_shoe(const ScanOfYear& other) const { return pair == other.pair && foot == other.foot; }
  std::string foot_letter() const { return foot == Foot::kLeft ? "L" : "R"; }
  std::string pair_name() const { return numbered("", pair); }
  std::string shoe_name() const { return pair_name() + foot_letter(); }
  std::string id() const {
    const std::string number = std::to_string(week);
    return shoe_name() + "_week" + std::string(2 - number.size(), '0') + number;
  }
};

/// Draws scans in the order of the year; what the weeks of one outsole share is kept while they last.
class YearWriter {
 public:
  explicit YearWriter(const SynthesizeWearOptions& options) : options_(options) {}

  TableRows operator()(std::int64_t index) {
    const ScanOfYear which(index);
    const std::string id = which.id();
    if (!shoe_of_ || !shoe_of_->is_same_shoe(which)) open_shoe(which);
    if (!fs::exists(options_.output / (id + ".tiff"))) write_images(which);
    const CapturePlan plan = synth::plan_capture(shoe_, frame_, which.week);
    const std::string accidentals = which.week == 0 ? accidental_rows(which) : "";
    return {manifest_row(which), truth_row(which, plan), accidentals};
  }

 private:
  void open_shoe(const ScanOfYear& which) {
    scanner_.reset();
    shoe_ = synth::make_worn_shoe(options_.seed, static_cast<std::uint64_t>(which.pair), which.foot);
    frame_ =
        synth::shoe_frame(shoe_.outsole, cv::Size(narrow<int>(options_.width_px), narrow<int>(options_.height_px)));
    shoe_of_ = which;
  }

  /// The scan comes last: where it is, its ground truth is too.
  void write_images(const ScanOfYear& which) {
    if (!scanner_) scanner_.emplace(shoe_, frame_.size);
    const WornScan worn = scanner_->scan(which.week);
    const fs::path truth = options_.output / "truth";
    const std::string name = which.id() + ".png";
    image::write_image(truth / "clean" / name, worn.capture.clean);
    image::write_image(truth / "faults" / name, worn.capture.faults);
    image::write_image(truth / "print" / name, worn.print);
    image::write_image(truth / "height" / name, worn.height);
    image::write_tiff(options_.output / (which.id() + ".tiff"), worn.capture.scan, frame_.dpi());
  }

  std::string manifest_row(const ScanOfYear& which) const {
    return which.id() + ".tiff," + which.shoe_name() + "," + which.pair_name() + "," + which.foot_letter() + "," +
           std::to_string(which.week) + "," + decimal(frame_.dpi());
  }

  std::string truth_row(const ScanOfYear& which, const CapturePlan& plan) const {
    const image::RigidTransform pose = synth::pose_in(frame_, plan);
    const cv::Point2d centre = image::point_under_frame_middle(frame_.size, pose, {0, 0});
    std::string faults;
    for (const Fault fault : kFaults) {
      if (plan.has(fault)) faults.append(faults.empty() ? "" : " ").append(synth::name_of(fault));
    }
    return which.id() + ".tiff," + decimal(pose.angle_deg) + "," + decimal(pose.y) + "," + decimal(pose.x) + "," +
           decimal(centre.y) + "," + decimal(centre.x) + "," + decimal(plan.pressure) + "," + faults;
  }

  std::string accidental_rows(const ScanOfYear& which) const {
    std::string rows;
    for (const Accidental& accidental : shoe_.accidentals) {
      const Box box = synth::bounds_of(accidental.shape);
      if (!rows.empty()) rows += "\n";
      rows += which.shoe_name() + "," + synth::name_of(accidental.kind) + "," + std::to_string(accidental.first_week) +
              "," + std::to_string(accidental.last_week) + "," + decimal(frame_.row(box.top)) + "," +
              decimal(frame_.column(box.left)) + "," + decimal(frame_.row(box.bottom)) + "," +
              decimal(frame_.column(box.right)) + "," + decimal(accidental.floor_mm);
    }
    return rows;
  }

  const SynthesizeWearOptions& options_;
  std::optional<ScanOfYear> shoe_of_;
  WornShoe shoe_;
  ShoeFrame frame_;
  std::optional<WornShoeScanner> scanner_;
};

/// Identity of the exemplars: names and content.
std::string digest_of(const std::vector<fs::path>& files) {
  std::string text;
  for (const fs::path& file : files) text += file.filename().string() + "\n" + sha256_of_file(file) + "\n";
  return sha256_of(std::as_bytes(std::span(text)));
}

}  // namespace

void synthesize_exemplars(const comm::Communicator& comm, const SynthesizeExemplarsOptions& options) {
  comm.together([&] { check_count(options.count); });
  const SynthesisFolder folder(options.output, {{"kind", "exemplars"},
                                                {"count", options.count},
                                                {"seed", options.seed},
                                                {"height_px", options.height_px},
                                                {"width_px", options.width_px}});
  if (folder.begin_together(comm)) return;
  const auto rows = make_images(comm, options.count, [&](std::int64_t i) { return write_exemplar(options, i); });
  comm.together([&] {
    if (!comm.is_root()) return;
    write_file_atomically(options.output / "manifest.csv", csv_of("file,foot,forefoot,arch,heel,blocks", rows, 0));
  });
}

void synthesize_marks(const comm::Communicator& comm, const SynthesizeMarksOptions& options) {
  check_count(options.count);
  const std::vector<fs::path> exemplars =
      comm::paths_from_root(comm, [&] { return list_inputs(options.exemplars, image::image_extensions()); });
  const std::string digest = comm::from_root(comm, [&] { return digest_of(exemplars); });
  const SynthesisFolder folder(options.output, {{"kind", "marks"},
                                                {"count", options.count},
                                                {"seed", options.seed},
                                                {"max_angle_deg", options.mark.max_angle_deg},
                                                {"damage", options.mark.damage},
                                                {"captures", names_of(options.mark.captures)},
                                                {"max_scale_error", options.mark.max_scale_error},
                                                {"exemplars_sha256", digest}});
  if (folder.begin_together(comm)) return;
  const auto rows = make_images(comm, options.count, [&](std::int64_t i) { return write_mark(options, exemplars, i); });
  comm.together([&] {
    if (!comm.is_root()) return;
    write_file_atomically(options.output / "labels.csv",
                          csv_of("mark,exemplar,angle_deg,y_px,x_px,scale,mirrored,area,capture", rows, 1));
    write_file_atomically(options.output / "manifest.csv", csv_of("file,area,capture,background,inverted", rows, 0));
  });
}

void synthesize_wear(const comm::Communicator& comm, const SynthesizeWearOptions& options) {
  comm.together([&] {
    check_count(options.count);
    if (std::min(options.height_px, options.width_px) < 64)
      throw UsageError("`size`: a scan needs at least 64 x 64 pixels");
  });
  const SynthesisFolder folder(options.output, {{"kind", "wear"},
                                                {"count", options.count},
                                                {"seed", options.seed},
                                                {"height_px", options.height_px},
                                                {"width_px", options.width_px}});
  if (folder.begin_together(comm, {"truth/clean", "truth/faults", "truth/print", "truth/height"})) return;
  const std::int64_t scans = options.count * std::ssize(kFeet) * std::ssize(synth::captured_weeks());
  YearWriter writer(options);
  const auto rows = make_images(comm, scans, std::ref(writer));
  comm.together([&] {
    if (!comm.is_root()) return;
    write_file_atomically(
        options.output / "truth" / "truth.csv",
        csv_of("file,angle_deg,shift_y_px,shift_x_px,centre_y_px,centre_x_px,pressure,faults", rows, 1));
    write_file_atomically(options.output / "truth" / "accidentals.csv",
                          csv_of("shoe,kind,first_week,last_week,top_px,left_px,bottom_px,right_px,floor_mm", rows, 2));
    write_file_atomically(options.output / "manifest.csv", csv_of("file,shoe,pair,foot,week,dpi", rows, 0));
  });
}

}  // namespace outsole::synth
