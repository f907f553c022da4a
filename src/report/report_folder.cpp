#include "report/report_folder.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "core/errors.h"
#include "core/files.h"
#include "core/input_files.h"
#include "core/json.h"
#include "core/sha256.h"
#include "image/image.h"
#include "store/store.h"

namespace outsole::report {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr char kManifest[] = "manifest.json", kMadeOf[] = "made_of.json", kRecord[] = "report.provenance.json";
constexpr char kFormat[] = "outsole.report";

std::string dumped(const json& value) { return value.dump(1, ' ', false, json::error_handler_t::replace) + "\n"; }

/// Null where there is none of ours.
json manifest_of(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_regular_file(folder / kManifest, ignored)) return nullptr;
  json manifest = parse_json(read_text_file(folder / kManifest));
  const bool is_ours = manifest.is_object() && manifest.contains("format") && manifest["format"] == kFormat &&
                       manifest.contains("files") && manifest["files"].is_object() && manifest.contains("made_of") &&
                       manifest["made_of"].is_object();
  return is_ours ? manifest : json();
}

/// As a file holds it: what is not UTF-8 is replaced.
json as_written(const json& value) { return parse_json(dumped(value)); }

/// Refuses to put a report in the place of what is no report, or more than one.
void require_replaceable(const fs::path& output, const json& manifest) {
  if (!fs::is_directory(output)) throw UsageError("`output` " + output.string() + ": is not a folder");
  if (manifest.is_null()) {
    if (fs::is_empty(output)) return;
    throw UsageError("`output` " + output.string() + ": exists and is not a report; choose another folder");
  }
  for (const std::string& file : files_of_report(output)) {
    if (manifest["files"].contains(file)) continue;
    throw UsageError("`output` " + output.string() + ": holds an older report and, not of it, '" + file +
                     "', which would be lost; move that, or choose another folder");
  }
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) throw EnvironmentError(folder.string() + ": cannot be removed: " + error.message());
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw EnvironmentError(from.string() + ": cannot be renamed to " + to.string() + ": " + error.message());
}

}  // namespace

std::vector<std::string> files_of_report(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory() && !entry->is_symlink()) continue;
    const std::string name = entry->path().lexically_relative(folder).generic_string();
    if (name != kManifest && name != kMadeOf && name != kRecord) files.push_back(name);
  }
  if (error) throw EnvironmentError(folder.string() + ": cannot be listed: " + error.message());
  std::ranges::sort(files);
  return files;
}

ReportFolder::ReportFolder(fs::path output, json made_of)
    : output_(output.has_filename() ? std::move(output) : output.parent_path()),
      part_(beside_output(output_, ".part")),
      made_of_(as_written(made_of)) {
  std::error_code error;
  if (output_.has_parent_path()) fs::create_directories(output_.parent_path(), error);
  lock_ = std::make_unique<FileLock>(beside_output(output_, ".lock"), "this report");
  if (fs::exists(output_)) {
    const json manifest = manifest_of(output_);
    is_finished_ = !manifest.is_null() && manifest["made_of"] == made_of_;
    if (is_finished_) return;
    require_replaceable(output_, manifest);
  }
  const bool carries_on = fs::exists(part_ / kMadeOf) && parse_json(read_text_file(part_ / kMadeOf)) == made_of_;
  if (!carries_on) remove_folder(part_);
  for (const char* folder : {"marks", "pictures", "exemplars"}) {
    fs::create_directories(part_ / folder, error);
    if (error) throw EnvironmentError(part_.string() + ": cannot be created: " + error.message());
  }
  if (!carries_on) write_file_atomically(part_ / kMadeOf, dumped(made_of_));
}

std::string ReportFolder::finish(const json& files) {
  const std::string manifest = dumped({{"format", kFormat}, {"version", 1}, {"made_of", made_of_}, {"files", files}});
  write_file_atomically(part_ / kManifest, manifest);
  const fs::path older = beside_output(output_, ".old");
  remove_folder(older);
  if (fs::exists(output_)) {
    require_replaceable(output_, manifest_of(output_));
    rename_folder(output_, older);
  }
  fs::remove(part_ / kMadeOf);
  rename_folder(part_, output_);
  remove_folder(older);
  return sha256_of(std::as_bytes(std::span(manifest)));
}

