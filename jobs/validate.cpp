#include <algorithm>
#include <cstdio>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/provenance.h"
#include "core/text.h"
#include "job.h"
#include "store/find.h"
#include "store/store.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;

struct ValidateJob {
  std::vector<fs::path> paths;
};

void declare(ValidateJob& own, Options& options) {
  options.add("path", "FILE|DIR...", own.paths, "stores (NAME.h5), JSON files, or folders of stores").required();
}

std::vector<std::string> complaints_about(const fs::path& file) {
  if (file.extension() != ".json") return store::Store::validate_in_child(file);
  if (!parse_json(read_text_file(file)).is_discarded()) return {};
  return {file.string() + ": is not JSON, or is nested too deep"};
}

/// A sound store and what it says of its making.
struct Making {
  fs::path path;
  std::string kind;  // "index" of schema "outsole.index"
  std::string sha256;
  nlohmann::json parameters;
};

Making making_of(const fs::path& path) {
  const store::Store store(path, "", store::Origin::kForeign);
  const std::string& schema = store.header().schema;
  return {path, schema.substr(schema.rfind('.') + 1), store.sha256(), store.header().parameters};
}

/// Why nobody can tell from the files beside it what made the store; empty if its provenance is there.
std::string lack_of_provenance(const fs::path& store) {
  const fs::path file = provenance_path(store);
  if (!fs::exists(file)) return file.string() + ": lacking, so nobody can tell what made " + store.string();
  const auto json = parse_json(read_text_file(file));
  if (json.is_object() && json.value("output", nlohmann::json()) == store.filename().string()) return "";
  return file.string() + ": is not the provenance of " + store.string();
}

/// A store names the SHA-256 of the stores it was made from ("index_sha256"). Where others of that kind lie here, one
/// of them should be it.
std::vector<std::string> strange_inputs(const Making& made, const std::vector<Making>& all) {
  std::vector<std::string> notes;
  for (const Making& input : all) {
    const auto sha256 = made.parameters.find(input.kind + "_sha256");
    if (sha256 == made.parameters.end()) continue;
    const bool is_here = std::ranges::any_of(all, [&](const Making& other) { return *sha256 == other.sha256; });
    if (is_here) continue;
    notes.push_back(made.path.string() + ": was not made from " + input.path.string() + " as it is now");
  }
  return notes;
}

/// What is not wrong with the files, but with the story they tell together.
std::vector<std::string> notes_on(const std::vector<fs::path>& sound_stores) {
  std::vector<Making> makings;
  for (const fs::path& path : sound_stores) makings.push_back(making_of(path));
  std::vector<std::string> notes;
  for (const Making& making : makings) {
    if (const std::string lack = lack_of_provenance(making.path); !lack.empty()) notes.push_back(lack);
    for (const std::string& note : strange_inputs(making, makings)) notes.push_back(note);
  }
  return notes;
}

/// Prints what is wrong, file by file, and what is strange about their provenance; throws DataError at the end if
/// anything is wrong, or under `strict` strange.
void validate(const std::vector<fs::path>& paths, bool strict) {
  const store::FoundStores found = store::find_stores(paths);
  std::size_t complaints = found.leftovers.size();
  std::vector<fs::path> sound_stores;
  for (const fs::path& file : found.files) {
    const auto wrong = complaints_about(file);
    if (wrong.empty()) std::printf("%s: OK\n", printable(file.string()).c_str());
    if (wrong.empty() && file.extension() != ".json") sound_stores.push_back(file);
    for (const std::string& complaint : wrong) std::printf("%s\n", printable(complaint).c_str());
    std::fflush(stdout);
    complaints += wrong.size();
  }
  for (const std::string& leftover : found.leftovers) std::printf("%s\n", printable(leftover).c_str());
  const auto notes = notes_on(sound_stores);
  for (const std::string& note : notes) std::printf("%s%s\n", strict ? "" : "note: ", printable(note).c_str());
  if (strict) complaints += notes.size();
  if (found.files.empty() && complaints == 0) throw DataError(paths.front().string() + ": no store in this folder");
  if (complaints > 0) throw DataError("validate: " + std::to_string(complaints) + " complaints, see above");
}

std::string plan_text(const std::vector<fs::path>& paths) {
  std::string text;
  for (const fs::path& file : store::find_stores(paths).files) text += printable(file.string()) + "\n";
  return text;
}

/// Prints as it reads, which may take hours.
Report run(ValidateJob& own, const JobContext& context) {
  if (context.common.plan) return [=] { return plan_text(own.paths); };
  context.comm.together([&] {
    if (context.comm.is_root()) validate(own.paths, context.common.strict);
  });
  return [] { return std::string(); };
}

}  // namespace

Job validate_job() {
  return make_job(
      {"validate", "check files against their schema and checksums", "path",
       "Example: outsole validate results/\n"
       "Reads everything. Prints OK or each complaint; exit code 3 if there is any. Notes tell of stores without\n"
       "provenance, or made from other inputs than those beside them; with --strict they are complaints.\n"},
      declare, run);
}

}  // namespace outsole::jobs
