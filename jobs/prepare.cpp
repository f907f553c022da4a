#include "wear/prepare.h"

#include <spdlog/spdlog.h>

#include <cstdio>
#include <opencv2/core/utility.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/text.h"
#include "image/image.h"
#include "job.h"
#include "options.h"
#include "plan.h"
#include "report/agreement.h"
#include "report/preparation_picture.h"
#include "wear/prepare_plan.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

void add_options(po::options_description& options) {
  const image::RegistrationParameters registration;
  options.add_options()                                                                                 //
      ("scans", po::value<std::string>()->value_name("NAME.h5")->required(), "the scans, as ingested")  //
      ("size", po::value<std::string>()->value_name("HxW|native")->default_value("native"),
       "size of the prepared scans (area-averaged), or the scanner's own resolution")                 //
      ("no-crop", po::bool_switch(), "keep the ruler border")                                         //
      ("no-denoise", po::bool_switch(), "keep veil, dust, fibres and ghosts")                         //
      ("no-register", po::bool_switch(), "keep every scan where it lay")                              //
      ("mirror-right", po::bool_switch(), "mirror right outsoles, so that they look like left ones")  //
      ("consensus", po::value<double>()->value_name("WEEKS"),
       "fill what did not print: ink that a scan lacks, and the scans of the shoe before and after it both show, "
       "within "
       "so many weeks")                                                                                           //
      ("dpi", po::value<double>()->value_name("N"), "resolution of scans whose own is unknown")                   //
      ("max-angle-deg", po::value<double>()->default_value(registration.max_angle_deg), "largest turn searched")  //
      ("max-shift-mm", po::value<double>()->default_value(registration.max_shift_mm),
       "largest move searched, down and across")  //
      ("min-correlation", po::value<double>()->default_value(registration.least_correlation),
       "a scan that correlates less with its reference is flagged")  //
      ("figures", po::value<std::string>()->value_name("DIR"),
       "pictures: of each scan the heel, as scanned, its ink mask, noise map and result; agreement.csv and "
       "agreement.png: "
       "correlation of all pairs of scans of a shoe, before and after")  //
      ("output", po::value<std::string>()->value_name("NAME.h5")->required(), "the store to write");
}

double within(const po::variables_map& options, const std::string& name, double least, double most) {
  const auto value = options[name].as<double>();
  if (!(value >= least && value <= most)) {
    throw UsageError("--" + name + ": must lie between " + std::to_string(least) + " and " + std::to_string(most));
  }
  return value;
}

wear::PrepareOptions parse(const po::variables_map& options, const JobContext& context) {
  wear::PrepareOptions prepare;
  prepare.scans = options["scans"].as<std::string>();
  prepare.output = options["output"].as<std::string>();
  if (const auto& size = options["size"].as<std::string>(); size != "native") {
    const HeightWidth wanted = parse_size(size, "size");
    prepare.size = cv::Size(static_cast<int>(wanted.width_px), static_cast<int>(wanted.height_px));
  }
  prepare.crops = !options["no-crop"].as<bool>();
  prepare.denoises = !options["no-denoise"].as<bool>();
  prepare.registers = !options["no-register"].as<bool>();
  prepare.mirrors_right = options["mirror-right"].as<bool>();
  if (options.count("consensus") > 0) {
    prepare.consensus_weeks = within(options, "consensus", 0, 10000);
    if (!prepare.registers)
      throw UsageError("--consensus compares scans in one frame; it cannot go with --no-register");
  }
  if (options.count("dpi") > 0) prepare.dpi = within(options, "dpi", 10, 1e5);
  prepare.registration.max_angle_deg = within(options, "max-angle-deg", 0, 45);
  prepare.registration.max_shift_mm = within(options, "max-shift-mm", 0, 500);
  prepare.registration.least_correlation = within(options, "min-correlation", -1, 1);
  prepare.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  prepare.strict = context.common.strict;
  prepare.command_line = context.command_line;
  return prepare;
}

void print_summary(const wear::PrepareSummary& summary, const wear::PrepareOptions& prepare) {
  if (summary.was_finished) {
    std::printf("%s was there already, made from the same scans; no picture of a single scan is made\n",
                prepare.output.c_str());
  }
  std::printf("%s: %lld scans of %lld x %lld pixels\n", prepare.output.c_str(),
              static_cast<long long>(summary.plan.scans), static_cast<long long>(summary.plan.height_px),
              static_cast<long long>(summary.plan.width_px));
  std::printf("%zu flagged: not registered\n", summary.flagged.size());
  for (const wear::FlaggedScan& scan : summary.flagged) {
    std::printf("  %s: %s\n", printable(scan.id).c_str(), printable(scan.reason).c_str());
  }
}

void write_agreement(const wear::PrepareOptions& prepare, const fs::path& folder) {
  const auto pairs = report::scan_agreement(prepare.scans, prepare.output);
  write_file_atomically(folder / "agreement.csv", report::agreement_csv(pairs));
  if (!pairs.empty()) image::write_image(folder / "agreement.png", report::agreement_picture(pairs));
}

void run(const po::variables_map& options, const JobContext& context) {
  wear::PrepareOptions prepare;
  fs::path figures;
  context.comm.together([&] {
    prepare = parse(options, context);
    if (options.count("figures") > 0) figures = options["figures"].as<std::string>();
    cv::setNumThreads(context.common.threads);
  });
  if (context.common.plan) return print_plan(context, [&] { return wear::prepare_plan(context.comm, prepare); });
  if (!figures.empty()) {
    context.comm.together([&] { create_folder(figures); });
    prepare.on_scan = [&](const wear::PreparationSteps& steps) {
      // The last part of the id alone: a crafted store must not lead out of the folder.
      image::write_image(figures / fs::path(steps.info.id + ".png").filename(), report::preparation_picture(steps));
    };
  }
  const wear::PrepareSummary summary = wear::prepare_scans(context.comm, prepare);
  context.comm.together([&] {
    if (!context.comm.is_root()) return;
    if (!figures.empty()) write_agreement(prepare, figures);
    print_summary(summary, prepare);
  });
}

}  // namespace

Job prepare_job() {
  return {
      "prepare",
      "crop, denoise and register scans",
      "",
      "Example:\n"
      "  outsole prepare --scans scans.h5 --size 640x256 --figures figures/ --output prepared.h5\n"
      "All scans of a shoe come into the frame of its earliest one. Area that a scan does not show is unknown, not\n"
      "worn off: the data set 'support' says where. A scan that cannot be registered keeps its place and carries the\n"
      "reason in the data set 'flag'; with --strict it stops the job.\n"
      "--consensus takes evidence from other dates: the data set 'filled' says where. Do not use it for what is to be\n"
      "compared between dates in court, nor where weeks are held out to judge a model: it shows them to the others.\n",
      add_options,
      run};
}

}  // namespace outsole::jobs
