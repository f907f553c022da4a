#pragma once
// Files that appear whole or not at all, and the names of inputs.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace outsole {

/// Throws EnvironmentError: the path, what failed, and the reason that the system has left in errno.
[[noreturn]] void throw_system_error(const std::filesystem::path& path, const char* what);

/// Writes beside `path`, syncs, and renames: `path` afterwards holds all of `content`, or what it held before.
/// Throws EnvironmentError naming the path and the system's reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Syncs a finished temporary file and renames it to `path`, then syncs the folder. Throws EnvironmentError.
void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& path);

/// The whole of a text file; throws DataError when it cannot be read or is larger than `limit_bytes`.
std::string read_text_file(const std::filesystem::path& path, std::size_t limit_bytes = std::size_t{256} << 20);

/// NAME + `ending` beside a job's output, which is a file NAME.h5 or a folder NAME.
std::filesystem::path beside_output(const std::filesystem::path& output, const std::string& ending);

/// The file's size and, in ns, the times of its last change: other whenever it was written to, and sometimes when it
/// was not. Empty when there is no such file.
std::string file_stamp(const std::filesystem::path& path);

/// An id: the file's name without folder and extension.
std::string id_of(const std::filesystem::path& path);

/// The files of find_inputs (core/input_files.h), without those of folders below: files as given, folders expanded to
/// the files in them whose extension (any case) is in `extensions`, sorted by name. Throws DataError where find_inputs
/// does, and for a folder without such a file.
std::vector<std::filesystem::path> list_inputs(const std::vector<std::filesystem::path>& inputs,
                                               const std::vector<std::string>& extensions);

}  // namespace outsole
