#pragma once
// The way of every job that writes a store, from its header to its provenance: a job reads
// "inputs -> header -> make_store".

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "store/store.h"

namespace outsole::store {

/// How the ranks share the units: in teams that make a unit together, one of whose ranks writes it.
struct Teams {
  std::int64_t count = 1;  // all
  std::int64_t own = 0;    // this rank's
  bool writes = false;     // this rank writes what its team makes
};

/// A store to be made. What has no default must be given; functions are called on every rank unless they say otherwise.
struct StoreJob {
  std::filesystem::path output;           // NAME.h5
  StoreHeader header;                     // the same on every rank
  std::int64_t units = 0;                 // likewise
  std::vector<std::string> stamps;        // of the units, as StoreWriter takes them; rank 0's count. Empty: none
  std::string doing;                      // "indexing", for progress
  std::string counted = "units";          // what progress counts
  std::vector<std::string> command_line;  // for provenance
  std::optional<Teams> teams;             // not given: every rank makes units of its own
  /// What an unfinished run has written is removed when making a unit throws DataError, unless an earlier run wrote
  /// some of it: for units that would not fit the store of the mended inputs.
  bool leaves_nothing_after_bad_data = false;

  /// Told the units that this rank's team will make, in their order (none, perhaps), before the first; not called when
  /// none is missing. Returns after how many of them a stop may come, where a team finds several units at once; the
  /// least of all ranks counts. May communicate. Empty: 1.
  std::function<std::int64_t(std::span<const std::int64_t> units)> begin;
  /// The rows of a unit. `used` are columns of an earlier one, whose memory may be used again. Runs while the unit
  /// before is being written, so two units are in memory. May communicate within the team, all of which must then throw
  /// when one does; what ranks that do not write return is dropped.
  std::function<Columns(std::int64_t unit, Columns used)> make;
  /// Once all units are written and before the store is sealed; not called when the store was finished before. May
  /// communicate, and throw on every rank. Empty: nothing to do.
  std::function<void()> made;
  /// The data sets of the view. On rank 0 alone. Empty: none.
  std::function<Columns()> whole;
  /// The details of the provenance, once the store is in place. On rank 0 alone.
  std::function<nlohmann::json(bool was_finished)> conclude;
};

/// Makes the store: rank 0 looks at what is there and tells, each team makes a contiguous part of the units that are
/// missing, each unit is written while the next is made, the ranks share the checking of shards, and rank 0 writes the
/// view and the provenance. True when the store was finished before, by the same command. The bytes do not depend on
/// ranks or teams. Collective; throws on every rank what any function of the job throws on one, UsageError and
/// DataError as StoreWriter does, EnvironmentError (also when a rank has another header than rank 0, so sees other
/// inputs), and StopRequested, after a signal to any rank, when the units in the making are written.
bool make_store(const comm::Communicator& comm, const StoreJob& job);

}  // namespace outsole::store
