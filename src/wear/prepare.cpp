#include "wear/prepare.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <tuple>

#include "comm/partition.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "image/consensus.h"
#include "image/geometry.h"
#include "image/image.h"
#include "image/paper.h"
#include "image/ruler.h"
#include "ingest/image_record.h"
#include "store/make_store.h"

namespace outsole::wear {

namespace {

constexpr double kMmAnInch = 25.4;

/// The scans of a store in the order in which they are prepared, and who is whose reference.
struct Course {
  std::vector<std::int64_t> scan;       // position in the store
  std::vector<std::int64_t> reference;  // of each: position in the store of its shoe's reference
  std::vector<std::int64_t> references;
  double dpi = 0;
};

/// Less than kLeastDpi is no scanner's, but a program's that does not know.
bool knows_resolution(const ingest::ScanInfo& scan) { return scan.dpi >= image::kLeastDpi; }

double resolution_of(const ingest::ScanInfo& scan, const PrepareOptions& options) {
  if (knows_resolution(scan)) return scan.dpi;
  if (options.dpi) return *options.dpi;
  throw UsageError("scan '" + scan.id + "' does not say its resolution; give it by `dpi`");
}

Course plan_course(const ingest::ScanStore& store, const PrepareOptions& options) {
  const auto& scans = store.scans();
  if (scans.empty()) throw DataError(options.scans.string() + ": holds no scan");
  Course course;
  course.scan.resize(scans.size());
  std::iota(course.scan.begin(), course.scan.end(), 0);
  const auto at = [&](std::int64_t i) -> const ingest::ScanInfo& { return scans[static_cast<std::size_t>(i)]; };
  const auto key = [&](std::int64_t i) { return std::tie(at(i).subject.shoe, at(i).subject.week, at(i).id); };
  std::ranges::sort(course.scan, [&](std::int64_t a, std::int64_t b) { return key(a) < key(b); });
  for (const std::int64_t scan : course.scan) {
    if (course.references.empty() || at(course.references.back()).subject.shoe != at(scan).subject.shoe) {
      course.references.push_back(scan);
    }
    course.reference.push_back(course.references.back());
  }
  course.dpi = resolution_of(at(course.scan.front()), options);
  constexpr double kRounding = 1e-3;  // files keep whole pixels a metre, or hundredths of a pixel a centimetre
  for (const ingest::ScanInfo& scan : scans) {
    if (std::abs(resolution_of(scan, options) - course.dpi) > kRounding * course.dpi) {
      throw DataError(options.scans.string() + ": scan '" + scan.id + "' has " +
                      std::to_string(resolution_of(scan, options)) + " dpi, others " + std::to_string(course.dpi) +
                      "; ingest those of one resolution alone (by `input`, or `where` with a column of the manifest)");
    }
  }
  return course;
}

// --- One scan -------------------------------------------------------------------------------------------------------

cv::Mat1b eight_bit(const cv::Mat& grey) {
  if (grey.type() == CV_8UC1) return grey;
  cv::Mat1b result;
  grey.convertTo(result, CV_8U, 1.0 / 257);
  return result;
}

/// A scan after the steps that look at it alone.
struct CleanScan {
  cv::Rect window;           // of the scan
  cv::Mat1b cropped;         // that window
  image::Denoised denoised;  // its image is `cropped` where nothing was denoised
};

CleanScan cleaned(const ingest::ScanRecord& record, double px_per_mm, const PrepareOptions& options) {
  const cv::Mat1b scan = eight_bit(ingest::stored_image(record));
  CleanScan clean;
  clean.window = options.crops ? image::window_inside_ruler(scan) : cv::Rect({0, 0}, scan.size());
  clean.cropped = options.whitens ? image::with_white_paper(scan(clean.window)).clone() : scan(clean.window).clone();
  if (options.denoises) {
    clean.denoised = image::denoise(clean.cropped, px_per_mm);
  } else {
    clean.denoised.image = clean.cropped;
  }
  return clean;
}

/// What all scans of a shoe are registered to.
struct Reference {
  std::int64_t index = -1;  // in the store
  std::string id;
  image::RegistrationPyramid pyramid;
  cv::Point2d origin;  // middle of the frame, from the middle of the window
};

/// From the middle of an image to that of the box around its ink (anything darker than half).
cv::Point2d middle_of_ink(const cv::Mat1b& image) {
  const cv::Rect box = cv::boundingRect(image < 128);
  if (box.empty()) return {0, 0};
  return {box.x + (box.width - image.cols) / 2.0, box.y + (box.height - image.rows) / 2.0};
}

/// The nearest origin at which the pixels of the frame are pixels of the image: it is then copied, not interpolated.
cv::Point2d on_whole_pixels(cv::Point2d origin, cv::Size image, cv::Size frame) {
  const double half_x = (image.width - frame.width) / 2.0, half_y = (image.height - frame.height) / 2.0;
  return {std::round(origin.x + half_x) - half_x, std::round(origin.y + half_y) - half_y};
}

/// The frame in the scans' own pixels, and what it becomes.
struct Frame {
  cv::Size native;
  cv::Size output;
};

Reference make_reference(const ingest::ScanStore& store, std::int64_t index, double px_per_mm, const Frame& frame,
                         const PrepareOptions& options) {
  const ingest::ScanRecord record = store.record(index);
  const CleanScan clean = cleaned(record, px_per_mm, options);
  const cv::Point2d origin = options.registers ? middle_of_ink(clean.denoised.image) : cv::Point2d(0, 0);
  return {index, record.id, image::RegistrationPyramid(clean.denoised.image, px_per_mm),
          on_whole_pixels(origin, clean.window.size(), frame.native)};
}

/// Registers the scan and notes in `info` how well that went. A scan that fails keeps its place.
image::RigidTransform registered(const CleanScan& clean, const Reference& reference, bool is_reference,
                                 double px_per_mm, const PrepareOptions& options, PreparedInfo& info) {
  if (!options.registers) return {};
  if (is_reference) {
    info.correlation = info.overlap = 1;
    return {};
  }
  const image::Registration found = image::register_scan(
      reference.pyramid, image::RegistrationPyramid(clean.denoised.image, px_per_mm), options.registration);
  info.correlation = found.correlation;
  info.overlap = found.overlap;
  info.flag = found.failure;
  return found.failure.empty() ? found.transform : image::RigidTransform{};
}

cv::Mat1b area_averaged(const cv::Mat1b& image, cv::Size size) {
  if (image.size() == size) return image;
  cv::Mat1b result;
  cv::resize(image, result, size, 0, 0, cv::INTER_AREA);
  return result;
}

std::vector<std::uint8_t> bytes_of(const cv::Mat1b& image) { return {image.data, image.data + image.total()}; }

/// A scan brought into its frame.
struct FramedScan {
  PreparedRecord record;  // all but its images
  image::AlignedScan image;
  CleanScan clean;  // for pictures; empty where none are drawn
};

FramedScan framed(const ingest::ScanRecord& record, const Reference& reference, bool is_reference, double px_per_mm,
                  const Frame& frame, const PrepareOptions& options) {
  CleanScan clean = cleaned(record, px_per_mm, options);
  FramedScan result;
  result.record.metadata = record.metadata;
  PreparedInfo& info = result.record.info;
  info.id = record.id;
  info.subject = record.subject;
  info.source_sha256 = record.source_sha256;
  info.reference_id = options.registers ? reference.id : record.id;
  info.window_y_px = clean.window.y;
  info.window_x_px = clean.window.x;
  info.window_height_px = clean.window.height;
  info.window_width_px = clean.window.width;
  if (options.denoises) {
    info.block_features =
        static_cast<std::int32_t>(std::ranges::count(clean.denoised.features, true, &image::BlockFeature::is_tread));
    info.noise_share = static_cast<double>(cv::countNonZero(clean.denoised.noise_map)) /
                       static_cast<double>(clean.denoised.noise_map.total());
  }
  const image::RigidTransform transform = registered(clean, reference, is_reference, px_per_mm, options, info);
  const bool moved = options.registers && info.flag.empty();
  const cv::Point2d origin = moved ? reference.origin : on_whole_pixels({0, 0}, clean.window.size(), frame.native);
  const cv::Point2d centre = image::point_under_frame_middle(clean.window.size(), transform, origin);
  info.angle_deg = transform.angle_deg;
  info.centre_y_px = clean.window.y + centre.y;
  info.centre_x_px = clean.window.x + centre.x;

  cv::Mat1b pixels =
      area_averaged(image::warped_into_frame(clean.denoised.image, transform, frame.native, origin, 255), frame.output);
  cv::Mat1b support =
      area_averaged(image::support_in_frame(clean.window.size(), transform, frame.native, origin), frame.output) >= 128;
  pixels.setTo(255, support == 0);
  info.mirrored = options.mirrors_right && record.subject.foot == "R";
  if (info.mirrored) {
    pixels = image::mirrored(pixels);
    support = image::mirrored(support);
  }
  result.image = {pixels, support};
  if (options.on_scan) result.clean = std::move(clean);
  return result;
}

// --- All scans ------------------------------------------------------------------------------------------------------

/// What every rank knows before the first scan is prepared.
struct Preparation {
  ingest::ScanStore store;
  Course course;
  Frame frame;
  std::int64_t unit_scans = 1;
  PrepareFacts facts;

