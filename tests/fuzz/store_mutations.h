#pragma once
// Stores as one who means harm would write them: with HDF5, by our schemas, and wrong somewhere.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace outsole::fuzz {

struct MutatedStore {
  std::filesystem::path path;  // NAME.h5, its shards beside it
  std::string schema;
  bool has_raw_damage = false;  // bytes were changed, not only what HDF5 wrote: HDF5 itself may not survive it
};

/// Writes a small store of the schema that the first byte picks, and changes it as the others say: data sets of other
/// types, shapes, chunks, filters, layouts and elements, other attributes, missing and additional objects, links and
/// virtual sources that lead elsewhere, and raw bytes. Seals and the view's table of shards are made to fit, mostly.
MutatedStore mutate_store(std::span<const std::uint8_t> recipe);

}  // namespace outsole::fuzz
