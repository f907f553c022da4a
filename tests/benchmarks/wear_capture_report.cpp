// What preparation achieves on synthetic scans, whose truth is known: wear_capture_report [SEEDS|FIRST-LAST [HxW...]],
// seeds 1-5 at 640x256 and 3438x1375 by default. Prints a table a size:
//   registration   distance between where a point of the outsole is and where registration puts it, root mean square
//                  over the print's ink, px; each week against week 0, both denoised as `prepare` does
//   denoising      PSNR(denoised, clean) - PSNR(scan, clean), dB, of scans with one kind of fault, and with all
//   kept           PSNR(denoised clean scan, clean), dB; and of cuts, nicks, holes and stones more than 3 px wide and
//                  high, which share of their contrast denoising keeps
//   consensus      the same two for denoised scans that the scans before and after them have filled (prepare
//                  --consensus), in the frame of week 0; of weeks that have both

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "image/consensus.h"
#include "image/denoise.h"
#include "image/geometry.h"
#include "image/register.h"
#include "synth/capture.h"

namespace outsole {
namespace {

using synth::Fault;

/// Mean and worst of a figure over scans.
struct Figure {
  double sum = 0, least = std::numeric_limits<double>::infinity(), most = -least;
  int count = 0;

  void add(double value) {
    if (!std::isfinite(value)) return;
    sum += value;
    least = std::min(least, value);
    most = std::max(most, value);
    ++count;
  }
};

void print_row(const std::string& name, const Figure& figure) {
  std::printf("  %-34s %9.3f %9.3f %9.3f %6d\n", name.c_str(), figure.sum / figure.count, figure.least, figure.most,
              figure.count);
}

double psnr_db(const cv::Mat1b& image, const cv::Mat1b& truth) {
  const double mse = cv::norm(image, truth, cv::NORM_L2SQR) / static_cast<double>(truth.total());
  return 10 * std::log10(255.0 * 255.0 / mse);  // infinite where they are equal
}

/// The truth about two scans: where `reference` shows the point p, `scan` shows it at R p + shift.
image::RigidTransform between(const image::RigidTransform& reference, const image::RigidTransform& scan) {
  const double angle_deg = scan.angle_deg - reference.angle_deg;
  const synth::Point moved = synth::turned({reference.y, reference.x}, angle_deg);
  return {angle_deg, scan.y - moved.y, scan.x - moved.x};
}

synth::Point apply(const image::RigidTransform& transform, synth::Point at) {
  return synth::turned(at, transform.angle_deg) + synth::Point{transform.y, transform.x};
}

double rms_over_ink(const image::RigidTransform& found, const image::RigidTransform& truth,
                    const cv::Mat1b& reference) {
  double sum = 0, count = 0;
  for (int y = 0; y < reference.rows; y += 2) {
    for (int x = 0; x < reference.cols; x += 2) {
      if (reference(y, x) >= 128) continue;
      const synth::Point at{y - (reference.rows - 1) / 2.0, x - (reference.cols - 1) / 2.0};
      const synth::Point off = apply(found, at) - apply(truth, at);
      sum += off.y * off.y + off.x * off.x;
      count += 1;
    }
  }
  return std::sqrt(sum / count);
}

/// Which share of their contrast accidental marks keep.
struct MarkContrast {
  Figure share;
  int kept = 0;  // marks that keep 80%
};

struct Report {
  Figure registration, kept_clean, all_faults, consensus;
  std::map<Fault, Figure> gain;
  int failed = 0;
  MarkContrast marks, marks_after_consensus;
};

void measure_faults(const synth::WornShoeScanner& scanner, int week, double px_per_mm, Report& report) {
  for (const Fault fault : synth::kFaults) {
    const synth::CapturedScan capture = scanner.scan(week, synth::bit_of(fault)).capture;
    if (cv::countNonZero(capture.faults) == 0) continue;
    const cv::Mat1b denoised = image::denoise(capture.scan, px_per_mm).image;
    report.gain[fault].add(psnr_db(denoised, capture.clean) - psnr_db(capture.scan, capture.clean));
  }
}

/// Each accidental mark of a week: how much of what it changes in the clean scan is left in the prepared one.
void measure_contrast(const cv::Mat1b& clean, const cv::Mat1b& prepared, const cv::Mat1b& unhurt,
                      MarkContrast& contrast) {
  constexpr int kVisible = 25, kLeastPx = 4;  // more than 3
  cv::Mat1i label;
  cv::Mat stats, centroids;
  cv::Mat difference;
  cv::absdiff(clean, unhurt, difference);
  const int marks = cv::connectedComponentsWithStats(difference > kVisible, label, stats, centroids, 8, CV_32S);
  for (int mark = 1; mark < marks; ++mark) {
    const int* box = stats.ptr<int>(mark);
    if (std::min(box[cv::CC_STAT_WIDTH], box[cv::CC_STAT_HEIGHT]) < kLeastPx) continue;
    double left = 0, whole = 0;
    for (int y = box[cv::CC_STAT_TOP]; y < box[cv::CC_STAT_TOP] + box[cv::CC_STAT_HEIGHT]; ++y) {
      for (int x = box[cv::CC_STAT_LEFT]; x < box[cv::CC_STAT_LEFT] + box[cv::CC_STAT_WIDTH]; ++x) {
        if (label(y, x) != mark) continue;
        const double change = clean(y, x) - unhurt(y, x);
        left += change * (prepared(y, x) - unhurt(y, x));
        whole += change * change;
      }
    }
    contrast.share.add(left / whole);
    contrast.kept += left / whole >= 0.8;
  }
}

/// A shoe's scans in the frame of its first, as `prepare` brings them there.
class FramedScans {
 public:
  explicit FramedScans(const synth::WornShoeScanner& scanner)
      : scanner_(scanner), reference_(denoised(scanner.scan(0).capture.scan), px_per_mm()) {}

