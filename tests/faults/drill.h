#pragma once
// What fault drills are made of: jobs on small data, with the bytes an undisturbed run leaves.

#include <filesystem>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "../jobs/run_job.h"

namespace outsole::testing {

/// A job that is drilled. It reads from in/ of the folder it runs in, and writes to out/. Paths are relative to that
/// folder.
struct DrilledJob {
  std::string name;                  // "index"
  std::vector<std::string> command;  // words after `outsole`
  std::string input;                 // the store it reads, in in/: "exemplars.h5"; or "images", a folder
  std::string output;                // the store it writes, in out/: "index.h5"

  // Known after an undisturbed run, which is kept in `undisturbed`, as out/ would be:
  std::filesystem::path undisturbed;
  std::map<std::string, std::string> results;  // what it always leaves
  std::filesystem::path lock;                  // made first
  std::vector<std::filesystem::path> units;    // then these, one after the other: shards, or checkpoints
  // A file that an interrupted run leaves, another of its kind, and what such a run would not have made yet.
  std::filesystem::path own, own_other, not_made;

  std::filesystem::path view() const { return std::filesystem::path("out") / output; }
};

/// What a job left in out/: SHA-256 of every file, but for what differs from run to run: provenance, the times in
/// history.csv, and checkpoints, which say how long it took.
std::map<std::string, std::string> results_in(const std::filesystem::path& out);

/// The inputs of all jobs and what comes of them; made once, removed at the end.
class Drills {
 public:
  Drills();
  ~Drills();
  Drills(const Drills&) = delete;
  Drills& operator=(const Drills&) = delete;

  const std::vector<DrilledJob>& jobs() const { return jobs_; }
  const std::filesystem::path& inputs() const { return inputs_; }
  /// A fresh folder with an empty out/ and an in/ that leads to the inputs; the one before is removed.
  std::filesystem::path fresh_folder();

 private:
  std::filesystem::path folder_, inputs_;
  std::vector<DrilledJob> jobs_;
  int folders_ = 0;
};

/// A drill that did not end as it must.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How a drill ended well.
enum class Outcome { kSameBytes, kRefused, kSkipped };

/// One cell of the matrix.
struct Drill {
  std::string fault, phase, job;
  /// Breaks something, and looks at what the job makes of it. Throws Failure.
  std::function<Outcome()> run;
};

/// All drills, in a fixed order.
std::vector<Drill> all_drills(Drills& drills);

}  // namespace outsole::testing
