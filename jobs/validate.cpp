#include <cstdio>
#include <filesystem>

#include "core/errors.h"
#include "core/text.h"
#include "job.h"
#include "plan.h"
#include "store/audit.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct ValidateJob {
  std::vector<fs::path> paths;
};

void declare_validate(ValidateJob& own, Options& options) {
  options.add("path", "FILE|DIR...", own.paths, "stores (NAME.h5), JSON files, or folders of stores").required();
}

void print_file(const fs::path& file, const std::vector<std::string>& complaints) {
  if (complaints.empty()) std::printf("%s: OK\n", printable(file.string()).c_str());
  for (const std::string& complaint : complaints) std::printf("%s\n", printable(complaint).c_str());
  std::fflush(stdout);
}

/// Prints what is wrong, file by file, and what is strange about their provenance; throws DataError at the end if
/// anything is wrong, or under `strict` strange.
void validate(const std::vector<fs::path>& paths, bool strict) {
  const store::Audit audit = store::audit(paths, print_file);
  for (const std::string& leftover : audit.leftovers) std::printf("%s\n", printable(leftover).c_str());
  for (const std::string& note : audit.notes) std::printf("%s%s\n", strict ? "" : "note: ", printable(note).c_str());
  const std::size_t complaints = audit.complaints + audit.leftovers.size() + (strict ? audit.notes.size() : 0);
  if (complaints > 0) throw DataError("validate: " + std::to_string(complaints) + " complaints, see above");
}

/// Prints as it reads, which may take hours.
Report run_validate(ValidateJob& own, const JobContext& context) {
  if (context.common.plan) {
    machine::Plan plan;
    context.comm.together([&] { plan = store::audit_plan(own.paths); });
    return plan_report(plan, context);
  }
  context.comm.together([&] {
    if (context.comm.is_root()) validate(own.paths, context.common.strict);
  });
  return [] { return std::string(); };
}

}  // namespace

Job validate_job() {
  return make_job(
      {"validate", "check files against their schema and checksums", "path",
       "Example: outsole validate results/\n"
       "Reads everything. Prints OK or each complaint; exit code 3 if there is any. Notes tell of stores without\n"
       "provenance, or made from other inputs than those beside them; with --strict they are complaints.\n"},
      declare_validate, run_validate);
}

}  // namespace outsole::jobs
