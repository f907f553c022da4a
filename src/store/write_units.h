#pragma once
// The steps of make_store as the search still takes them one by one.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "store/store.h"

namespace outsole::store {

/// Every rank opens the writer, rank 0 first: it makes the folder. `stamps`, of rank 0, as of
/// StoreWriter. Collective.
void open_writer(const comm::Communicator& comm, const std::filesystem::path& output, const StoreHeader& header,
                 std::int64_t units, std::optional<StoreWriter>& writer,
                 const std::vector<std::string>& stamps = {});

/// The units without a shard, as rank 0 sees them. Collective.
std::vector<std::int64_t> agreed_pending_units(const comm::Communicator& comm, const StoreWriter& writer,
                                               std::int64_t units);

/// Throws StopRequested on every rank when a signal has come to any. Collective.
void leave_if_asked_to_stop(const comm::Communicator& comm);

/// Writes the shards of the `pending` units out of `units`, each rank a contiguous part of them; all agree after each
/// turn of one unit a rank. `label` says what is done ("ingesting"). Collective, but `make_unit` must not communicate.
/// Throws on every rank what it throws on one, and StopRequested at the end of a turn after a signal.
void write_pending_units(const comm::Communicator& comm, StoreWriter& writer, std::int64_t units,
                         std::span<const std::int64_t> pending, const std::string& label,
                         const std::function<Columns(std::int64_t unit)>& make_unit);

/// Seals the store once all its units are written: the ranks share the reading and hashing of the shards, each as it
/// would share their writing, and rank 0 writes the view with the data sets that `whole` makes there. Collective;
/// throws on every rank what StoreWriter::check_unit and finish throw on one.
void finish_store(
    const comm::Communicator& comm, StoreWriter& writer, std::int64_t units,
    const std::function<Columns()>& whole = [] { return Columns(); });

}  // namespace outsole::store
