#include "store/audit.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "store/find.h"
#include "store/shard.h"
#include "store/store.h"

namespace outsole::store {

namespace {

namespace fs = std::filesystem;

bool is_json(const fs::path& file) { return file.extension() == ".json"; }

std::vector<std::string> complaints_about(const fs::path& file) {
  if (!is_json(file)) return Store::validate_in_child(file);
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
  const Store store(path, "", Origin::kForeign);
  const std::string& schema = store.header().schema;
  return {path, schema.substr(schema.rfind('.') + 1), store.sha256(), store.header().parameters};
}

/// Why nobody can tell from the files beside it what made the store; empty if its provenance is there: beside a link,
/// or beside what that leads to.
std::string lack_of_provenance(const fs::path& store) {
  std::string complaint;
  for (const fs::path& name : names_of_view(store)) {
    const fs::path file = provenance_path(name);
    if (!fs::exists(file)) {
      if (complaint.empty()) complaint = file.string() + ": lacking, so nobody can tell what made " + store.string();
      continue;
    }
    const auto json = parse_json(read_text_file(file));
    if (json.is_object() && json.value("output", nlohmann::json()) == name.filename().string()) return "";
    complaint = file.string() + ": is not the provenance of " + store.string();
  }
  return complaint;
}

/// A store names the SHA-256 of the stores it was made from ("index_sha256"). Where others of that kind lie here, one
/// of them should be it.
std::vector<std::string> strange_inputs(const Making& made, const std::vector<Making>& all) {
  std::vector<std::string> notes;
  for (const Making& input : all) {
    const auto sha256 = made.parameters.find(input.kind + "_sha256");
    if (sha256 == made.parameters.end()) continue;
    const auto names = [&](const Making& other) {  // one store, or a list of several
      return *sha256 == other.sha256 ||
             (sha256->is_array() && std::ranges::find(*sha256, nlohmann::json(other.sha256)) != sha256->end());
    };
    const bool is_here = std::ranges::any_of(all, names);
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

double bytes_of(const fs::path& file) {
  std::error_code ignored;
  const auto bytes = fs::file_size(file, ignored);
  return ignored ? 0 : static_cast<double>(bytes);
}

/// With its shards, if it is a store.
double bytes_of_all(const fs::path& file) {
  double bytes = bytes_of(file);
  std::error_code ignored;
  for (const auto& shard : fs::directory_iterator(fs::path(file).replace_extension(".shards"), ignored)) {
    bytes += bytes_of(shard.path());
  }
  return bytes;
}

}  // namespace

Audit audit(const std::vector<fs::path>& inputs,
            const std::function<void(const fs::path&, const std::vector<std::string>&)>& on_file) {
  const FoundStores found = find_stores(inputs);
  if (found.files.empty() && found.leftovers.empty()) {
    throw DataError(inputs.front().string() + ": no store in this folder");
  }
  Audit result{found.files.size(), 0, found.leftovers, {}};
  std::vector<fs::path> sound_stores;
  for (const fs::path& file : found.files) {
    const auto wrong = complaints_about(file);
    on_file(file, wrong);
    if (wrong.empty() && !is_json(file)) sound_stores.push_back(file);
    result.complaints += wrong.size();
  }
  result.notes = notes_on(sound_stores);
  return result;
}

machine::Plan audit_plan(const std::vector<fs::path>& inputs) {
  constexpr double kBytesASecond = 200e6;  // read, unpacked and hashed, one thread
  const FoundStores found = find_stores(inputs);
  double bytes = 0;
  machine::Plan plan;
  for (const fs::path& file : found.files) {
    plan.lines.push_back({"file", file.string()});
    bytes += bytes_of_all(file);
  }
  plan.lines.push_back({"work", fmt::format("{} to read, on one rank", format_bytes(bytes))});
  plan.work.partitions = {{"one rank", 1}};
  plan.work.compute_s = bytes / kBytesASecond;
  plan.work.read_bytes = bytes;
  plan.basis = fmt::format("at {:.0f} MB a second", 1e-6 * kBytesASecond);
  return plan;
}

}  // namespace outsole::store