  double px_per_mm() const { return course.dpi / kMmAnInch; }
};

/// The largest window among the references: the ranks take them in turns.
cv::Size largest_window(const comm::Communicator& comm, const ingest::ScanStore& store, const Course& course,
                        const PrepareOptions& options) {
  const comm::UnitRange mine = comm::units_of(std::ssize(course.references), comm.rank(), comm.size());
  cv::Size largest;
  comm.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const cv::Mat1b scan =
          eight_bit(ingest::stored_image(store.record(course.references[static_cast<std::size_t>(i)])));
      const cv::Size window = options.crops ? image::window_inside_ruler(scan).size() : scan.size();
      largest.width = std::max(largest.width, window.width);
      largest.height = std::max(largest.height, window.height);
    }
  });
  return {static_cast<int>(comm.max(std::int64_t{largest.width})),
          static_cast<int>(comm.max(std::int64_t{largest.height}))};
}

/// The frame that shows at least `window`, of the shape of the wanted size; pixels stay square.
Frame frame_of(cv::Size window, const PrepareOptions& options, double& scale) {
  scale = 1;
  if (!options.size) return {window, window};
  const cv::Size size = *options.size;
  scale = std::min(static_cast<double>(size.width) / window.width, static_cast<double>(size.height) / window.height);
  if (scale > 1) {
    throw UsageError("`size` " + std::to_string(size.height) + "x" + std::to_string(size.width) +
                     ": the scans have only " + std::to_string(window.height) + "x" + std::to_string(window.width) +
                     " pixels; choose a smaller size, or native");
  }
  return {{static_cast<int>(std::lround(size.width / scale)), static_cast<int>(std::lround(size.height / scale))},
          size};
}

