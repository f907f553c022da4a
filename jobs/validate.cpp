#include <cstdio>

#include "core/errors.h"
#include "core/files.h"
#include "job.h"
#include "store/find.h"
#include "store/store.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

void add_options(po::options_description& options) {
  options.add_options()("path",
                        po::value<std::vector<std::string>>()->multitoken()->value_name("FILE|DIR...")->required(),
                        "stores (NAME.h5), JSON files, or folders of stores");
}

std::vector<std::string> complaints_about(const fs::path& file) {
  if (file.extension() != ".json") return store::Store::validate_in_child(file);
  if (nlohmann::json::accept(read_text_file(file))) return {};
  return {file.string() + ": is not JSON"};
}

/// Prints what is wrong, file by file; throws DataError at the end if anything is.
void validate(const std::vector<std::string>& paths) {
  const store::FoundStores found = store::find_stores({paths.begin(), paths.end()});
  std::size_t complaints = found.leftovers.size();
  for (const fs::path& file : found.files) {
    const auto wrong = complaints_about(file);
    if (wrong.empty()) std::printf("%s: OK\n", file.c_str());
    for (const std::string& complaint : wrong) std::printf("%s\n", complaint.c_str());
    std::fflush(stdout);
    complaints += wrong.size();
  }
  for (const std::string& leftover : found.leftovers) std::printf("%s\n", leftover.c_str());
  if (found.files.empty() && complaints == 0) throw DataError(paths.front() + ": no store in this folder");
  if (complaints > 0) throw DataError("validate: " + std::to_string(complaints) + " complaints, see above");
}

void print_plan(const std::vector<std::string>& paths) {
  for (const fs::path& file : store::find_stores({paths.begin(), paths.end()}).files) std::printf("%s\n", file.c_str());
}

void run(const po::variables_map& options, const JobContext& context) {
  const auto& paths = options["path"].as<std::vector<std::string>>();
  context.comm.together([&] {
    if (context.comm.is_root()) context.common.plan ? print_plan(paths) : validate(paths);
  });
}

}  // namespace

Job validate_job() {
  return {
      "validate",
      "check files against their schema and checksums",
      "path",
      "Example: outsole validate results/\nReads everything. Prints OK or each complaint; exit code 3 if there is any.",
      add_options,
      run};
}

}  // namespace outsole::jobs
