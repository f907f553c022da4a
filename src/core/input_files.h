#pragma once
// The files that a job is pointed at, and what lies among them that it does not read: a folder accounts for everything
// in it.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace outsole {

enum class NotReadBecause {
  kExtension,  // not one of those that are read
  kHidden,     // its name begins with a dot
  kSystem,     // kept by macOS or Windows: ._a.png, Thumbs.db
  kMask,       // the support mask of a mark, which is read with it
  kFolder,     // below a folder, which is not asked for
  kLink,       // leads to a folder that is listed already
  kSpecial,    // neither a file nor a folder
  kDuplicate,  // named before
};

/// How a reason is told: in provenance, and to people, after a number of files.
struct NotReadText {
  const char* name;   // "extension", "hidden", "system", "mask", "folder", "link", "special" or "duplicate"
  const char* words;  // "of other extensions"
};
NotReadText text_of(NotReadBecause reason);

struct NotRead {
  std::filesystem::path path;
  NotReadBecause reason;
};

struct InputFiles {
  std::vector<std::filesystem::path> files;
  std::vector<NotRead> not_read;
};

/// The files that `inputs` name: files as given, folders expanded to the files in them whose extension (any case) is in
/// `extensions`, sorted by name; with `recursive` those of the folders below, too. A link counts as what it leads to;
/// one that leads nowhere is listed, so that reading it fails by name. A file NAME.mask.EXT is a support mask, never an
/// input, and NAME_mask.EXT is one where a mark NAME lies beside it; NAME may be with the mark's extension or without.
/// Throws DataError for a path that does not exist, a folder that cannot be read, a mask without its mark NAME.* beside
/// it or of an extension that is not read, and two masks of one mark.
InputFiles find_inputs(const std::vector<std::filesystem::path>& inputs, const std::vector<std::string>& extensions,
                       bool recursive);

/// NAME.mask.EXT or NAME_mask.EXT beside the mark NAME.*, NAME with the mark's extension or without, whatever the case
/// and the normal form of its name; empty: it has none. Throws
/// DataError when there are two. Any thread.
std::filesystem::path find_mask(const std::filesystem::path& mark, const std::vector<std::string>& extensions);

/// What provenance says of inputs: {"read": N, "not_read": [{"path", "reason"}...]}.
nlohmann::json account_of(std::size_t files_read, const std::vector<NotRead>& not_read);

}  // namespace outsole
