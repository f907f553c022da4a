#include "ingest/ingest.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "account.h"
#include "core/text.h"
#include "ingest/ingest_exemplars.h"
#include "ingest/ingest_plan.h"
#include "ingest/ingest_scans.h"
#include "job.h"
#include "plan.h"

namespace outsole::jobs {

namespace {

struct IngestJob {
  std::string kind;
  std::optional<std::string> week_column;
  ingest::IngestOptions ingest;
};

ingest::ColumnFilter parse_filter(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw UsageError("expected COLUMN=VALUE or COLUMN=VALUE,VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void declare_ingest(IngestJob& own, Options& options) {
  ingest::IngestOptions& ingest = own.ingest;
  options.add("kind", "exemplars|scans", own.kind, "what the images are").one_of({"exemplars", "scans"}).required();
  options.add("input", "FILE|DIR...", ingest.inputs, "PNG, JPEG or TIFF files, or folders of them").required();
  options.add_switch("recursive", ingest.recursive,
                     "with the folders below; without, those files that the manifest names");
  options
      .add("manifest", "CSV", ingest.manifest,
           "what is known of the images: a column 'file' or 'id'; exemplars: 'mirror' (1: mirrored before use), 'dpi'; "
           "scans: "
           "'shoe', 'pair', 'foot', 'week' or dates, perhaps 'dpi'; others are kept; a 'file' is looked for from the "
           "manifest's folder and from those of --input")
      .required_with("kind", {"scans"});
  options
      .add_parsed_list("where", "COLUMN=VALUE[,VALUE]...", ingest.where, parse_filter,
                       "only images whose manifest row holds, of each column named, one of these values")
      .only_with("manifest");
  options
      .add_switch("lenient", ingest.lenient,
                  "go on where the manifest has rows without a file, or a column whose name is nearly a known one")
      .only_with("manifest")
      .not_with("strict");
  options
      .add("week-column", "NAME", own.week_column,
           "the manifest's column of weeks (scans); else 'week', without one weeks since a shoe's first date, without "
           "dates one visit")
      .only_with("kind", {"scans"});
  options
      .add("max-pixels", "N", ingest.limits.max_pixels, "refuse larger images, and half as large ones in 16-bit colour")
      .at_least(1);
  options.add("max-file-bytes", "N", ingest.limits.max_file_bytes, "refuse larger files").at_least(1);
  options.add("output", "NAME.h5", ingest.output, "the store to write").required();
}

/// The first few sets of images that are one.
std::string duplicates_text(const std::vector<std::vector<std::string>>& duplicates) {
  constexpr std::size_t kNamed = 5;
  if (duplicates.empty()) return "";
  std::string text =
      fmt::format("{} images are there more than once, with identical files or equal pixels:\n", duplicates.size());
  for (std::size_t i = 0; i < std::min(kNamed, duplicates.size()); ++i) {
    std::string ids;
    for (std::size_t j = 0; j < std::min(kNamed, duplicates[i].size()); ++j) {
      ids += (j > 0 ? " = " : "") + printable(duplicates[i][j]);
    }
    text += "  " + ids + (duplicates[i].size() > kNamed ? " = ...\n" : "\n");
  }
  return text + (duplicates.size() > kNamed ? "  ...\n" : "");
}

/// "resolution: 12 of 100 dpi, 1 of 300 dpi; 3 do not say theirs".
std::string image_resolutions_text(const std::map<double, std::int64_t>& images_of_dpi) {
  constexpr std::size_t kNamed = 5;
  std::size_t named = 0;
  std::string known, unknown;
  for (const auto& [dpi, images] : images_of_dpi) {
    if (dpi == 0) {
      unknown = fmt::format("{} do not say theirs", images);
    } else if (++named <= kNamed) {
      known += fmt::format("{}{} of {:g} dpi", known.empty() ? "" : ", ", images, dpi);
    }
  }
  if (named > kNamed) known += ", ...";
  if (known.empty() && unknown.empty()) return "";
  return "resolution: " + known + (known.empty() || unknown.empty() ? "" : "; ") + unknown + "\n";
}

std::string summary_text(const ingest::IngestSummary& summary, const IngestJob& own) {
  const std::string output = own.ingest.output.string();
  std::string text;
  if (summary.was_finished) {
    text += fmt::format("{} was there already, made from these files\n", output);
  }
  text += fmt::format("{}: {} {} of {} files\n", output, summary.images, own.kind, summary.files);
  if (summary.colour_images > 0) {
    text += fmt::format("{} in colour, converted to grey (0.299 R + 0.587 G + 0.114 B)\n", summary.colour_images);
  }
  if (summary.mirrored_images > 0) text += fmt::format("{} to be mirrored before use\n", summary.mirrored_images);
  text += image_resolutions_text(summary.images_of_dpi);
  if (!summary.manifest_mismatches.empty()) {
    text += fmt::format("{} rows or files of the manifest do not fit together\n", summary.manifest_mismatches.size());
  }
  for (const std::string& assumption : summary.assumptions) text += fmt::format("assumed: {}\n", printable(assumption));
  text += duplicates_text(summary.duplicates);
  for (const ingest::Remark& remark : summary.remarks) {
    text += fmt::format("{} images: {}; first:\n", remark.images, remark.what);
    for (const std::string& name : remark.first) text += fmt::format("  {}\n", printable(name));
  }
  if (!summary.skipped.empty()) text += fmt::format("{} files skipped:\n", summary.skipped.size());
  for (const ingest::SkippedFile& file : summary.skipped) text += fmt::format("  {}\n", printable(file.reason));
  return text + account_text(summary.files, summary.not_read);
}

Report run_ingest(IngestJob& own, const JobContext& context) {
  own.ingest.memory_bytes = context.memory_bytes();
  own.ingest.strict = context.common.strict;
  own.ingest.command_line = context.command_line;
  const ingest::IngestKind kind =
      own.kind == "scans" ? ingest::scan_kind(own.week_column.value_or("week"), /*may_lack_weeks=*/!own.week_column)
                          : ingest::exemplar_kind();
  if (context.common.plan) return plan_report(ingest::ingest_plan(context.comm, own.ingest, kind), context);
  const ingest::IngestSummary summary = ingest::ingest_images(context.comm, own.ingest, kind);
  return [=] { return summary_text(summary, own); };
}

}  // namespace

Job ingest_job() {
  return make_job(
      {"ingest", "read images into a store", "",
       "Example:\n"
       "  outsole ingest --kind exemplars --input references/ --output exemplars.h5\n"
       "  outsole ingest --kind scans --input scans_100dpi/ --manifest manifest.csv --where dpi=100 \\\n"
       "    --week-column weeks_since_first --output scans.h5\n"
       "The store holds every image's pixels as they are shown (turned as EXIF or TIFF say, colour to grey, paper "
       "under\n"
       "transparent parts), its id (the file's name without folder and extension), the manifest's columns and the\n"
       "file's SHA-256. What was turned, scaled or not believed is said. A file that cannot be read is named and left\n"
       "out; with --strict it stops the job. The manifest may come from a spreadsheet: semicolons, tabs, UTF-16, "
       "empty\n"
       "columns and rows, blanks around names; an id of digits matches numerically (107 is 00107).\n"},
      declare_ingest, run_ingest);
}

}  // namespace outsole::jobs