void check_memory(const Preparation& work, const PrepareOptions& options) {
  std::int64_t largest = work.frame.native.area();
  for (const ingest::ScanInfo& scan : work.store.scans()) {
    largest = std::max(largest, std::int64_t{scan.height_px} * scan.width_px * (scan.bit_depth / 8));
  }
  std::int64_t images = 15;  // of one scan at the same time, with their columns and those that are being written
  if (options.consensus_weeks) images += options.on_scan ? 16 : 8;  // of its witnesses
  if (images * largest > options.memory_bytes) {
    throw EnvironmentError("one scan needs " + format_bytes(static_cast<double>(images * largest)) +
                           "; raise `memory_gib`");
  }
}

Preparation agreed_work(const comm::Communicator& comm, const PrepareOptions& options) {
  ingest::ScanStore store = ingest::ScanStore::open_together(comm, options.scans);
  std::optional<Preparation> work;
  comm.together([&] {
    Course course = plan_course(store, options);
    work.emplace(Preparation{std::move(store), std::move(course), {}, 1, {}});
  });
  const cv::Size window = largest_window(comm, work->store, work->course, options);
  comm.together([&] {
    PrepareFacts& facts = work->facts;
    work->frame = frame_of(window, options, facts.scale);
    check_memory(*work, options);
    constexpr std::int64_t kUnitBytes = std::int64_t{32} << 20, kMostScans = 4;
    work->unit_scans =
        std::clamp<std::int64_t>(kUnitBytes / (2 * std::int64_t{work->frame.output.area()}), 1, kMostScans);
    facts.scans = work->store.size();
    facts.shoes = std::ssize(work->course.references);
    facts.units = divide_up(facts.scans, work->unit_scans);
    facts.height_px = work->frame.output.height;
    facts.width_px = work->frame.output.width;
    facts.dpi = work->course.dpi;
  });
  return std::move(*work);
}

