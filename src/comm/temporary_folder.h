#pragma once
// Where MPI keeps files of its own while a process runs.

#include <filesystem>
#include <span>
#include <string>

namespace outsole::comm {

/// Whether a folder and a file can be made in it. Leaves nothing there.
bool can_keep_files(const std::filesystem::path& folder);

/// Before MPI starts, in a process that no launcher started: where nothing can be kept in the folder for temporary
/// files (TMPDIR, TEMP, TMP or /tmp: read-only, or full), which would end MPI, TMPDIR becomes the first of `others` in
/// which it can. Says so; empty: nothing was changed.
std::string provide_temporary_folder(std::span<const std::filesystem::path> others);

}  // namespace outsole::comm
