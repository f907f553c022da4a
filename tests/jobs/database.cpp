#include "database.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "../features/weights_fixture.h"
#include "core/sha256.h"
#include "prepared_scans.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

fs::path temporary_folder() {
  std::string name = (fs::temp_directory_path() / "outsole-jobs-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  return name;
}

void require_done(const fs::path& folder, const std::vector<std::string>& arguments) {
  const JobResult result = run_job(folder, arguments, 0, std::chrono::seconds(300));
  if (result.exit_code != 0) throw std::runtime_error("the tests' database cannot be made: " + result.errors);
}

void write_weights(const fs::path& path, float first) {
  auto tensors = features::random_resnet50(1, 0);
  tensors[0].values[0] = first;
  features::write_safetensors(path, tensors);
}

}  // namespace

Database::Database() : folder_(temporary_folder()) {
  require_done(folder_, {"synthesize", "exemplars", "--count", "33", "--size", "96x48", "--output", "images"});
  require_done(folder_, {"synthesize", "marks", "--exemplars", "images", "--count", "3", "--seed", "2", "--damage",
                         "0.2", "--output", "marks"});
  fs::rename(folder_ / "images/00032.png", folder_ / "images/7.png");
  fs::rename(folder_ / "images/00033.png", folder_ / "images/07.png");
  require_done(folder_, {"ingest", "--kind", "exemplars", "--input", "images", "--output", "exemplars.h5"});
  require_done(folder_, {"index", "--exemplars", "exemplars.h5", "--output", "index.h5"});
  require_done(folder_, {"search", "--index", "index.h5", "--marks", "marks", "--angles-deg", "0", "--stride-px", "4",
                         "--output", "results.h5"});
  write_bytes(folder_ / "scans.csv", "id,shoe,pair,foot,week,dpi\n00001,shoe,pair,L,0,100\n00002,shoe,pair,L,4,100\n");
  require_done(folder_, {"ingest", "--kind", "scans", "--input", "images/00001.png", "images/00002.png", "--manifest",
                         "scans.csv", "--output", "scans.h5"});
  write_prepared_scans(folder_ / "small.h5");
  require_done(folder_, {"train", "--scans", "small.h5", "--task", "prediction", "--epochs", "1", "--batch", "2",
                         "--threads", "1", "--output", "run"});
  fs::remove_all(folder_ / "run/checkpoints");
  write_weights(folder_ / "weights.safetensors", 0.5F);
  write_weights(folder_ / "other.safetensors", 0.25F);
  require_done(folder_, {"index", "--exemplars", "exemplars.h5", "--extractor", "resnet50:res2a", "--weights",
                         "weights.safetensors", "--output", "resnet.h5"});
}

Database::~Database() { fs::remove_all(folder_); }

const fs::path& Database::folder() {
  static const Database database;
  return database.folder_;
}

void JobTest::SetUp() { folder_ = temporary_folder(); }

void JobTest::TearDown() { fs::remove_all(folder_); }

void JobTest::expect_done(const std::vector<std::string>& arguments, int ranks) const {
  const JobResult result = run(arguments, ranks);
  EXPECT_EQ(result.exit_code, 0) << arguments[0] << " on " << ranks << " ranks: " << result.errors;
}

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::map<std::string, std::string> digests(const fs::path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder);
    if (entry.is_regular_file() && !name.ends_with(".provenance.json")) found[name] = sha256_of_file(entry.path());
  }
  return found;
}

}  // namespace outsole::testing
