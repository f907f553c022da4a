// StoreWriter: who may write a store, what is left of an earlier run, and when it is finished.

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "core/errors.h"
#include "core/file_lock.h"
#include "core/files.h"
#include "core/json.h"
#include "store/io_thread.h"
#include "store/shard.h"
#include "store/store.h"
#include "store/view.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

std::string way_out(const fs::path& path) {
  return ". Choose another `output`, or remove the old one: rm -r '" + path.string() + "' '" +
         shards_folder(path).string() + "'";
}

}  // namespace

struct StoreWriter::State {
  fs::path path, folder;
  StoreHeader header;
  std::int64_t units;
  std::vector<std::string> stamps;  // of the units, or empty
  std::unique_ptr<FileLock> lock;   // on the rank that created the folder
  bool adds_units = false;
  std::int64_t finished_units = 0;  // of the store that units are added to
  bool finished = false;

  fs::path shard_path(std::int64_t unit) const { return folder / shard_name(unit); }
  fs::path stamps_path() const { return folder / "stamps"; }

  /// Whether the view exists, with all units; if there is one it must be of this very store.
  bool find_finished() {
    if (!fs::exists(path)) return false;
    const Store store(path);
    std::string difference = header_difference(store.header(), header);
    const bool is_begun = adds_units && store.units() < units;
    if (difference.empty() && store.units() != units && !is_begun) {
      difference = "it has " + std::to_string(store.units()) + " units there and " + std::to_string(units) + " here";
    }
    if (!difference.empty())
      throw DataError(path.string() + ": exists and was made otherwise: " + difference + way_out(path));
    if (is_begun) finished_units = store.units();
    return !is_begun;
  }

  void create_folder() {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw EnvironmentError(folder.string() + ": cannot be created: " + error.message());
    lock = std::make_unique<FileLock>(folder / "lock", "this store");
  }

  /// Removes what an interrupted run left half-written and checks the shards it finished.
  void take_over() const {
    std::error_code ignored;
    fs::remove(path.string() + ".part", ignored);
    if (adds_units) remove_units_of_other_additions();
    for (const auto& entry : fs::directory_iterator(folder)) {
      const fs::path& file = entry.path();
      if (file.extension() == ".part") fs::remove(file, ignored);
      if (file.extension() != ".h5") continue;
      const auto complaint = io_thread().run([&] { return shard_complaint(file); });
      if (!complaint.empty()) throw DataError(file.string() + ": " + complaint + way_out(path));
    }
    remove_outdated_shards();
  }

  /// An interrupted run may have begun to make more units than there are to be.
  void remove_units_of_other_additions() const {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const fs::path& file = entry.path();
      if (file.extension() == ".h5" && io_thread().run([&] { return is_of_more_units(file); })) {
        std::error_code ignored;
        fs::remove(file, ignored);
      }
    }
  }

  bool is_of_more_units(const fs::path& file) const try {
    const Shard shard = open_shard(file);
    return shard.unit >= finished_units && shard.units > units && header_difference(shard.header, header).empty();
  } catch (const DataError&) {
    return false;  // shard_complaint says why
  }

  /// Removes the shards whose stamp is not, or not known to be, this run's.
  void remove_outdated_shards() const {
    if (stamps.empty()) return;
    const nlohmann::json earlier = fs::exists(stamps_path()) ? parse_json(read_text_file(stamps_path())) : nullptr;
    std::int64_t outdated = 0;
    for (std::int64_t unit = finished_units; unit < units; ++unit) {
      const auto i = static_cast<std::size_t>(unit);
      if (earlier.is_array() && i < earlier.size() && earlier[i] == stamps[i]) continue;
      std::error_code error;
      outdated += fs::remove(shard_path(unit), error) ? 1 : 0;
      if (error) throw EnvironmentError(shard_path(unit).string() + ": cannot be removed: " + error.message());
    }
    if (outdated > 0) {
      spdlog::warn("{}: {} of {} units were made from files that have changed since: they are made again",
                   folder.string(), outdated, units);
    }
    if (earlier != stamps) write_file_atomically(stamps_path(), nlohmann::json(stamps).dump(0) + "\n");
  }

  bool has_shards() const {
    std::error_code ignored;
    for (std::int64_t unit = 0; unit < units; ++unit) {
      if (fs::exists(shard_path(unit), ignored)) return true;
    }
    return false;
  }

  /// Why the file cannot be one of this run's shards; empty if it can.
  std::string shard_complaint(const fs::path& file) const try {
    const Shard shard = open_shard(file);
    const std::string difference = header_difference(shard.header, header);
    if (!difference.empty()) return "is left from a run with other settings: " + difference;
    const bool is_of_these = shard.units == units || (adds_units && shard.units <= units);
    if (is_of_these && shard.unit >= 0 && shard.unit < units && file == shard_path(shard.unit)) return "";
    return "is unit " + std::to_string(shard.unit) + " of " + std::to_string(shard.units) + ", not one of " +
           std::to_string(units);
  } catch (const DataError& error) {
    throw DataError(error.what() + std::string("; remove it and run the job again"));
  }
};

