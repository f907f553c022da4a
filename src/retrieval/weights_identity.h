#pragma once
// Which weights an extractor was read from, as an index keeps it.

#include <string>
#include <vector>

#include "features/network.h"

namespace outsole::retrieval {

/// SHA-256 of what the tensors hold, in the order of their names: of each the text `NAME TYPE [SHAPE] ` and its bytes
/// as they lie in the file. What else the file holds does not count. Throws DataError as SafetensorsFile does.
std::string weights_sha256(const std::string& weights_path, const std::vector<features::WeightTensor>& tensors);

/// The identity that indexes of schema version 1 keep: 16 hex digits, FNV-1a.
std::string weights_fnv1a(const std::string& weights_path, const std::vector<features::WeightTensor>& tensors);

}  // namespace outsole::retrieval
