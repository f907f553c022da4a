#include "ingest/ingest.h"

#include <cstdio>

#include "comm/partition.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/text.h"
#include "job.h"
#include "ingest/ingest_exemplars.h"
#include "ingest/ingest_scans.h"
#include "scaling.h"

namespace outsole::jobs {

namespace {

void add_options(po::options_description& options) {
  const image::DecodeLimits limits;
  options.add_options()                                                                                     //
      ("kind", po::value<std::string>()->value_name("exemplars|scans")->required(), "what the images are")  //
      ("input", po::value<std::vector<std::string>>()->multitoken()->value_name("FILE|DIR...")->required(),
       "PNG, JPEG or TIFF files, or folders of them (not recursive)")  //
      ("manifest", po::value<std::string>()->value_name("CSV"),
       "what is known of the images: a column 'file' or 'id'; exemplars: 'mirror' (1: mirrored before use); scans: "
       "'shoe', 'pair', 'foot', 'week', perhaps 'dpi'; others are kept")  //
      ("where", po::value<std::vector<std::string>>()->multitoken()->value_name("COLUMN=VALUE..."),
       "only images whose manifest row holds these values")  //
      ("week-column", po::value<std::string>()->value_name("NAME"),
       "the manifest's column of weeks (scans; default: week)")  //
      ("max-pixels", po::value<std::int64_t>()->default_value(limits.max_pixels),
       "refuse larger images, and half as large ones in 16-bit colour")                                           //
      ("max-file-bytes", po::value<std::int64_t>()->default_value(limits.max_file_bytes), "refuse larger files")  //
      ("output", po::value<std::string>()->value_name("NAME.h5")->required(), "the store to write");
  add_scaling_options(options);
}

ingest::ColumnFilter parse_filter(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw UsageError("--where " + text + ": expected COLUMN=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::int64_t positive(const po::variables_map& options, const std::string& name) {
  const auto value = options[name].as<std::int64_t>();
  if (value < 1) throw UsageError("--" + name + " " + std::to_string(value) + ": must be at least 1");
  return value;
}

ingest::IngestKind parse_kind(const po::variables_map& options) {
  const auto& kind = options["kind"].as<std::string>();
  const bool has_week_column = options.count("week-column") > 0;
  if (kind == "scans") {
    if (options.count("manifest") == 0)
      throw UsageError("--kind scans: needs --manifest, with shoe, pair, foot and week");
    return has_week_column ? ingest::scan_kind(options["week-column"].as<std::string>()) : ingest::scan_kind();
  }
  if (kind != "exemplars") throw UsageError("--kind " + kind + ": not one of exemplars, scans");
  if (has_week_column) throw UsageError("--week-column belongs to --kind scans");
  return ingest::exemplar_kind();
}

ingest::IngestOptions parse(const po::variables_map& options, const JobContext& context) {
  ingest::IngestOptions ingest;
  for (const auto& input : options["input"].as<std::vector<std::string>>()) ingest.inputs.emplace_back(input);
  if (options.count("manifest") > 0) ingest.manifest = options["manifest"].as<std::string>();
  if (options.count("where") > 0) {
    for (const auto& text : options["where"].as<std::vector<std::string>>()) ingest.where.push_back(parse_filter(text));
  }
  ingest.output = options["output"].as<std::string>();
  ingest.limits = {positive(options, "max-pixels"), positive(options, "max-file-bytes")};
  ingest.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  ingest.strict = context.common.strict;
  ingest.command_line = context.command_line;
  return ingest;
}

void print_plan(const ingest::IngestPlan& plan, const ingest::IngestOptions& ingest, const comm::Communicator& comm,
                const po::variables_map& options) {
  constexpr double kBytesASecond = 25e6;  // of compressed files, one thread (bench_ingest)
  std::printf("%lld files, %s, in %lld units\n", static_cast<long long>(plan.files),
              format_bytes(static_cast<double>(plan.file_bytes)).c_str(), static_cast<long long>(plan.units));
  for (int rank = 0; rank < comm.size(); ++rank) {
    const comm::UnitRange units = comm::units_of(plan.units, rank, comm.size());
    std::printf("rank %d: %lld units\n", rank, static_cast<long long>(units.size()));
  }
  const double seconds = static_cast<double>(plan.file_bytes) / kBytesASecond;
  std::printf("plan: seconds_on_one_rank=%.0f\n", seconds);  // read by slurm/allocation.sh
  machine::JobWork work;
  work.partitions = {{"units", plan.units}};
  work.compute_s = seconds;
  work.read_bytes = static_cast<double>(plan.file_bytes);
  work.written_bytes = work.read_bytes;  // compressed like the files
  work.memory_bytes = static_cast<double>(ingest.memory_bytes);
  print_scaling(work, options);
}

void print_summary(const ingest::IngestSummary& summary, const ingest::IngestOptions& ingest,
                   const std::string& kind) {
  if (summary.was_finished) {
    std::printf("%s was there already, made from files of these names and sizes\n", ingest.output.c_str());
  }
  std::printf("%s: %lld %s of %lld files\n", ingest.output.c_str(), static_cast<long long>(summary.images),
              kind.c_str(), static_cast<long long>(summary.files));
  if (summary.colour_images > 0) {
    std::printf("%lld in colour, converted to grey (0.299 R + 0.587 G + 0.114 B)\n",
                static_cast<long long>(summary.colour_images));
  }
  if (summary.mirrored_images > 0) {
    std::printf("%lld to be mirrored before use\n", static_cast<long long>(summary.mirrored_images));
  }
  if (!summary.manifest_mismatches.empty()) {
    std::printf("%zu rows or files of the manifest do not fit together\n", summary.manifest_mismatches.size());
  }
  for (const ingest::Remark& remark : summary.remarks) {
    std::printf("%lld images: %s; first:\n", static_cast<long long>(remark.images), remark.what.c_str());
    for (const std::string& name : remark.first) std::printf("  %s\n", printable(name).c_str());
  }
  if (!summary.skipped.empty()) std::printf("%zu files skipped:\n", summary.skipped.size());
  for (const ingest::SkippedFile& file : summary.skipped) std::printf("  %s\n", printable(file.reason).c_str());
}

void run(const po::variables_map& options, const JobContext& context) {
  ingest::IngestOptions ingest;
  ingest::IngestKind kind;
  context.comm.together([&] {
    kind = parse_kind(options);
    ingest = parse(options, context);
  });
  if (context.common.plan) {
    const ingest::IngestPlan plan = ingest::plan_ingest(context.comm, ingest, kind);
    context.comm.together([&] {
      if (context.comm.is_root()) print_plan(plan, ingest, context.comm, options);
    });
    return;
  }
  const ingest::IngestSummary summary = ingest::ingest_images(context.comm, ingest, kind);
  if (context.comm.is_root()) print_summary(summary, ingest, options["kind"].as<std::string>());
}

}  // namespace

Job ingest_job() {
  return {
      "ingest",
      "read images into a store",
      "",
      "Example:\n"
      "  outsole ingest --kind exemplars --input references/ --output exemplars.h5\n"
      "  outsole ingest --kind scans --input scans_100dpi/ --manifest manifest.csv --where dpi=100 \\\n"
      "    --week-column weeks_since_first --output scans.h5\n"
      "The store holds every image's pixels as they are (colour becomes grey), its id (the file's name without folder\n"
      "and extension), the manifest's columns and the file's SHA-256. A file that cannot be read is named and left\n"
      "out; with --strict it stops the job.\n",
      add_options,
      run};
}

}  // namespace outsole::jobs
