#include "wear/prepare.h"

#include <spdlog/fmt/fmt.h>

#include <cstdio>
#include <opencv2/core/utility.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/text.h"
#include "image/image.h"
#include "job.h"
#include "plan.h"
#include "report/agreement.h"
#include "report/preparation_picture.h"
#include "wear/prepare_plan.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct PrepareJob {
  wear::PrepareOptions prepare;
  std::optional<fs::path> figures;
};

/// "640x256", or "native".
std::optional<cv::Size> parse_prepared_size(const std::string& text) {
  if (text == "native") return std::nullopt;
  const HeightWidth size = parse_size(text);
  return cv::Size(static_cast<int>(size.width_px), static_cast<int>(size.height_px));
}

void declare_prepare(PrepareJob& own, Options& options) {
  wear::PrepareOptions& prepare = own.prepare;
  image::RegistrationParameters& registration = prepare.registration;
  options.add("scans", "NAME.h5", prepare.scans, "the scans, as ingested").required();
  options.add_parsed("size", "HxW|native", prepare.size, parse_prepared_size, "native",
                     "size of the prepared scans (area-averaged), or the scanner's own resolution");
  options.add_switch("no-crop", prepare.crops, "keep the ruler border");
  options.add_switch("no-whiten", prepare.whitens, "keep the level of paper where it is not white");
  options.add_switch("no-denoise", prepare.denoises, "keep veil, dust, fibres and ghosts");
  options.add_switch("no-register", prepare.registers, "keep every scan where it lay");
  options.add_switch("mirror-right", prepare.mirrors_right, "mirror right outsoles, so that they look like left ones");
  options
      .add("consensus", "WEEKS", prepare.consensus_weeks,
           "fill what did not print: ink that a scan lacks, and the scans of the shoe before and after it both show, "
           "within so many weeks")
      .at_least(0)
      .at_most(10000)
      .not_with("no-register");
  options.add("dpi", "N", prepare.dpi, "resolution of scans whose own is unknown").at_least(10).at_most(1e5);
  options.add("max-angle-deg", "A", registration.max_angle_deg, "largest turn searched")
      .at_least(0)
      .at_most(45)
      .in("degrees")
      .not_with("no-register");
  options.add("max-shift-mm", "S", registration.max_shift_mm, "largest move searched, down and across")
      .at_least(0)
      .at_most(500)
      .in("mm")
      .not_with("no-register");
  options
      .add("min-correlation", "R", registration.least_correlation,
           "a scan that correlates less with its reference is flagged")
      .at_least(-1)
      .at_most(1)
      .not_with("no-register");
  options.add("figures", "DIR", own.figures,
              "pictures: of each scan the heel, as scanned, its ink mask, noise map and result; agreement.csv and "
              "agreement.png: correlation of all pairs of scans of a shoe, before and after");
  options.add("output", "NAME.h5", prepare.output, "the store to write").required();
}

std::string summary_text(const wear::PrepareSummary& summary, const fs::path& output) {
  std::string text;
  if (summary.was_finished) {
    text += fmt::format("{} was there already, made from the same scans; no picture of a single scan is made\n",
                        output.string());
  }
  text += fmt::format("{}: {} scans of {} x {} pixels\n", output.string(), summary.facts.scans, summary.facts.height_px,
                      summary.facts.width_px);
  text += fmt::format("{} flagged: not registered\n", summary.flagged.size());
  for (const wear::FlaggedScan& scan : summary.flagged) {
    text += fmt::format("  {}: {}\n", printable(scan.id), printable(scan.reason));
  }
  return text;
}

/// A store of scans of which most lie in no frame is there to be looked at, not to go on with. A handful that is
/// flagged one by one says less.
void require_most_registered(const wear::PrepareSummary& summary, const std::string& text) {
  const std::int64_t to_register = summary.facts.scans - summary.facts.shoes, flagged = std::ssize(summary.flagged);
  constexpr std::int64_t kHandful = 4;
  if (2 * flagged <= to_register || to_register <= kHandful) return;
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  throw DataError(
      fmt::format("{} of {} scans could not be registered to the first one of their shoe; look at `figures`, "
                  "and check the labels, the resolution (`dpi`) and `max_angle_deg`",
                  flagged, to_register));
}

void write_agreement(const wear::PrepareOptions& prepare, const fs::path& folder) {
  const auto pairs = report::scan_agreement(prepare.scans, prepare.output);
  write_file_atomically(folder / "agreement.csv", report::agreement_csv(pairs));
  if (!pairs.empty()) image::write_image(folder / "agreement.png", report::agreement_picture(pairs));
}

Report run_prepare(PrepareJob& own, const JobContext& context) {
  wear::PrepareOptions& prepare = own.prepare;
  prepare.memory_bytes = context.memory_bytes();
  prepare.strict = context.common.strict;
  prepare.command_line = context.command_line;
  if (context.common.plan) return plan_report(wear::prepare_plan(context.comm, prepare), context);
  if (own.figures) {
    context.comm.together([&] { create_folder(*own.figures); });
    prepare.on_scan = [figures = *own.figures](const wear::PreparationSteps& steps) {
      // The last part of the id alone: a crafted store must not lead out of the folder.
      image::write_image(figures / fs::path(steps.info.id + ".png").filename(), report::preparation_picture(steps));
    };
  }
  const wear::PrepareSummary summary = wear::prepare_scans(context.comm, prepare);
  return [=] {
    if (own.figures) write_agreement(own.prepare, *own.figures);
    const std::string text = summary_text(summary, own.prepare.output);
    require_most_registered(summary, text);
    return text;
  };
}

}  // namespace

Job prepare_job() {
  return make_job(
      {"prepare", "crop, denoise and register scans", "",
       "Example:\n"
       "  outsole prepare --scans scans.h5 --size 640x256 --figures figures/ --output prepared.h5\n"
       "All scans of a shoe come into the frame of its earliest one. Area that a scan does not show is unknown, not\n"
       "worn off: the data set 'support' says where. A scan that cannot be registered keeps its place and carries the\n"
       "reason in the data set 'flag'; with --strict it stops the job. Where most of more than four do, the exit code is 3.\n"
       "--consensus takes evidence from other dates: the data set 'filled' says where. Do not use it for what is to "
       "be\n"
       "compared between dates in court, nor where weeks are held out to judge a model: it shows them to the "
       "others.\n"},
      declare_prepare, run_prepare);
}

}  // namespace outsole::jobs
