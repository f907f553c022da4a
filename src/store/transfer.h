#pragma once
// A store under another name. Its view names the folder of its shards, so a store is not copied or renamed by hand.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace outsole::store {

enum class Transfer { kCopy, kRename };

struct TransferSummary {
  std::string sha256_before, sha256_now;  // of NAME.h5, which names its shards' folder
  std::int64_t units = 0;
  std::int64_t bytes = 0;     // of the shards
  bool was_finished = false;  // all was there already
};

/// Makes of the store `from` the store `to`, with its provenance: the very bytes that its job would have written under
/// that name. Renaming links the shards where the disk can, and removes `from` once `to` is whole. Killed at any time,
/// `from` or `to` is whole, and the same call carries on from the shards that are there. One rank. Throws UsageError
/// for a name that does not end in .h5 or is the store's own, DataError when `from` is damaged or `to` is another
/// store, EnvironmentError, and StopRequested between shards after a signal.
TransferSummary transfer_store(const std::filesystem::path& from, const std::filesystem::path& to, Transfer how,
                               const std::vector<std::string>& command_line);

}  // namespace outsole::store
