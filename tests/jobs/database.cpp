#include "database.h"

#include <cstdlib>
#include <stdexcept>

#include "../features/weights_fixture.h"
#include "prepared_scans.h"
#include "run_here.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

fs::path temporary_folder() {
  std::string name = (fs::temp_directory_path() / "outsole-jobs-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  return name;
}

void write_weights(const fs::path& path, float first) {
  auto tensors = features::random_resnet50(1, 0);
  tensors[0].values[0] = first;
  features::write_safetensors(path, tensors);
}

}  // namespace

Database::Database() : folder_(comm_.broadcast(comm_.is_root() ? temporary_folder().string() : std::string())) {
  const auto done = [&](const std::vector<std::string>& arguments) {
    const JobResult result = run_here(folder_, arguments);
    if (result.exit_code != 0) throw std::runtime_error("the tests' database cannot be made: " + result.errors);
  };
  done({"synthesize", "exemplars", "--count", "33", "--size", "96x48", "--output", "images"});
  done({"synthesize", "marks", "--exemplars", "images", "--count", "3", "--seed", "2", "--damage", "0.2", "--output",
        "marks"});
  if (comm_.is_root()) write_files();
  comm_.barrier();
  done({"ingest", "--kind", "exemplars", "--input", "images", "--output", "exemplars.h5"});
  done({"index", "--exemplars", "exemplars.h5", "--output", "index.h5"});
  done({"search", "--index", "index.h5", "--marks", "marks", "--angles-deg", "0", "--stride-px", "4", "--output",
        "results.h5"});
  done({"ingest", "--kind", "scans", "--input", "images/00001.png", "images/00002.png", "--manifest", "scans.csv",
        "--output", "scans.h5"});
  done({"train", "--scans", "small.h5", "--task", "prediction", "--epochs", "1", "--batch", "2", "--first-maps", "8",
        "--threads", "1", "--output", "run"});
  if (comm_.is_root()) fs::remove_all(folder_ / "run/checkpoints");
  done({"index", "--exemplars", "exemplars.h5", "--extractor", "resnet50:res2a", "--weights", "weights.safetensors",
        "--output", "resnet.h5"});
}

void Database::write_files() const {
  fs::rename(folder_ / "images/00032.png", folder_ / "images/7.png");
  fs::rename(folder_ / "images/00033.png", folder_ / "images/07.png");
  write_bytes(folder_ / "scans.csv", "id,shoe,pair,foot,week,dpi\n00001,shoe,pair,L,0,100\n00002,shoe,pair,L,4,100\n");
  write_prepared_scans(folder_ / "small.h5");
  write_weights(folder_ / "weights.safetensors", 0.5F);
  write_weights(folder_ / "other.safetensors", 0.25F);
}

Database::~Database() {
  if (comm_.is_root()) fs::remove_all(folder_);
}

const fs::path& Database::folder() {
  static const Database database;
  return database.folder_;
}

void JobTest::SetUp() { folder_ = temporary_folder(); }

void JobTest::TearDown() { fs::remove_all(folder_); }

JobResult JobTest::run(const std::vector<std::string>& arguments, int ranks) const {
  return ranks == 0 ? run_here(folder_, arguments) : run_job(folder_, arguments, ranks);
}

void JobTest::expect_done(const std::vector<std::string>& arguments, int ranks) const {
  const JobResult result = run(arguments, ranks);
  EXPECT_EQ(result.exit_code, 0) << arguments[0] << " on " << ranks << " ranks: " << result.errors;
}

}  // namespace outsole::testing
