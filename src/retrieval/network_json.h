#pragma once
// A network as an index keeps it.

#include <nlohmann/json.hpp>
#include <string>

#include "features/network.h"

namespace outsole::retrieval {

/// {"convention": {...}, "layers": [...]}, as data_schemas/README.md describes it.
nlohmann::json network_to_json(const features::Network& network);

/// Throws DataError naming `file` unless it is a network whose layers fit each other. What is read may come from
/// anywhere.
features::Network network_from_json(const nlohmann::json& json, const std::string& file);

}  // namespace outsole::retrieval
