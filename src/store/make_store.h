#pragma once
// The way of every job that writes a store, from its header to its provenance: a job reads
// "inputs -> header -> make_store".

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "store/store.h"

namespace outsole::store {

/// A store to be made. What has no default must be given; functions are called on every rank unless they say otherwise.
struct StoreJob {
  std::filesystem::path output;           // NAME.h5
  StoreHeader header;                     // the same on every rank
  std::int64_t units = 0;                 // likewise
  std::vector<std::string> stamps;        // of the units, as StoreWriter takes them; rank 0's count. Empty: none
  bool adds_units = false;                // to a finished store that has fewer of them, as StoreWriter does it
  std::string doing;                      // "indexing", for progress
  std::vector<std::string> command_line;  // for provenance
  /// What an unfinished run has written is removed when making a unit throws DataError, unless an earlier run wrote
  /// some of it: for units that would not fit the store of the mended inputs.
  bool leaves_nothing_after_bad_data = false;

  /// The rows of a unit. `used` are columns of an earlier one, whose memory may be used again. Runs while the unit
  /// before is being written, so two units are in memory. Must not communicate.
  std::function<Columns(std::int64_t unit, Columns used)> make;
  /// Instead of `make`, where ranks make units together: makes the missing units (never none) and writes each on one
  /// rank. Collective: throws on every rank, and leaves by leave_if_asked_to_stop.
  std::function<void(std::span<const std::int64_t> missing, StoreWriter& writer)> make_together;
  /// Once all units are written and before the store is sealed; not called when the store was finished before. May
  /// communicate, and throw on every rank. Empty: nothing to do.
  std::function<void()> made;
  /// The data sets of the view. On rank 0 alone. Empty: none.
  std::function<Columns()> whole;
  /// The details of the provenance, once the store is in place. On rank 0 alone.
  std::function<nlohmann::json(bool was_finished)> conclude;
};

/// Makes the store: rank 0 looks at what is there and tells, each rank makes a contiguous part of the units that are
/// missing, each unit is written while the next is made, the ranks share the checking of shards, and rank 0 writes the
/// view and the provenance. True when the store was finished before, by the same command. The bytes do not depend on
/// the number of ranks. Collective; throws on every rank what any function of the job throws on one, UsageError and
/// DataError as StoreWriter does, EnvironmentError (also when a rank has another header than rank 0, so sees other
/// inputs), and StopRequested, after a signal to any rank, when the units in the making are written.
bool make_store(const comm::Communicator& comm, const StoreJob& job);

/// Removes a store that turned out to hold nothing: the view and its shards; a folder of shards that is a link stays.
/// On one rank. Throws EnvironmentError.
void remove_store(const std::filesystem::path& view);

/// Throws StopRequested on every rank when a signal has come to any. Collective.
void leave_if_asked_to_stop(const comm::Communicator& comm);

}  // namespace outsole::store
