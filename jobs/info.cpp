#include <spdlog/fmt/fmt.h>

#include <cstdio>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/text.h"
#include "image/image.h"
#include "job.h"
#include "match/search_kernel.h"
#include "report/contact_sheet.h"
#include "store/find.h"
#include "store/store.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct InfoJob {
  std::vector<fs::path> paths;
  std::optional<fs::path> contact_sheet;
  bool kernels = false;
};

void declare_info(InfoJob& own, Options& options) {
  options.add("path", "FILE|DIR...", own.paths, "stores (NAME.h5), JSON files, or folders of stores");
  options.add("contact-sheet", "FILE.png", own.contact_sheet, "a picture of the images of one store").only_with("path");
  options.add_switch("kernels", own.kernels, "list the kernels of the search, and which of them this machine can run");
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t length : shape)
    text += (text.empty() ? "" : " x ") + (length < 0 ? "*" : std::to_string(length));
  return text;
}

std::string json_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

/// A line each; those of a member that has members below it, once: a model's "training" is what one asks info for.
void print_members(const nlohmann::json& json, int indent = 4) {
  for (const auto& [name, value] : json.items()) {
    std::printf("%*s%s:", indent, "", json_text(name).c_str());
    if (value.is_object() && !value.empty() && indent == 4) {
      std::printf("\n");
      print_members(value, indent + 2);
      continue;
    }
    std::string text = json_text(value);
    if (text.size() > 100) text = text.substr(0, 97) + "...";
    std::printf(" %s\n", text.c_str());
  }
}

void print_store(const fs::path& path) {
  const store::Store store(path, "", store::Origin::kForeign);
  std::printf("%s\n", printable(path.string()).c_str());
  std::printf("  schema      %s, version %d\n", store.header().schema.c_str(), store.header().version);
  std::printf("  rows        %lld in %lld shards\n", static_cast<long long>(store.rows()),
              static_cast<long long>(store.units()));
  std::printf("  size        %s\n", format_bytes(static_cast<double>(store.size_bytes())).c_str());
  std::printf("  sha256      %s\n", store.sha256().c_str());
  std::printf("  parameters\n");
  print_members(store.header().parameters);
  std::printf("  data sets\n");
  for (const std::string& name : store.datasets()) {
    std::printf("    %-20s %-8s %s\n", name.c_str(), store.type(name).c_str(), shape_text(store.shape(name)).c_str());
  }
}

void print_json(const fs::path& path) {
  const auto json = parse_json(read_text_file(path));
  if (json.is_discarded()) throw DataError(path.string() + ": is not JSON, or is nested too deep");
  std::printf("%s\n", printable(path.string()).c_str());
  print_members(json);
}

void write_contact_sheet(const store::FoundStores& found, const fs::path& picture) {
  if (found.files.size() != 1) throw UsageError("`contact-sheet`: shows one store; name just one");
  const report::ContactSheet sheet = report::contact_sheet(found.files.front());
  image::write_image(picture, sheet.picture);
  std::printf("  %s shows %lld of %lld images\n", picture.c_str(), static_cast<long long>(sheet.shown),
              static_cast<long long>(sheet.images));
}

std::string kernels_text() {
  std::string text;
  for (const match::SearchKernel& kernel : match::search_kernels()) {
    text += fmt::format("{:<8}  {:<15}  {}; needs {}\n", kernel.name,
                        kernel.runs_here() ? "runs here" : "cannot run here", kernel.description, kernel.needs);
  }
  return text;
}

/// Prints as it reads: what is told before a file that cannot be read stays told.
Report run_info(InfoJob& own, const JobContext& context) {
  if (own.kernels) return [] { return kernels_text(); };
  if (own.paths.empty()) throw UsageError("the option '--path' is required but missing; see `outsole info --help`");
  context.comm.together([&] {
    if (!context.comm.is_root()) return;
    const store::FoundStores found = store::find_stores(own.paths);
    if (found.files.empty() && found.leftovers.empty())
      throw DataError(own.paths.front().string() + ": no store in this folder");
    for (const fs::path& file : found.files) file.extension() == ".json" ? print_json(file) : print_store(file);
    if (own.contact_sheet) write_contact_sheet(found, *own.contact_sheet);
    for (const std::string& leftover : found.leftovers) std::printf("%s\n", printable(leftover).c_str());
  });
  return [] { return std::string(); };
}

}  // namespace

Job info_job() {
  return make_job({"info", "tell what a file is: schema, rows, parameters, data sets", "path",
                   "Examples:\n  outsole info exemplars.h5\n  outsole info prepared.h5 --contact-sheet prepared.png\n"
                   "  outsole info --kernels\n"
                   "A folder is searched for stores, with all folders in it.\n"},
                  declare_info, run_info);
}

}  // namespace outsole::jobs
