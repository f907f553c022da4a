// copy and rename: a store under another name.

#include <spdlog/fmt/fmt.h>

#include "core/errors.h"
#include "core/progress.h"
#include "core/text.h"
#include "job.h"
#include "store/transfer.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct CopyJob {
  std::vector<fs::path> paths;
};

void declare_copy(CopyJob& own, Options& options) {
  options.add("path", "OLD.h5 NEW.h5", own.paths, "the store, and the name that it gets").required();
}

Report transfer(const CopyJob& own, const JobContext& context, store::Transfer how) {
  if (own.paths.size() != 2) throw UsageError("`path`: two names are wanted, of the store and of what it becomes");
  if (context.common.plan) throw UsageError("`plan`: copying and renaming take as long as the disk needs");
  const fs::path &from = own.paths[0], &to = own.paths[1];
  store::TransferSummary summary;
  context.comm.together([&] {
    if (context.comm.is_root()) summary = store::transfer_store(from, to, how, context.command_line);
  });
  return [=] {
    std::string text =
        fmt::format("{}: {}{} shards, {}\n", printable(to.string()), summary.was_finished ? "was there already; " : "",
                    summary.units, format_bytes(static_cast<double>(summary.bytes)));
    text += fmt::format("its SHA-256 is {}; as {} it was {}: what was made from it names that\n", summary.sha256_now,
                        printable(from.filename().string()), summary.sha256_before);
    return text;
  };
}

Report run_copy(CopyJob& own, const JobContext& context) { return transfer(own, context, store::Transfer::kCopy); }

Report run_rename(CopyJob& own, const JobContext& context) { return transfer(own, context, store::Transfer::kRename); }

}  // namespace

Job copy_job() {
  return make_job({"copy", "copy a store, with its shards, to another name or folder", "path",
                   "Example: outsole copy exemplars.h5 /backup/exemplars.h5\n"
                   "Every shard is checked. The copy appears whole or not at all; the same command carries on.\n"},
                  declare_copy, run_copy);
}

Job rename_job() {
  return make_job(
      {"rename", "give a store, with its shards, another name or folder", "path",
       "Example: outsole rename index.h5 index_2026.h5\n"
       "A store names the folder of its shards: other programs read nothing from one that was renamed by hand.\n"
       "No byte is copied where the disk can link files. The SHA-256 of NAME.h5 changes with the name: results and\n"
       "metrics made from an index name the old one, and `validate` says so.\n"},
      declare_copy, run_rename);
}

}  // namespace outsole::jobs