namespace {

void verify_files(const fs::path& folder, const json& manifest, Verified& verified) {
  std::set<std::string> found;
  for (const std::string& file : files_of_report(folder)) {
    const auto expected = manifest["files"].find(file);
    if (expected == manifest["files"].end()) {
      verified.complaints.push_back(file + ": is not of this report");
      continue;
    }
    found.insert(file);
    ++verified.files;
    if (*expected != sha256_of_file(folder / file))
      verified.complaints.push_back(file + ": was altered (SHA-256 differs)");
  }
  for (const auto& [file, sha256] : manifest["files"].items()) {
    if (!found.contains(file)) verified.complaints.push_back(file + ": is missing");
  }
}

std::string text_of(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

struct RecordedStore {
  fs::path path;
  std::string sha256;
};

/// One store is an object, several are an array of them.
std::vector<RecordedStore> recorded_stores(const json& recorded) {
  std::vector<RecordedStore> stores;
  for (const json& store : recorded.is_array() ? recorded : json::array({recorded}))
    stores.push_back({text_of(store, "path"), text_of(store, "sha256")});
  return stores;
}

void verify_stores(const char* what, const std::vector<fs::path>& given, const json& made_of, Verified& verified) {
  if (!made_of.contains(what)) return;
  std::vector<RecordedStore> recorded = recorded_stores(made_of[what]);
  std::vector<fs::path> paths = given;
  if (given.empty()) std::ranges::transform(recorded, std::back_inserter(paths), &RecordedStore::path);
  std::size_t unlike = 0;
  for (const fs::path& path : paths) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) {
      ++unlike;
      verified.complaints.push_back(path.string() + ": is missing; say where the " + what + " are now by --" + what);
      continue;
    }
    ++verified.stores;
    const auto found = std::ranges::find(recorded, sha256_of_file(path), &RecordedStore::sha256);
    if (found == recorded.end()) {
      ++unlike;
      verified.complaints.push_back(path.string() + ": is not the one that this report was made of (SHA-256 differs)");
      continue;
    }
    recorded.erase(found);
    for (const std::string& complaint : store::Store::validate_in_child(path))
      verified.complaints.push_back(path.string() + ": " + complaint);
  }
  for (std::size_t i = unlike; i < recorded.size(); ++i)  // what no other complaint stands for
    verified.complaints.push_back(recorded[i].path.string() + ": was not looked at: --" + what + " does not name it");
}

/// Of a search that was not finished: the units that were there.
void verify_units(const fs::path& given, const json& made_of, Verified& verified) {
  const fs::path view = given.empty() ? fs::path(text_of(made_of["results"], "path")) : given;
  for (const auto& [name, sha256] : made_of["results_digests"].items()) {
    const fs::path unit = beside_output(view, ".shards") / fs::path(name).filename();
    std::error_code ignored;
    if (!fs::exists(unit, ignored)) {
      verified.complaints.push_back(unit.string() + ": is missing");
      continue;
    }
    ++verified.stores;
    if (sha256 != sha256_of_file(unit))
      verified.complaints.push_back(unit.string() + ": was altered (SHA-256 differs)");
  }
}

void verify_marks(const std::vector<fs::path>& given, const json& made_of, Verified& verified) {
  std::map<std::string, fs::path> by_id;
  if (!given.empty()) {
    for (const fs::path& file : find_inputs(given, image::image_extensions(), /*recursive=*/true).files)
      by_id.emplace(id_of(file), file);
  }
  for (const json& mark : made_of["marks"]) {
    const auto found = by_id.find(text_of(mark, "id"));
    const fs::path path = found == by_id.end() ? fs::path(text_of(mark, "path")) : found->second;
    std::error_code ignored;
    if (path.empty()) continue;  // the report has no picture of it, and says so
    if (!fs::is_regular_file(path, ignored)) {
      verified.complaints.push_back(path.string() + ": is missing; say where the marks are now by --marks");
      continue;
    }
    ++verified.marks;
    if (sha256_of_file(path) != text_of(mark, "sha256"))
      verified.complaints.push_back(path.string() + ": is not the mark that was searched (SHA-256 differs)");
  }
}

void verify_file(const json& recorded, Verified& verified) {
  const fs::path path = text_of(recorded, "path");
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || sha256_of_file(path) != text_of(recorded, "sha256"))
    verified.complaints.push_back(path.string() + ": is missing, or not the one that this report was made of");
}

}  // namespace

Verified verify_report(const VerifyOptions& options) {
  const json manifest = manifest_of(options.folder);
  if (manifest.is_null()) throw DataError(options.folder.string() + ": holds no manifest.json of `outsole report`");
  Verified verified;
  verified.manifest_sha256 = sha256_of_file(options.folder / kManifest);
  verify_files(options.folder, manifest, verified);
  const json& made_of = manifest["made_of"];
  if (made_of.contains("wear_evaluation")) {
    verify_file(made_of["wear_evaluation"], verified);
    if (made_of.contains("strips") && made_of["strips"].is_array()) {
      for (const json& strip : made_of["strips"]) verify_file(strip, verified);
    }
    return verified;
  }
  const json digests = made_of.contains("results_digests") ? made_of["results_digests"] : json();
  if (!digests.is_object() || !made_of.contains("results") || !made_of.contains("marks") ||
      !made_of["marks"].is_array())
    throw DataError((options.folder / kManifest).string() + ": does not say what the report was made of");
  const std::string results_sha256 = text_of(made_of["results"], "sha256");
  const bool was_finished = digests.size() == 1 && *digests.begin() == results_sha256;
  if (was_finished) {
    verify_stores("results", options.results.empty() ? std::vector<fs::path>() : std::vector{options.results}, made_of,
                  verified);
  } else {
    verify_units(options.results, made_of, verified);
  }
  verify_stores("exemplars", options.exemplars, made_of, verified);
  verify_stores("index", options.indexes, made_of, verified);
  verify_marks(options.marks, made_of, verified);
  for (const char* table : {"labels", "groups", "evaluation"}) {
    if (made_of.contains(table)) verify_file(made_of[table], verified);
  }
  return verified;
}

}  // namespace outsole::report
