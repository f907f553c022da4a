#include <spdlog/fmt/fmt.h>

#include "core/errors.h"
#include "core/text.h"
#include "job.h"
#include "report/export_store.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct ExportJob {
  std::vector<fs::path> store;
  std::string format = "png";
  report::ExportOptions options;
};

void declare_export(ExportJob& own, Options& options) {
  options.add("store", "NAME.h5", own.store, "a store of any kind").required();
  options.add("ids", "ID...", own.options.ids, "only these rows: images, marks");
  options.add("format", "png|tiff", own.format, "of the images; TIFF has 8 bits").one_of({"png", "tiff"});
  options.add("output", "DIR", own.options.folder, "folder of the files").required();
}

std::string names_joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

Report run_export(ExportJob& own, const JobContext& context) {
  if (own.store.size() != 1) throw UsageError("`store`: exports one store; name just one");
  if (context.common.plan) throw UsageError("`plan`: an export takes as long as the disk needs");
  own.options.store = own.store.front();
  own.options.format = own.format == "png" ? report::ExportFormat::kPng : report::ExportFormat::kTiff;
  report::ExportSummary summary;
  context.comm.together([&] {
    if (!context.comm.is_root()) return;
    create_folder(own.options.folder);
    summary = report::export_store(own.options);
  });
  return [=] {
    std::string text =
        fmt::format("{}: {} images, {} tables{}\n", own.options.folder.string(), summary.images, summary.tables.size(),
                    summary.tables.empty() ? "" : ": " + names_joined(summary.tables));
    if (!summary.left_out.empty()) text += fmt::format("left out: {}\n", names_joined(summary.left_out));
    return text;
  };
}

}  // namespace

Job export_job() {
  return make_job(
      {"export", "write a store's images as PNG or TIFF and its tables as CSV", "store",
       "Examples:\n"
       "  outsole export prepared.h5 --format tiff --output images/\n"
       "  outsole export results.h5 --ids 00001 --output tables/\n"
       "Images carry their resolution where it is known. A table ROWS.csv has a line for each row, ROWS_COLUMNS.csv "
       "one\n"
       "for each row and column, such as marks_top.csv of the candidates of each mark. Feature maps are left out.\n"},
      declare_export, run_export);
}

}  // namespace outsole::jobs