/// Says of how many scans the resolution is taken from `dpi`.
void tell_assumed_resolution(const Preparation& work, const PrepareOptions& options) {
  if (!options.dpi) return;
  const auto unknown =
      std::ranges::count_if(work.store.scans(), [](const auto& scan) { return !knows_resolution(scan); });
  spdlog::info("`dpi` {}: the resolution of {} of {} scans, whose files do not say any that can be believed",
               *options.dpi, unknown, work.facts.scans);
}

store::StoreHeader header_of(const Preparation& work, const PrepareOptions& options) {
  const image::RegistrationParameters& r = options.registration;
  store::StoreHeader header{kPreparedSchema,
                            kPreparedVersion,
                            {{"scans_sha256", work.store.store().sha256()},
                             {"scans", work.facts.scans},
                             {"dpi", work.facts.dpi * work.facts.scale},
                             {"scan_dpi", work.facts.dpi},
                             {"height_px", work.facts.height_px},
                             {"width_px", work.facts.width_px},
                             {"crops", options.crops},
                             {"denoises", options.denoises},
                             {"registers", options.registers},
                             {"mirrors_right", options.mirrors_right},
                             {"consensus_weeks", options.consensus_weeks.value_or(0)},
                             {"max_angle_deg", r.max_angle_deg},
                             {"max_shift_mm", r.max_shift_mm},
                             {"least_correlation", r.least_correlation},
                             {"least_overlap", r.least_overlap}}};
  if (!options.whitens) header.parameters["whitens"] = false;  // absent in stores of earlier versions
  return header;
}

/// Makes the units of one rank. Scans of a shoe follow each other, so one reference at a time is enough; and so do a
/// scan and its witnesses, which are prepared again where they belong to another unit that was not made here just
/// before.
class UnitMaker {
 public:
  UnitMaker(const Preparation& work, const PrepareOptions& options) : work_(work), options_(options) {}

  store::Columns operator()(std::int64_t unit, const store::Columns& /*used*/) {
    const std::int64_t begin = unit * work_.unit_scans, end = std::min(begin + work_.unit_scans, work_.facts.scans);
    store::Columns columns;
    for (std::int64_t i = begin; i < end; ++i) {
      const PreparedRecord record = prepare(i);
      store::Columns rows = wear::prepared_columns(std::span(&record, 1), work_.facts.height_px, work_.facts.width_px);
      if (i == begin) {
        columns = std::move(rows);
      } else {
        store::append_rows(columns, std::move(rows));
      }
    }
    return columns;
  }

 private:
  /// Places in the course.
  using Place = std::int64_t;

  PreparedRecord prepare(Place place) {
    const FramedScan& scan = framed_at(place);
    PreparedRecord record = scan.record;
    if (!record.info.flag.empty()) report(record.info);
    image::Consensus result{scan.image.pixels, {}};
    if (options_.consensus_weeks) {
      result.filled = cv::Mat1b::zeros(scan.image.pixels.size());
      const bool in_frame = record.info.flag.empty();
      const FramedScan* before = in_frame ? witness(place, -1) : nullptr;
      const FramedScan* after = before != nullptr ? witness(place, +1) : nullptr;
      if (after != nullptr) {
        result = image::filled_by_consensus(scan.image, before->image, after->image);
        record.info.filled_share =
            static_cast<double>(cv::countNonZero(result.filled)) / static_cast<double>(result.filled.total());
      }
      record.filled = bytes_of(result.filled);
    }
    record.pixels = bytes_of(result.pixels);
    record.support = bytes_of(scan.image.support);
    if (options_.on_scan) {
      options_.on_scan(
          {record.info, scan.clean.cropped, scan.clean.denoised, result.pixels, scan.image.support, result.filled});
    }
    forget_before(place);
    return record;
  }

