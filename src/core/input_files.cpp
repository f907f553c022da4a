#include "core/input_files.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/errors.h"
#include "core/files.h"
#include "core/folded.h"

namespace outsole {

namespace fs = std::filesystem;

namespace {

/// Pictures that people have but that are not read.
constexpr std::array<std::string_view, 26> kOtherPictures = {
    ".avif", ".bmp", ".cr2", ".dib", ".dng", ".exr", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2",  ".jpe",
    ".jpx",  ".jxl", ".nef", ".pbm", ".pdf", ".pgm", ".pnm", ".ppm",  ".psd",  ".svg", ".tga",  ".webp", ".xcf"};

bool is_among(const auto& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::string folded_extension(const fs::path& path) { return folded(path.extension().string()); }

bool is_some_picture(const fs::path& path, const std::vector<std::string>& extensions) {
  const std::string extension = folded_extension(path);
  return is_among(extensions, extension) || is_among(kOtherPictures, extension);
}

/// Of a mask NAME.mask.EXT, whose EXT is that of some picture, the NAME; empty: it is none.
std::string mask_name(const fs::path& path, const std::vector<std::string>& extensions) {
  const fs::path stem = path.stem();
  if (folded(stem.extension().string()) != ".mask") return "";
  return is_some_picture(path, extensions) ? stem.stem().string() : "";
}

/// Of NAME_mask.EXT, which is a mask only beside a mark of that name, the NAME; empty: it is no such file.
std::string name_before_mask(const fs::path& path, const std::vector<std::string>& extensions) {
  constexpr std::string_view kEnd = "_mask";
  const std::string stem = path.stem().string();
  if (stem.size() <= kEnd.size() || !is_some_picture(path, extensions)) return "";
  const std::size_t length = stem.size() - kEnd.size();
  return folded(stem.substr(length)) == kEnd ? stem.substr(0, length) : "";
}

/// The names by which masks call a mark: with and without its extension.
std::array<std::string, 2> names_for_masks(const fs::path& mark) {
  return {folded(id_of(mark)), folded(mark.filename().string())};
}

/// What systems leave in folders beside what people put there.
bool is_of_the_system(const fs::path& path) {
  constexpr std::array<std::string_view, 17> kNames = {".appledouble",
                                                       ".apdisk",
                                                       ".directory",
                                                       ".documentrevisions-v100",
                                                       ".ds_store",
                                                       ".fseventsd",
                                                       ".localized",
                                                       ".spotlight-v100",
                                                       ".temporaryitems",
                                                       ".trashes",
                                                       "$recycle.bin",
                                                       "@eadir",
                                                       "__macosx",
                                                       "desktop.ini",
                                                       "icon",  // with a carriage return
                                                       "lost+found",
                                                       "system volume information"};
  const std::string name = path.filename().string(), lower = folded(name);
  if (name.starts_with("._")) return true;
  if (lower == "icon") return name.ends_with('\r');
  const bool is_thumbnails = lower == "thumbs.db" || (lower.starts_with("ehthumbs") && lower.ends_with(".db"));
  return is_thumbnails || is_among(kNames, lower);
}

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

/// A folder as the file system knows it: the same for all ways to write it.
std::string place_of_folder(const fs::path& folder) {
  std::error_code error;
  const fs::path canonical = fs::canonical(folder, error);
  return error ? fs::absolute(folder).lexically_normal().string() : canonical.string();
}

/// The entries of a folder, by name. Throws DataError.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    entries.push_back(*entry);
  }
  if (error) throw DataError(folder.string() + ": cannot be read: " + error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// Walks the inputs.
class Listing {
 public:
  Listing(const std::vector<std::string>& extensions, bool recursive)
      : extensions_(extensions), recursive_(recursive) {}

  void add_input(const fs::path& input) {
    std::error_code error;
    if (!fs::exists(input, error)) throw DataError(input.string() + ": does not exist");
    if (fs::is_directory(input, error)) {
      add_folder(input);
    } else if (is_of_the_system(input)) {
      leave_out(input, NotReadBecause::kSystem);
    } else {
      add_file(input);
    }
  }

  InputFiles finish() {
    check_masks();
    return std::move(found_);
  }

 private:
  void leave_out(const fs::path& path, NotReadBecause reason) { found_.not_read.push_back({path, reason}); }

  void add_file(const fs::path& file) {
    if (!places_.insert(place_of(file)).second) return leave_out(file, NotReadBecause::kDuplicate);
    if (!name_of_masked(file).empty()) {
      masks_.push_back(file);
      return leave_out(file, NotReadBecause::kMask);
    }
    found_.files.push_back(file);
  }

  /// Of a mask, the name of its mark; empty: it is none.
  std::string name_of_masked(const fs::path& file) {
    if (const std::string name = mask_name(file, extensions_); !name.empty()) return name;
    const std::string name = name_before_mask(file, extensions_);
    return !name.empty() && names_of_marks(file).contains(folded(name)) ? name : "";
  }

  /// The same for all ways to write the file's name.
  std::string place_of(const fs::path& file) {
    const fs::path folder = folder_of(file);
    auto known = place_of_.find(folder.string());
    if (known == place_of_.end()) known = place_of_.emplace(folder.string(), place_of_folder(folder)).first;
    return known->second + "/" + file.filename().string();
  }

  /// Files first, then the folders below.
  void add_folder(const fs::path& folder) {
    std::error_code error;
    folders_.insert(place_of_folder(folder));
    std::vector<fs::path> below;
    for (const fs::directory_entry& found : entries_of(folder)) {
      const fs::path& entry = found.path();
      if (is_of_the_system(entry)) {
        leave_out(entry, NotReadBecause::kSystem);
      } else if (entry.filename().string().starts_with('.')) {
        leave_out(entry, NotReadBecause::kHidden);
      } else if (found.is_directory(error)) {
        below.push_back(entry);
      } else if (found.exists(error) && !found.is_regular_file(error)) {
        leave_out(entry, NotReadBecause::kSpecial);
      } else if (is_among(extensions_, folded_extension(entry)) || !name_of_masked(entry).empty()) {
        add_file(entry);
      } else {
        leave_out(entry, NotReadBecause::kExtension);
      }
    }
    for (const fs::path& entry : below) add_folder_below(entry);
  }

  void add_folder_below(const fs::path& folder) {
    if (!recursive_) return leave_out(folder, NotReadBecause::kFolder);
    if (folders_.contains(place_of_folder(folder))) {
      return leave_out(folder, fs::is_symlink(folder) ? NotReadBecause::kLink : NotReadBecause::kDuplicate);
    }
    add_folder(folder);
  }

  void check_masks() {
    std::map<std::string, fs::path> mask_of;  // by the mark's place as the mask names it
    for (const fs::path& mask : masks_) {
      const std::string name = name_of_masked(mask);
      if (!is_among(extensions_, folded_extension(mask))) {
        throw DataError(mask.string() + ": a mask of a kind that is not read; convert it to PNG");
      }
      const std::string folder = place_of_.at(folder_of(mask).string());
      if (!names_of_marks(mask).contains(folded(name))) {
        throw DataError(mask.string() + ": a mask without its mark: no image '" + name + "' lies beside it");
      }
      const auto [other, is_new] = mask_of.emplace(folder + "/" + folded(name), mask);
      if (!is_new) {
        throw DataError(mask.string() + ": a second mask of '" + name + "', which has " + other->second.string());
      }
    }
  }

  /// The names by which masks may call the marks that lie beside a file.
  const std::set<std::string>& names_of_marks(const fs::path& file) {
    const std::string folder = place_of_folder(folder_of(file));
    const auto [known, is_new] = marks_in_.try_emplace(folder);
    if (!is_new) return known->second;
    for (const fs::directory_entry& found : entries_of(folder)) {
      const fs::path& entry = found.path();
      const bool is_mark = is_among(extensions_, folded_extension(entry)) && mask_name(entry, extensions_).empty();
      if (!is_mark || is_of_the_system(entry)) continue;
      for (const std::string& name : names_for_masks(entry)) known->second.insert(name);
    }
    return known->second;
  }

  const std::vector<std::string>& extensions_;
  bool recursive_;
  InputFiles found_;
  std::vector<fs::path> masks_;
  std::map<std::string, std::set<std::string>> marks_in_;  // by folder
  std::unordered_set<std::string> places_, folders_;       // that were listed
  std::unordered_map<std::string, std::string> place_of_;  // of folders, as they are written
};

/// The masks of the folder that was asked about last: thousands of marks lie in one.
class FolderOfMasks {
 public:
  std::vector<fs::path> masks_of(const fs::path& mark, const std::vector<std::string>& extensions) {
    const std::scoped_lock lock(mutex_);
    const fs::path folder = folder_of(mark);
    std::error_code error;
    const fs::file_time_type changed = fs::last_write_time(folder, error);
    if (error) return {};
    if (folder != folder_ || changed != changed_) read(folder, changed, extensions);
    std::vector<fs::path> masks;
    for (const std::string& name : names_for_masks(mark)) {
      if (const auto found = masks_.find(name); found != masks_.end()) {
        masks.insert(masks.end(), found->second.begin(), found->second.end());
      }
    }
    return masks;
  }

 private:
  void read(const fs::path& folder, fs::file_time_type changed, const std::vector<std::string>& extensions) {
    // A folder that changes while it is read may keep its time; so one that has just changed is read anew each time.
    constexpr std::chrono::seconds kSettled{2};
    folder_.clear();
    masks_.clear();
    for (const fs::directory_entry& found : entries_of(folder)) {
      const fs::path& entry = found.path();
      if (is_of_the_system(entry) || !is_among(extensions, folded_extension(entry))) continue;
      std::string name = mask_name(entry, extensions);
      if (name.empty()) name = name_before_mask(entry, extensions);
      if (!name.empty()) masks_[folded(name)].push_back(entry);
    }
    if (changed + kSettled > fs::file_time_type::clock::now()) return;
    folder_ = folder;
    changed_ = changed;
  }

  std::mutex mutex_;
  fs::path folder_;
  fs::file_time_type changed_;
  std::map<std::string, std::vector<fs::path>> masks_;  // by the mark's name, folded
};

}  // namespace

NotReadText text_of(NotReadBecause reason) {
  switch (reason) {
    case NotReadBecause::kExtension:
      return {"extension", "of other extensions"};
    case NotReadBecause::kHidden:
      return {"hidden", "hidden"};
    case NotReadBecause::kSystem:
      return {"system", "left by macOS or Windows"};
    case NotReadBecause::kMask:
      return {"mask", "masks of marks"};
    case NotReadBecause::kFolder:
      return {"folder", "in folders below (--recursive)"};
    case NotReadBecause::kLink:
      return {"link", "links to folders that are listed already"};
    case NotReadBecause::kSpecial:
      return {"special", "neither files nor folders"};
    case NotReadBecause::kDuplicate:
      return {"duplicate", "duplicates, named before"};
  }
  throw Bug("no such reason");
}

InputFiles find_inputs(const std::vector<fs::path>& inputs, const std::vector<std::string>& extensions,
                       bool recursive) {
  Listing listing(extensions, recursive);
  for (const fs::path& input : inputs) listing.add_input(input);
  return listing.finish();
}

std::vector<fs::path> list_inputs(const std::vector<fs::path>& inputs, const std::vector<std::string>& extensions) {
  for (const fs::path& input : inputs) {
    std::error_code error;
    if (fs::is_directory(input, error) && find_inputs({input}, extensions, false).files.empty()) {
      throw DataError(input.string() + ": no image in this folder");
    }
  }
  InputFiles found = find_inputs(inputs, extensions, false);
  if (found.files.empty()) {
    throw DataError(inputs.empty() ? "no input" : inputs.front().string() + ": a mask is no image");
  }
  return std::move(found.files);
}

fs::path find_mask(const fs::path& mark, const std::vector<std::string>& extensions) {
  static FolderOfMasks folder;
  const std::vector<fs::path> masks = folder.masks_of(mark, extensions);
  if (masks.empty()) return {};
  if (masks.size() > 1) {
    throw DataError(masks[1].string() + ": a second mask of " + mark.string() + ", which has " + masks[0].string());
  }
  return masks.front();
}

nlohmann::json account_of(std::size_t files_read, const std::vector<NotRead>& not_read) {
  nlohmann::json entries = nlohmann::json::array();
  for (const NotRead& entry : not_read) {
    entries.push_back({{"path", entry.path.string()}, {"reason", text_of(entry.reason).name}});
  }
  return {{"read", files_read}, {"not_read", entries}};
}

}  // namespace outsole