  double px_per_mm() const { return scanner_.frame().px_per_mm(); }
  cv::Mat1b denoised(const cv::Mat1b& scan) const { return image::denoise(scan, px_per_mm()).image; }

  image::Registration registration(const cv::Mat1b& denoised) const {
    return image::register_scan(reference_, image::RegistrationPyramid(denoised, px_per_mm()));
  }

  image::AlignedScan framed(const cv::Mat1b& image, const image::RigidTransform& transform) const {
    return {image::warped_into_frame(image, transform, image.size(), {0, 0}, 255),
            image::support_in_frame(image.size(), transform, image.size(), {0, 0})};
  }

  /// The denoised scan of that week, in the frame; where it cannot be registered, nothing is known.
  image::AlignedScan prepared(int week) const {
    const cv::Mat1b scan = denoised(scanner_.scan(week).capture.scan);
    const image::Registration found = registration(scan);
    if (found.failure.empty()) return framed(scan, found.transform);
    return {cv::Mat1b(scan.size(), uchar{255}), cv::Mat1b::zeros(scan.size())};
  }

 private:
  const synth::WornShoeScanner& scanner_;
  image::RegistrationPyramid reference_;
};

/// What consensus adds to denoising in a week that has scans before and after it.
void measure_consensus(const FramedScans& scans, const synth::CapturedScan& capture, const cv::Mat1b& unhurt,
                       const image::RigidTransform& transform, int week, Report& report) {
  const std::vector<int>& weeks = synth::captured_weeks();
  const auto here = std::ranges::find(weeks, week);
  if (here == weeks.begin() || here + 1 == weeks.end()) return;
  const image::AlignedScan before = scans.prepared(*(here - 1)), after = scans.prepared(*(here + 1));
  const auto filled = [&](const cv::Mat1b& scan) {
    return image::filled_by_consensus(scans.framed(scans.denoised(scan), transform), before, after).pixels;
  };
  const auto framed = [&](const cv::Mat1b& image) { return scans.framed(image, transform).pixels; };
  const cv::Mat1b clean = framed(capture.clean);
  report.consensus.add(psnr_db(filled(capture.scan), clean) - psnr_db(framed(capture.scan), clean));
  measure_contrast(clean, filled(capture.clean), framed(unhurt), report.marks_after_consensus);
}

void measure_shoe(const synth::WornShoe& shoe, cv::Size size, const std::vector<int>& weeks, Report& report) {
  const synth::WornShoeScanner scanner(shoe, size);
  synth::WornShoe spared = shoe;
  spared.accidentals.clear();
  const synth::WornShoeScanner unhurt(spared, size);
  const FramedScans scans(scanner);
  const synth::WornScan first = scanner.scan(0);
  for (const int week : weeks) {
    const synth::WornScan worn = scanner.scan(week);
    const cv::Mat1b denoised = scans.denoised(worn.capture.scan), unhurt_clean = unhurt.scan(week, 0).capture.clean;
    report.all_faults.add(psnr_db(denoised, worn.capture.clean) - psnr_db(worn.capture.scan, worn.capture.clean));
    const image::Registration found = scans.registration(denoised);
    if (found.failure.empty()) {
      report.registration.add(rms_over_ink(found.transform, between(first.pose, worn.pose), first.capture.clean));
      measure_consensus(scans, worn.capture, unhurt_clean, found.transform, week, report);
    } else {
      ++report.failed;
      std::printf("  week %d: not registered: %s\n", week, found.failure.c_str());
    }
    const cv::Mat1b of_clean = scans.denoised(worn.capture.clean);
    report.kept_clean.add(psnr_db(of_clean, worn.capture.clean));
    measure_contrast(worn.capture.clean, of_clean, unhurt_clean, report.marks);
    measure_faults(scanner, week, scans.px_per_mm(), report);
  }
}

void print(const Report& report, cv::Size size, int seeds) {
  std::printf("%dx%d, %d seeds                               mean     least      most  scans\n", size.height,
              size.width, seeds);
  print_row("registration RMS, px", report.registration);
  for (const auto& [fault, gain] : report.gain) print_row("denoising " + synth::name_of(fault) + ", dB", gain);
  print_row("denoising all together, dB", report.all_faults);
  print_row("and with consensus, dB", report.consensus);
  print_row("kept of the clean scan, dB", report.kept_clean);
  print_row("contrast kept of marks", report.marks.share);
  print_row("and with consensus", report.marks_after_consensus.share);
  std::printf("  %d scans not registered; %d of %d marks keep 80%% of their contrast, with consensus %d of %d\n",
              report.failed, report.marks.kept, report.marks.share.count, report.marks_after_consensus.kept,
              report.marks_after_consensus.share.count);
  std::fflush(stdout);
}

cv::Size parse_size(const std::string& text) {
  const std::size_t cross = text.find('x');
  return {std::atoi(text.c_str() + cross + 1), std::atoi(text.c_str())};
}

}  // namespace
}  // namespace outsole

int main(int argc, char** argv) {
  int first_seed = 1, last_seed = 5;
  if (argc > 1 && std::sscanf(argv[1], "%d-%d", &first_seed, &last_seed) == 1) {
    last_seed = first_seed;
    first_seed = 1;
  }
  std::vector<std::string> sizes(argv + std::min(argc, 2), argv + argc);
  if (sizes.empty()) sizes = {"640x256", "3438x1375"};
  for (const std::string& text : sizes) {
    const cv::Size size = outsole::parse_size(text);
    const std::vector<int> weeks = size.height > 2000 ? std::vector<int>{8, 34} : std::vector<int>{8, 20, 34, 52};
    outsole::Report report;
    for (int seed = first_seed; seed <= last_seed; ++seed) {
      outsole::measure_shoe(
          outsole::synth::make_worn_shoe(static_cast<std::uint64_t>(seed), 0, outsole::synth::Foot::kLeft), size, weeks,
          report);
    }
    outsole::print(report, size, last_seed - first_seed + 1);
  }
}
