#include "ingest/image_sources.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "core/errors.h"
#include "core/files.h"
#include "core/folded.h"
#include "core/text.h"
#include "image/image.h"
#include "ingest/exemplars.h"
#include "ingest/manifest.h"

namespace outsole::ingest {

namespace fs = std::filesystem;

namespace {

void check_id(const ImageSource& source) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  const std::string name = source.file.string();
  if (source.id.size() > kMaxIdBytes) {
    throw DataError(name + ": its name makes an id of more than " + std::to_string(kMaxIdBytes) + " bytes; rename it");
  }
  if (std::any_of(source.id.begin(), source.id.end(), is_control)) {
    throw DataError(name + ": its name holds control characters; rename it");
  }
  if (!is_utf8(source.id)) throw DataError(name + ": its name is not UTF-8; rename it");
}

/// Whether a picture shows two grey levels only, as masks do.
bool is_two_valued(const fs::path& file) try {
  const cv::Mat1b grey = image::to_8_bit(image::read_image(file).grey);
  std::set<std::uint8_t> levels;
  for (auto level = grey.begin(); level != grey.end() && levels.size() < 3; ++level) levels.insert(*level);
  return levels.size() == 2;
} catch (const std::exception&) {
  return false;
}

/// Says what there is instead.
[[noreturn]] void refuse_empty(const SourceOptions& options, const SourceList& list) {
  std::map<std::string, std::size_t> counts;
  for (const NotRead& entry : list.not_read) ++counts[text_of(entry.reason).name];
  std::string text;
  for (const auto& [reason, count] : counts) {
    text += (text.empty() ? "; not read are " : ", ") + std::to_string(count) + " (" + reason + ")";
  }
  const bool has_folders = counts.contains(text_of(NotReadBecause::kFolder).name);
  if (has_folders) text += "; folders below are read with `recursive`";
  const bool is_folder = fs::is_directory(options.inputs.front());
  throw DataError(options.inputs.front().string() + (is_folder ? ": no image in this folder" : ": no image") + text);
}

/// A folder that gives nothing was named by mistake, though others give something.
void require_images_in(const SourceOptions& options, const SourceList& list) {
  if (list.sources.empty()) refuse_empty(options, list);
  for (const fs::path& input : options.inputs) {
    if (!fs::is_directory(input)) continue;
    const std::string folder = (input / "").string();
    const auto lies_in = [&](const fs::path& path) { return path.string().starts_with(folder); };
    const bool gives = std::any_of(list.sources.begin(), list.sources.end(),
                                   [&](const ImageSource& source) { return lies_in(source.file); });
    const bool repeats = std::any_of(list.not_read.begin(), list.not_read.end(), [&](const NotRead& entry) {
      return entry.reason == NotReadBecause::kDuplicate && lies_in(entry.path);
    });
    if (!gives && !repeats) throw DataError(input.string() + ": no image in this folder");
  }
}

}  // namespace

void check_ids(const std::vector<ImageSource>& sources) {
  std::unordered_map<std::string, const ImageSource*> source_of_id;
  for (const ImageSource& source : sources) {
    check_id(source);
    const auto [known, is_new] = source_of_id.emplace(folded(source.id), &source);
    if (is_new) continue;
    const ImageSource& other = *known->second;
    const std::string files = other.file.string() + " and " + source.file.string();
    if (other.id == source.id) {
      const fs::path& mask = is_two_valued(source.file) ? source.file : other.file;
      throw DataError("id '" + source.id + "' appears twice: " + files +
                      "; an id is the file's name without folder and extension" +
                      (is_two_valued(mask) ? "; " + mask.string() + " is black and white: a mask is called " +
                                                 source.id + ".mask" + mask.extension().string()
                                           : ""));
    }
    throw DataError("ids '" + other.id + "' and '" + source.id +
                    "' differ only by case, Unicode normal form or blanks: " + files + "; rename one");
  }
}

SourceList list_files(const std::vector<fs::path>& inputs, bool recursive) {
  InputFiles found = find_inputs(inputs, image::image_extensions(), recursive);
  SourceList list;
  list.not_read = std::move(found.not_read);
  for (const fs::path& file : found.files) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    list.sources.push_back(
        {file, id_of(file), error ? 0 : static_cast<std::int64_t>(size), nlohmann::json::object(), ""});
  }
  return list;
}

SourceList list_image_sources(const SourceOptions& options) {
  if (options.inputs.empty()) throw UsageError("no images to ingest; name files or folders by `input`");
  if (!options.manifest && !options.where.empty()) {
    throw UsageError("`where` filters the rows of a manifest; name one by `manifest`");
  }
  SourceList list = list_files(options.inputs, options.recursive);
  if (options.manifest) {
    join_manifest(options, list);
    if (list.sources.empty() && !options.where.empty()) {
      throw DataError(options.manifest->string() + ": no row that passes `where` has a file");
    }
  }
  if (options.where.empty()) require_images_in(options, list);
  check_ids(list.sources);
  return list;
}

}  // namespace outsole::ingest