  std::int64_t scan_at(Place place) const { return work_.course.scan[static_cast<std::size_t>(place)]; }
  std::int64_t reference_at(Place place) const { return work_.course.reference[static_cast<std::size_t>(place)]; }

  const FramedScan& framed_at(Place place) {
    const auto known = framed_.find(place);
    if (known != framed_.end()) return known->second;
    const std::int64_t index = scan_at(place), reference = reference_at(place);
    if (!reference_ || reference_->index != reference) {
      reference_.reset();
      reference_ = make_reference(work_.store, reference, work_.px_per_mm(), work_.frame, options_);
    }
    return framed_
        .emplace(place, framed(work_.store.record(index), *reference_, index == reference, work_.px_per_mm(),
                               work_.frame, options_))
        .first->second;
  }

  /// The nearest scan of the same shoe in that direction of time that lies in its frame; null where there is none
  /// within --consensus weeks.
  const FramedScan* witness(Place place, int direction) {
    const auto week = [&](Place at) { return work_.store.scans()[static_cast<std::size_t>(scan_at(at))].subject.week; };
    for (Place at = place + direction; at >= 0 && at < work_.facts.scans; at += direction) {
      if (reference_at(at) != reference_at(place)) break;
      if (std::abs(week(at) - week(place)) > *options_.consensus_weeks) break;
      if (const FramedScan& scan = framed_at(at); scan.record.info.flag.empty()) return &scan;
      framed_.erase(at);
    }
    return nullptr;
  }

  /// Drops what the next scan does not need: all but the last one that can be its witness, and those that follow.
  void forget_before(Place place) {
    if (!options_.consensus_weeks) return framed_.clear();
    if (framed_.at(place).record.info.flag.empty()) framed_.erase(framed_.begin(), framed_.find(place));
  }

  void report(const PreparedInfo& info) const {
    const std::string what = "scan '" + info.id + "' cannot be registered to '" + info.reference_id + "': " + info.flag;
    if (options_.strict) throw DataError(what + " (`strict`)");
    spdlog::warn("{}", what);
  }

  const Preparation& work_;
  const PrepareOptions& options_;
  std::optional<Reference> reference_;
  std::map<Place, FramedScan> framed_;  // those that are still needed
};

std::vector<FlaggedScan> flagged_scans(const PrepareOptions& options) {
  std::vector<FlaggedScan> flagged;
  const PreparedStore store(options.output);
  for (const PreparedInfo& scan : store.scans()) {
    if (!scan.flag.empty()) flagged.push_back({scan.id, scan.flag});
  }
  return flagged;
}

nlohmann::json json_of(const std::vector<FlaggedScan>& scans) {
  nlohmann::json flagged = nlohmann::json::array();
  for (const FlaggedScan& scan : scans) flagged.push_back({{"id", scan.id}, {"reason", scan.reason}});
  return flagged;
}

}  // namespace

PrepareFacts prepare_facts(const comm::Communicator& comm, const PrepareOptions& options) {
  return agreed_work(comm, options).facts;
}

PrepareSummary prepare_scans(const comm::Communicator& comm, const PrepareOptions& options) {
  const Preparation work = agreed_work(comm, options);
  if (comm.is_root()) tell_assumed_resolution(work, options);
  UnitMaker make_unit(work, options);
  PrepareSummary summary;

  store::StoreJob job;
  job.output = options.output;
  job.header = header_of(work, options);
  job.units = work.facts.units;
  job.doing = "preparing";
  job.command_line = options.command_line;
  job.make = std::ref(make_unit);
  job.conclude = [&](bool was_finished) {
    summary = {work.facts, was_finished, flagged_scans(options)};
    return nlohmann::json{{"parameters", job.header.parameters}, {"flagged", json_of(summary.flagged)}};
  };
  store::make_store(comm, job);
  return summary;
}

}  // namespace outsole::wear
