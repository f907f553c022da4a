#pragma once
// Several indexes as one database with one ranking: which exemplars it holds, and whether its indexes fit each other.

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "retrieval/open_index.h"

namespace outsole::retrieval {

/// Which exemplars are searched. The lists are text files of an id a line; blank lines, and what follows a `#`, count
/// for nothing; ids match as in labels.
struct DatabaseOptions {
  std::vector<std::filesystem::path> indexes;
  std::filesystem::path exemplars_list;  // only these; empty: all
  std::filesystem::path withdrawn;       // not these; empty: none is left out
};

/// Opens indexes as one database. One index alone keeps its exemplars' order, of several those of all stand in that of
/// their ids: what is found equals what is found in one index of all that was made like the first. Blocks in which
/// nothing is searched are left out. Throws on every rank: DataError naming both files where indexes do not fit each
/// other (and in what), or share an id; where a list names an exemplar that is in none of them (one that is withdrawn
/// may be: rank 0 warns); and as open_index. Collective.
OpenIndex open_database(const comm::Communicator& comm, const DatabaseOptions& options, const std::string& weights_path,
                        at::Device device);

/// Indexes to learn from: UsageError where their maps are projected by a learned metric. Collective.
OpenIndex open_plain_index(const comm::Communicator& comm, const std::vector<std::filesystem::path>& paths,
                           const std::string& weights_path, at::Device device);

/// How `other` differs from `first`, which keeps them from being one database, as "its image_scale is 1, not 0.5";
/// empty: they fit.
std::string misfit_of(const OpenIndex& other, const OpenIndex& first);

}  // namespace outsole::retrieval
