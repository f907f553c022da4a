#include "drill.h"

#include <algorithm>
#include <cstdlib>

#include "../jobs/files.h"
#include "../jobs/prepared_scans.h"
#include "core/csv.h"
#include "core/sha256.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

void make_or_throw(const fs::path& folder, const std::vector<std::string>& command) {
  const JobResult result = run_job(folder, command, 0, std::chrono::seconds(300));
  if (result.exit_code != 0) throw std::runtime_error("the drills' data cannot be made: " + result.errors);
}

DrilledJob job_of(const std::string& name, const std::string& input, const std::string& output,
                  const std::vector<std::string>& command) {
  DrilledJob job;
  job.name = name;
  job.command = command;
  job.input = input;
  job.output = output;
  return job;
}

/// 160 exemplars make 3 units of their store and 5 of the index; 8 marks 8 units; a year of scans 13 and 13, which
/// prediction shares out in 26; a metric has 3 folds. Training takes 2 steps in each of its 3 epochs, and leaves a
/// checkpoint after each step; "teams" trains with each image on both ranks, "stages" at two sizes.
std::vector<DrilledJob> list_jobs() {
  return {
      job_of("ingest", "images", "exemplars.h5",
             {"ingest", "--kind", "exemplars", "--input", "in/images", "--output", "out/exemplars.h5"}),
      job_of("index", "exemplars.h5", "index.h5",
             {"index", "--exemplars", "in/exemplars.h5", "--output", "out/index.h5"}),
      job_of("search", "index.h5", "results.h5",
             {"search", "--index", "in/index.h5", "--marks", "in/marks", "--angles-deg", "-8:8:4", "--output",
              "out/results.h5", "--csv", "out/results.csv"}),
      job_of(
          "learn", "index.h5", "metric.h5",
          {"learn", "--index", "in/index.h5", "--marks", "in/marks", "--labels", "in/marks/labels.csv", "--method",
           "cca+weights", "--components", "8", "--folds", "3", "--angles-deg", "-8:8:4", "--output", "out/metric.h5"}),
      job_of("prepare", "scans.h5", "prepared.h5",
             {"prepare", "--scans", "in/scans.h5", "--output", "out/prepared.h5"}),
      job_of("train", "small.h5", "model.h5",
             {"train", "--scans", "in/small.h5", "--task", "prediction", "--epochs", "3", "--batch", "2", "--first-maps",
              "16", "--learning-rate", "1e-4", "--threads", "1", "--checkpoint-minutes", "1e-6", "--output", "out"}),
      job_of("teams", "tall.h5", "model.h5",
             {"train",
              "--scans",
              "in/tall.h5",
              "--task",
              "prediction",
              "--epochs",
              "3",
              "--batch",
              "2",
              "--split-ranks",
              "2",
              "--recompute",
              "--first-maps",
              "16",
              "--learning-rate",
              "1e-4",
              "--threads",
              "1",
              "--checkpoint-minutes",
              "1e-6",
              "--output",
              "out"}),
      job_of("stages", "tall.h5", "model.h5",
             {"train", "--scans", "in/tall.h5", "--task", "prediction", "--sizes", "32x32,native", "--epochs", "1,2",
              "--batch", "2", "--first-maps", "16", "--learning-rate", "1e-4", "--threads", "1", "--checkpoint-minutes",
              "1e-6", "--output", "out"}),
      job_of("predict", "model.h5", "predictions.h5",
             {"predict", "--model", "in/model.h5", "--input", "in/prepared.h5", "--weeks", "8,24", "--input-weeks",
              "0,4,8,12,16,20,24", "--threads", "1", "--output", "out"}),
  };
}

fs::path shards_of(const fs::path& store) { return fs::path(store).replace_extension(".shards"); }

fs::path numbered(const char* format, long long first, long long second = 0) {
  char name[64];
  std::snprintf(name, sizeof name, format, first, second);
  return name;
}

/// A store's shards are its units; the last one, and the view, come last.
void describe_store(DrilledJob& job) {
  const fs::path shards = shards_of(job.view());
  job.lock = shards / "lock";
  for (long long unit = 0; fs::exists(shards_of(job.undisturbed / job.output) / numbered("%05lld.h5", unit)); ++unit) {
    job.units.push_back(shards / numbered("%05lld.h5", unit));
  }
  job.own = job.units[1];
  job.own_other = job.units[0];
  // Of two units none is left out: such a run was interrupted before its view.
  job.not_made = job.units.size() > 2 ? job.units.back() : job.view();
}

