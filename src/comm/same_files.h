#pragma once
// Whether all ranks see the same files: a name may lead elsewhere on another machine (a stale copy on a local disk,
// another mount), and what ranks compute of different files fits together without a complaint.

#include <filesystem>
#include <span>

#include "comm/communicator.h"

namespace outsole::comm {

/// Compares size and time of each file with what rank 0 sees, and where only the times differ, as those of copies do,
/// the SHA-256. A few files are looked at by every rank, many once a machine. Throws EnvironmentError on every rank,
/// naming a file, a rank and its machine, when a rank sees another file, or only one of the two sees any;
/// `may_be_unseen`: a file that another rank than 0 does not see is left to whoever reads it. Every rank gives as many
/// names. Collective.
void require_same_files(const Communicator& comm, std::span<const std::filesystem::path> files,
                        bool may_be_unseen = false);

}  // namespace outsole::comm