StoreWriter::StoreWriter(fs::path path, StoreHeader header, std::int64_t units, bool create_folder,
                         std::vector<std::string> stamps, bool adds_units)
    : state_(std::make_unique<State>()) {
  ensure(units > 0, "a store without units");
  ensure(stamps.empty() || std::ssize(stamps) == units, "a stamp for every unit");
  if (path.extension() != ".h5") throw UsageError("`output` " + path.string() + ": the name of a store ends in .h5");
  *state_ = {path, shards_folder(path), std::move(header), units, std::move(stamps), nullptr, adds_units};
  find_schema(state_->header.schema, state_->header.version, path.string());
  if (!create_folder) return;
  state_->finished = state_->find_finished();
  if (state_->finished) {
    // Of a job that was killed once all was written:
    std::error_code ignored;
    for (const fs::path& leftover : {state_->folder / "lock", state_->stamps_path()}) fs::remove(leftover, ignored);
    return;
  }
  state_->create_folder();
  state_->finished = state_->find_finished();  // by a job that held the lock until now
  if (!state_->finished) state_->take_over();
}

StoreWriter::~StoreWriter() {
  if (!state_->lock) return;
  std::error_code ignored;
  if (!state_->stamps.empty() && !state_->has_shards()) fs::remove(state_->stamps_path(), ignored);
  state_->lock.reset();
  ::rmdir(
      state_->folder.c_str());  // only if it is empty: a job that failed early leaves nothing; nor one that is a link
}

bool StoreWriter::is_finished() const { return state_->finished; }

bool StoreWriter::has_unit(std::int64_t unit) const { return fs::exists(state_->shard_path(unit)); }

void StoreWriter::write_unit(std::int64_t unit, const Columns& columns) {
  ensure(unit >= 0 && unit < state_->units, "no such unit");
  const Schema& schema = find_schema(state_->header.schema, state_->header.version, state_->path.string());
  io_thread().run([&] { write_shard(state_->shard_path(unit), schema, state_->header, unit, state_->units, columns); });
}

std::string StoreWriter::check_unit(std::int64_t unit) const { return check_shard(state_->shard_path(unit)); }

void StoreWriter::finish(const Columns& whole) {
  std::vector<std::string> sha256;
  for (std::int64_t unit = 0; unit < state_->units; ++unit) sha256.push_back(check_unit(unit));
  finish(whole, sha256);
}

void StoreWriter::finish(const Columns& whole, const std::vector<std::string>& sha256) {
  ensure(std::ssize(sha256) == state_->units, "a SHA-256 for each unit");
  io_thread().run([&] { write_view(state_->path, state_->header, sha256, whole); });
  state_->finished = true;
  std::error_code ignored;
  fs::remove(state_->stamps_path(), ignored);
  state_->lock.reset();
}

}  // namespace outsole::store
