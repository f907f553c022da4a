#include "store/make_store.h"

#include <algorithm>
#include <future>

#include "comm/from_root.h"
#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "store/shard.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

/// What rank 0 found where the store will be.
struct Found {
  bool finished = false;
  std::vector<std::int64_t> missing;  // units
};

/// Opens the writer, rank 0 first: it makes the folder, and looks at it for all. Collective.
Found open_writer(const comm::Communicator& comm, const StoreJob& job, std::optional<StoreWriter>& writer) {
  const nlohmann::json found = comm::json_from_root(comm, [&] {
    writer.emplace(job.output, job.header, job.units, /*create_folder=*/true, job.stamps, job.adds_units);
    nlohmann::json missing = nlohmann::json::array();
    if (writer->is_finished()) return nlohmann::json{{"finished", true}, {"missing", missing}};
    std::error_code ignored;
    if (!fs::exists(job.output)) fs::remove(provenance_path(job.output), ignored);  // of an older store
    for (std::int64_t unit = 0; unit < job.units; ++unit) {
      if (!writer->has_unit(unit)) missing.push_back(unit);
    }
    return nlohmann::json{{"finished", false}, {"missing", missing}};
  });
  comm.together([&] {
    if (!comm.is_root()) writer.emplace(job.output, job.header, job.units, /*create_folder=*/false);
  });
  return {found.at("finished"), found.at("missing")};
}

/// Ranks that would make units of another store than rank 0 see other inputs.
void require_same_header(const comm::Communicator& comm, const StoreJob& job) {
  const nlohmann::json root = comm::json_from_root(comm, [&] {
    return nlohmann::json{
        {"schema", job.header.schema}, {"version", job.header.version}, {"parameters", job.header.parameters}};
  });
  comm.together([&] {
    const StoreHeader there{root.at("schema"), root.at("version"), root.at("parameters")};
    const std::string difference = header_difference(there, job.header);
    if (difference.empty()) return;
    throw EnvironmentError(job.output.string() + ": rank " + std::to_string(comm.rank()) +
                           " sees other inputs than rank 0 (there): " + difference +
                           "; do all of them see the same folders?");
  });
}

/// A unit that is being written. It is waited for even when an error ends the job: nothing appears in the store later.
class WriteBehind {
 public:
  explicit WriteBehind(StoreWriter& writer) : writer_(writer) {}
  ~WriteBehind() {
    if (unit_.valid()) unit_.wait();
  }
  void begin(std::int64_t unit, Columns columns) {
    unit_ = std::async(std::launch::async, [this, unit, columns = std::move(columns)]() mutable {
      writer_.write_unit(unit, columns);
      return std::move(columns);
    });
  }
  /// Waits; the columns that were written, if any. Throws what writing threw.
  Columns finish() { return unit_.valid() ? unit_.get() : Columns(); }

 private:
  StoreWriter& writer_;
  std::future<Columns> unit_;
};

/// Each rank makes a contiguous part of the missing units, one a turn. All agree after each turn, so that an error on
/// one rank reaches all. Collective.
void make_units(const comm::Communicator& comm, const StoreJob& job, std::span<const std::int64_t> missing,
                StoreWriter& writer) {
  const comm::UnitRange own = comm::units_of(std::ssize(missing), comm.rank(), comm.size());
  const std::int64_t turns = divide_up(std::ssize(missing), comm.size());
  Progress progress(job.doing, "units", job.units, comm.is_root(), job.units - std::ssize(missing));
  WriteBehind behind(writer);
  Columns used;
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    comm.together([&] {
      if (turn >= own.size()) return;
      const std::int64_t unit = missing[static_cast<std::size_t>(own.begin + turn)];
      comm::now_doing(job.doing + " unit " + std::to_string(unit));
      Columns columns = job.make(unit, std::move(used));
      used = behind.finish();
      behind.begin(unit, std::move(columns));
    });
    progress.advance(std::min<std::int64_t>(comm.size(), std::ssize(missing) - turn * comm.size()));
    const bool is_last = turn + 1 == turns, stops = !is_last && comm.any_of(stop_requested());
    if (is_last || stops) comm.together([&] { behind.finish(); });
    if (stops) leave_if_asked_to_stop(comm);
  }
}

void make_missing(const comm::Communicator& comm, const StoreJob& job, std::span<const std::int64_t> missing,
                  StoreWriter& writer) {
  if (missing.empty()) return;
  if (job.make_together) return job.make_together(missing, writer);
  make_units(comm, job, missing, writer);
}

/// Seals the store: the ranks share the reading and hashing of the shards. Collective.
void finish_store(const comm::Communicator& comm, const StoreJob& job, StoreWriter& writer) {
  const comm::UnitRange mine = comm::units_of(job.units, comm.rank(), comm.size());
  nlohmann::json own = nlohmann::json::array();
  comm.together([&] {
    for (std::int64_t unit = mine.begin; unit < mine.end; ++unit) {
      comm::now_doing("checking unit " + std::to_string(unit));
      own.push_back(writer.check_unit(unit));
    }
  });
  std::vector<std::string> sha256;
  for (const std::string& part : comm.gather(own.dump())) {
    for (const auto& digest : nlohmann::json::parse(part)) sha256.push_back(digest.get<std::string>());
  }
  comm.together([&] {
    if (comm.is_root()) writer.finish(job.whole ? job.whole() : Columns(), sha256);
  });
}

/// Of an unfinished store, once no rank writes any more. Collective.
void remove_unfinished(const comm::Communicator& comm, const StoreJob& job, std::optional<StoreWriter>& writer) {
  writer.reset();
  comm.barrier();
  if (comm.is_root()) remove_shards(job.output);
}

}  // namespace

bool make_store(const comm::Communicator& comm, const StoreJob& job) {
  require_same_header(comm, job);
  std::optional<StoreWriter> writer;
  const Found found = open_writer(comm, job, writer);
  if (!found.finished) {
    try {
      make_missing(comm, job, found.missing, *writer);
      if (job.made) job.made();
    } catch (const DataError& error) {
      const bool is_first_run = std::ssize(found.missing) == job.units;
      if (job.leaves_nothing_after_bad_data && is_first_run && error.known_to_all_ranks())
        remove_unfinished(comm, job, writer);
      throw;
    }
    finish_store(comm, job, *writer);
  }
  writer.reset();
  comm.together([&] {
    if (!comm.is_root()) return;
    write_provenance(job.output, job.command_line, comm.size(), job.conclude(found.finished), found.finished);
  });
  return found.finished;
}

void remove_store(const fs::path& view) {
  std::error_code error;
  fs::remove(view, error);
  if (error) throw EnvironmentError(view.string() + ": cannot be removed: " + error.message());
  remove_shards(view);
}

void leave_if_asked_to_stop(const comm::Communicator& comm) {
  if (!comm.any_of(stop_requested())) return;
  throw_shared_error(ExitCode::kStopped, "stopped on request; run the same command again to carry on");
}

}  // namespace outsole::store
