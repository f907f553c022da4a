#include "drill.h"

#include <cstdlib>

#include "../jobs/database.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

void require_done(const fs::path& folder, const std::vector<std::string>& command) {
  const JobResult result = run_job(folder, command, 0, std::chrono::seconds(300));
  if (result.exit_code != 0) throw std::runtime_error("the drills' data cannot be made: " + result.errors);
}

std::vector<DrilledJob> list_jobs() {
  return {
      {"ingest",
       {"ingest", "--kind", "exemplars", "--input", "in/images", "--output", "out/exemplars.h5"},
       "images",
       "exemplars.h5",
       {}},
      {"index",
       {"index", "--exemplars", "in/exemplars.h5", "--output", "out/index.h5"},
       "exemplars.h5",
       "index.h5",
       {}},
      {"search",
       {"search", "--index", "in/index.h5", "--marks", "in/marks", "--angles-deg", "-8:8:4", "--output",
        "out/results.h5"},
       "index.h5",
       "results.h5",
       {}},
      {"prepare", {"prepare", "--scans", "in/scans.h5", "--output", "out/prepared.h5"}, "scans.h5", "prepared.h5", {}},
  };
}

}  // namespace

std::vector<fs::path> DrilledJob::shards() const {
  std::vector<fs::path> found;
  for (const auto& [name, digest] : bytes) {
    if (fs::path(name).parent_path().extension() == ".shards") found.push_back(fs::path("out") / name);
  }
  return found;
}

/// 160 exemplars make 3 units of their store and 5 of the index; 8 marks 8 units; a year of scans 13 and 13.
Drills::Drills() : jobs_(list_jobs()) {
  std::string name = (fs::temp_directory_path() / "outsole-faults-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  inputs_ = folder_ / "inputs";
  fs::create_directory(inputs_);
  require_done(inputs_, {"synthesize", "exemplars", "--count", "160", "--size", "96x48", "--output", "images"});
  require_done(inputs_,
               {"synthesize", "marks", "--exemplars", "images", "--count", "8", "--seed", "2", "--output", "marks"});
  require_done(inputs_, {"synthesize", "wear", "--count", "1", "--size", "160x64", "--output", "year"});
  require_done(inputs_, {"ingest", "--kind", "scans", "--input", "year", "--manifest", "year/manifest.csv", "--output",
                         "scans.h5"});
  for (DrilledJob& job : jobs_) {
    const fs::path folder = fresh_folder();
    require_done(folder, job.command);
    job.bytes = digests(folder / "out");
    fs::copy(folder / "out", inputs_, fs::copy_options::recursive);  // the next job reads it
  }
}

Drills::~Drills() { fs::remove_all(folder_); }

fs::path Drills::fresh_folder() {
  fs::remove_all(folder_ / std::to_string(folders_));
  const fs::path folder = folder_ / std::to_string(++folders_);
  fs::create_directories(folder / "out");
  fs::create_directory_symlink(inputs_, folder / "in");
  return folder;
}

}  // namespace outsole::testing