/// A training's checkpoints are its units, those of one stage after another; the model comes last. `stages` are their
/// folders in out/.
void describe_training(DrilledJob& job, const std::vector<fs::path>& stages) {
  job.lock = "out" / stages.front() / "lock";
  for (const fs::path& stage : stages) {
    const CsvTable history = read_csv(job.undisturbed / stage / "history.csv");
    const long long epochs = std::ssize(history.rows), steps = std::stoll(history.rows[0][1]);
    for (long long step = 1; step <= epochs * steps; ++step) {
      job.units.push_back("out" / stage / "checkpoints" /
                          numbered("epoch_%06lld_step_%05lld.h5", step / steps, step % steps));
    }
  }
  job.own = shards_of(job.units.back()) / "00000.h5";
  job.own_other = shards_of(job.units[job.units.size() - 2]) / "00000.h5";
  job.not_made = shards_of(job.view());
}

/// The folders of a training's stages, in their order; out/ itself where there are none. Empty: no training.
std::vector<fs::path> stages_in(const fs::path& out) {
  if (fs::exists(out / "checkpoints")) return {""};
  std::vector<fs::path> stages;
  for (const auto& entry : fs::directory_iterator(out)) {
    if (fs::exists(entry.path() / "checkpoints")) stages.push_back(entry.path().filename());
  }
  std::ranges::sort(stages);  // "32x32" before "native"
  return stages;
}

/// Epochs, steps and losses, which are always the same.
std::string lasting_part_of_history(const fs::path& path) {
  std::string text;
  for (const auto& row : read_csv(path).rows) text += row[0] + "," + row[1] + "," + row[2] + "," + row[3] + "\n";
  return text;
}

}  // namespace

std::map<std::string, std::string> results_in(const fs::path& out) {
  std::map<std::string, std::string> results = digests(out);
  std::erase_if(results, [](const auto& file) { return file.first.find("checkpoints/") != std::string::npos; });
  for (auto& [name, digest] : results) {
    if (fs::path(name).filename() == "history.csv") digest = lasting_part_of_history(out / name);
  }
  return results;
}

Drills::Drills() : jobs_(list_jobs()) {
  std::string name = (fs::temp_directory_path() / "outsole-faults-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = name;
  inputs_ = folder_ / "inputs";
  fs::create_directory(inputs_);
  make_or_throw(inputs_, {"synthesize", "exemplars", "--count", "160", "--size", "96x48", "--output", "images"});
  make_or_throw(inputs_,
                {"synthesize", "marks", "--exemplars", "images", "--count", "8", "--seed", "2", "--output", "marks"});
  make_or_throw(inputs_, {"synthesize", "wear", "--count", "1", "--size", "160x64", "--output", "year"});
  make_or_throw(inputs_, {"ingest", "--kind", "scans", "--input", "year", "--manifest", "year/manifest.csv", "--output",
                          "scans.h5"});
  write_prepared_scans(inputs_ / "small.h5");
  write_prepared_scans(inputs_ / "tall.h5", 64);
  for (DrilledJob& job : jobs_) {
    const fs::path folder = fresh_folder();
    // On as many ranks as ever after: training agrees bit for bit only then.
    const JobResult result = run_job(folder, job.command, 2, std::chrono::seconds(300));
    if (result.exit_code != 0) throw std::runtime_error(job.name + " fails undisturbed: " + result.errors);
    job.undisturbed = folder_ / job.name;
    fs::rename(folder / "out", job.undisturbed);
    job.results = results_in(job.undisturbed);
    const std::vector<fs::path> stages = stages_in(job.undisturbed);
    stages.empty() ? describe_store(job) : describe_training(job, stages);
    for (const fs::path& part : {fs::path(job.output), shards_of(job.output)}) {  // the next job reads it
      if (fs::exists(inputs_ / part)) continue;                                   // of the same name as another job's
      fs::copy(job.undisturbed / part, inputs_ / part, fs::copy_options::recursive);
    }
  }
}

Drills::~Drills() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

fs::path Drills::fresh_folder() {
  fs::remove_all(folder_ / std::to_string(folders_));
  const fs::path folder = folder_ / std::to_string(++folders_);
  fs::create_directories(folder / "out");
  fs::create_directory_symlink(inputs_, folder / "in");
  return folder;
}

}  // namespace outsole::testing
