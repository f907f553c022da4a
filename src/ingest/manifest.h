#pragma once
// manifest.csv: which row speaks of which image file.

#include "ingest/image_sources.h"

namespace outsole::ingest {

/// Gives each source of `list` its row of the manifest, adds those of folders below that rows name, and drops those
/// whose row, or lack of one, fails the filter. Throws as list_image_sources.
void join_manifest(const SourceOptions& options, SourceList& list);

/// The images of the inputs without a manifest. Throws DataError where find_inputs does.
SourceList list_files(const std::vector<std::filesystem::path>& inputs, bool recursive);

/// Throws DataError for ids that are equal but for case and Unicode normal form, or that a store cannot hold.
void check_ids(const std::vector<ImageSource>& sources);

}  // namespace outsole::ingest
