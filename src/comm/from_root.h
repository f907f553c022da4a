#pragma once
// What rank 0 alone has looked at, known to all: files and folders may look different to another machine, or a moment
// later, and a thousand ranks that look at the same entries are a burden to the file system.

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace outsole::comm {

/// The bytes that `work`, run on rank 0 alone, returns; on every rank. Throws on every rank what it throws there.
/// `work` must not communicate. Collective.
std::string from_root(const Communicator& comm, const std::function<std::string()>& work);

/// The same for a JSON value, whose texts need not be UTF-8. Collective.
nlohmann::json json_from_root(const Communicator& comm, const std::function<nlohmann::json()>& work);

/// The same for paths. Collective.
std::vector<std::filesystem::path> paths_from_root(const Communicator& comm,
                                                   const std::function<std::vector<std::filesystem::path>()>& work);

}  // namespace outsole::comm
