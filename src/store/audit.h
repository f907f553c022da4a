#pragma once
// Whether files are what they claim to be, and tell one story together.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "machine/plan.h"

namespace outsole::store {

/// Each text names its file.
struct Audit {
  std::size_t files = 0;
  std::size_t complaints = 0;          // about them, as told to `on_file`
  std::vector<std::string> leftovers;  // of interrupted jobs
  std::vector<std::string> notes;      // on sound stores without provenance, or made from others than those beside them
};

/// Reads everything: stores (schema, checksums) and JSON files, and those in folders, with all folders in them.
/// `on_file` is told what is wrong with each file, nothing for a sound one. One rank. Throws DataError for a path that
/// does not exist, or where nothing is found.
Audit audit(
    const std::vector<std::filesystem::path>& inputs,
    const std::function<void(const std::filesystem::path& file, const std::vector<std::string>& complaints)>& on_file);

/// What audit would take. Not collective. Throws as audit.
machine::Plan audit_plan(const std::vector<std::filesystem::path>& inputs);

}  // namespace outsole::store
