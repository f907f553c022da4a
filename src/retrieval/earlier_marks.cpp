#include "retrieval/earlier_marks.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "comm/from_root.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "image/image.h"
#include "retrieval/search_results.h"
#include "store/store.h"

namespace outsole::retrieval {

namespace {

namespace fs = std::filesystem;

/// Of the mark's image and mask, so that results are never taken for those of a mark that was changed since.
std::string digest_of_mark(const fs::path& mark) {
  std::string text;
  const auto add = [&](const fs::path& file) {
    try {
      text += sha256_of_file(file) + "\n";
    } catch (const DataError&) {  // the search will say why
      text += "unreadable\n";
    }
  };
  add(mark);
  if (const auto mask = image::mask_path_of(mark); !mask.empty()) add(mask);
  return sha256_of(std::as_bytes(std::span(text)));
}

/// What the results say, if they list what they were given.
struct Held {
  std::int64_t units = 0;
  GivenMarks given;
  std::set<std::string> found;  // and not left out
};

Held held_by(const fs::path& results) {
  if (!fs::exists(results)) return {};
  const store::Store store(results);
  if (store.header().schema != kResultsSchema || !store.has("given_mark_id") || !store.has("given_mark_sha256"))
    return {};
  const auto texts = [&](const char* name) { return std::get<std::vector<std::string>>(store.read(name).values); };
  const std::vector<std::string> found = texts("mark_id");
  return {store.units(), {texts("given_mark_id"), texts("given_mark_sha256")}, {found.begin(), found.end()}};
}

/// On rank 0: the positions in `marks` of those that are new.
std::vector<std::size_t> find_new(const fs::path& output, const std::vector<fs::path>& marks, EarlierMarks& earlier) {
  Held held = held_by(output);
  std::map<std::string, std::size_t> place_of;
  for (std::size_t i = 0; i < held.given.id.size(); ++i) place_of[held.given.id[i]] = i;
  std::vector<std::size_t> fresh;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const std::string id = id_of(marks[i]), sha256 = digest_of_mark(marks[i]);
    const auto known = place_of.find(id);
    if (known != place_of.end() && held.given.sha256[known->second] == sha256) continue;
    if (known != place_of.end() && held.found.contains(id)) {
      throw DataError(marks[i].string() + ": " + output.string() +
                      " holds what was found for another image of the id '" + id +
                      "', or for the same with another mask; choose another `output`, or give the mark another name");
    }
    if (known != place_of.end()) {
      held.given.sha256[known->second] = sha256;
    } else {
      held.given.id.push_back(id);
      held.given.sha256.push_back(sha256);
    }
    fresh.push_back(i);
    earlier.sha256.push_back(sha256);
  }
  earlier.units = held.units;
  earlier.given = std::move(held.given);
  return fresh;
}

}  // namespace

EarlierMarks earlier_marks(const comm::Communicator& comm, const fs::path& output, std::vector<fs::path>& marks) {
  EarlierMarks earlier;
  const nlohmann::json told = comm::json_from_root(comm, [&] {
    const std::vector<std::size_t> fresh = find_new(output, marks, earlier);
    return nlohmann::json{{"new", fresh}, {"units", earlier.units}};
  });
  earlier.units = told.at("units");
  if (comm.is_root()) earlier.files = marks;
  std::vector<fs::path> fresh;
  for (const auto& position : told.at("new")) fresh.push_back(marks.at(position.get<std::size_t>()));
  marks = std::move(fresh);
  return earlier;
}

std::vector<std::string> stamps_of(const EarlierMarks& earlier, const std::vector<fs::path>& marks,
                                   std::int64_t marks_per_unit) {
  std::vector<std::string> stamps(static_cast<std::size_t>(earlier.units));
  if (earlier.sha256.size() != marks.size()) return {};
  std::string text;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    text += id_of(marks[i]) + "\n" + earlier.sha256[i] + "\n";
    if (static_cast<std::int64_t>(i + 1) % marks_per_unit != 0 && i + 1 < marks.size()) continue;
    stamps.push_back(sha256_of(std::as_bytes(std::span(text))));
    text.clear();
  }
  return stamps;
}

}  // namespace outsole::retrieval
