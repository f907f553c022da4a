#include "retrieval/database.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "comm/from_root.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/id_lookup.h"
#include "core/sha256.h"
#include "match/lanes.h"

namespace outsole::retrieval {

namespace {

using match::kLanes;

// --- One database of several indexes --------------------------------------------------------------------------------

bool is_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || at::equal(a, b));
}

/// What must be the same in the indexes of a database.
nlohmann::json making_of(const IndexParameters& parameters) {
  nlohmann::json making = parameters.header().parameters;
  for (const char* own : {"exemplars", "exemplars_sha256", "like_sha256"}) making.erase(own);
  return making;
}

/// A value as a message shows it: a whole network is too much.
std::string shown(const nlohmann::json& parameters, const std::string& name) {
  if (!parameters.contains(name)) return "not known";
  return parameters[name].is_object() ? "another"
                                      : parameters[name].dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

/// The exemplars of all, by id: index and number there. Throws DataError where two have one id.
std::vector<std::pair<std::size_t, std::size_t>> in_order_of_ids(const std::vector<const OpenIndex*>& indexes) {
  std::vector<std::pair<std::size_t, std::size_t>> all;
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    for (std::size_t number = 0; number < indexes[i]->ids.size(); ++number) all.emplace_back(i, number);
  }
  const auto id_of_one = [&](const auto& one) -> const std::string& { return indexes[one.first]->ids[one.second]; };
  std::ranges::stable_sort(all, {}, id_of_one);
  std::int64_t shared = 0;
  std::string first;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (id_of_one(all[i - 1]) != id_of_one(all[i])) continue;
    if (shared++ > 0) continue;
    first = "exemplar '" + id_of_one(all[i]) + "' is in " + indexes[all[i - 1].first]->store.path().string() +
            " and in " + indexes[all[i].first]->store.path().string();
  }
  if (shared == 0) return all;
  throw DataError(first + (shared > 1 ? ", and so are " + std::to_string(shared - 1) + " others" : "") +
                  ": one database knows an exemplar once; leave an index out, or index one of them under another id");
}

/// The exemplars and blocks of all.
OpenIndex as_one(OpenIndex first, std::vector<OpenIndex> others) {
  std::vector<const OpenIndex*> indexes = {&first};
  for (const OpenIndex& other : others) indexes.push_back(&other);
  const auto order = in_order_of_ids(indexes);
  std::vector<std::vector<std::int32_t>> number_of(indexes.size());  // by index and number there
  for (std::size_t i = 0; i < indexes.size(); ++i) number_of[i].resize(indexes[i]->ids.size());
  for (std::size_t number = 0; number < order.size(); ++number) {
    number_of[order[number].first][order[number].second] = narrow<std::int32_t>(number);
  }
  OpenIndex all = {std::move(first.store), first.parameters,           {}, {}, {}, {},
                   first.channels,         std::move(first.extractor), {}, {}, {}, {}};
  all.parameters.exemplars = std::ssize(order);
  all.lane_of_exemplar.resize(order.size());
  const bool knows_equals = std::ranges::none_of(indexes, [](const OpenIndex* one) { return one->equal_to.empty(); });
  for (const auto& [i, number] : order) {
    const OpenIndex& from = *indexes[i];
    all.ids.push_back(from.ids[number]);
    all.width_px.push_back(from.width_px[number]);
    all.mirrored.push_back(from.mirrored[number]);
    if (knows_equals) all.equal_to.push_back(number_of[i][static_cast<std::size_t>(from.equal_to[number])]);
  }
  for (std::size_t i = 0; i < indexes.size(); ++i) {
    for (const BlockPlace& place : indexes[i]->blocks) all.blocks.push_back({narrow<std::int32_t>(i), place.row});
    for (const std::int32_t there : indexes[i]->exemplar_of_lane) {
      const std::int32_t number = there < 0 ? -1 : number_of[i][static_cast<std::size_t>(there)];
      if (number >= 0) all.lane_of_exemplar[static_cast<std::size_t>(number)] = std::ssize(all.exemplar_of_lane);
      all.exemplar_of_lane.push_back(number);
    }
  }
  for (OpenIndex& other : others) all.further.push_back(std::move(other.store));
  return all;
}

void require_fit(const OpenIndex& other, const OpenIndex& first) {
  const std::string misfit = misfit_of(other, first), name = first.store.path().string();
  if (misfit.empty()) return;
  throw DataError(other.store.path().string() + ": does not fit " + name + ": " + misfit +
                  "; indexes that are one database are made alike: `outsole index --like " + name + "`");
}

// --- Exemplars that are left out ------------------------------------------------------------------------------------

/// A list of ids as rank 0 read it.
struct IdList {
  std::string file, sha256;
  std::vector<std::string> ids;
};

std::vector<std::string> ids_in(std::string_view text) {
  std::vector<std::string> ids;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, std::min(end, text.substr(0, end).find('#')));
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view kBlank = " \t\r";
    const std::size_t begin = line.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) continue;
    ids.emplace_back(line.substr(begin, line.find_last_not_of(kBlank) + 1 - begin));
  }
  return ids;
}

/// Nothing where no list is given. Collective.
std::optional<IdList> read_id_list(const comm::Communicator& comm, const std::filesystem::path& path) {
  if (path.empty()) return std::nullopt;
  const std::string text = comm::from_root(comm, [&] { return read_text_file(path); });
  IdList list = {path.string(), sha256_of(std::as_bytes(std::span(text))), ids_in(text)};
  comm.together([&] {
    if (list.ids.empty()) throw DataError(list.file + ": names no exemplar; it is a text file of an id a line");
  });
  return list;
}

/// Of each exemplar whether the list names it; ids that are none are added to `unknown`.
std::vector<bool> named_by(const IdList& list, const IdLookup& lookup, std::size_t exemplars,
                           std::vector<std::string>& unknown) {
  std::vector<bool> named(exemplars, false);
  for (const std::string& id : list.ids) {
    try {
      const auto number = lookup.find(id);
      if (number) named[static_cast<std::size_t>(*number)] = true;
      if (!number) unknown.push_back(id);
    } catch (const DataError& error) {
      throw DataError(list.file + ": " + error.what());
    }
  }
  return named;
}

std::string some_of(const std::vector<std::string>& ids) {
  constexpr std::size_t kTold = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(kTold, ids.size()); ++i) text += (i > 0 ? ", '" : "'") + ids[i] + "'";
  return text + (ids.size() > kTold ? ", ... (" + std::to_string(ids.size()) + " in all)" : "");
}

/// Leaves in the database the exemplars that are `kept`, which get new numbers in their order.
void keep_only(OpenIndex& index, const std::vector<bool>& kept) {
  std::vector<std::int32_t> number_of(kept.size(), -1), first_equal(kept.size(), -1), equal_to;
  std::int32_t count = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    const auto to = static_cast<std::size_t>(count);
    if (!index.equal_to.empty()) {  // the first of equal pixels may be left out
      std::int32_t& first = first_equal[static_cast<std::size_t>(index.equal_to[i])];
      if (first < 0) first = count;
      equal_to.push_back(first);
    }
    if (to != i) index.ids[to] = std::move(index.ids[i]);
    index.width_px[to] = index.width_px[i];
    index.mirrored[to] = index.mirrored[i];
    number_of[i] = count++;
  }
  const auto remaining = static_cast<std::size_t>(count);
  index.ids.resize(remaining);
  index.width_px.resize(remaining);
  index.mirrored.resize(remaining);
  index.equal_to = std::move(equal_to);
  index.parameters.exemplars = count;

  std::vector<BlockPlace> blocks;
  std::vector<std::int32_t> exemplar_of_lane;
  index.lane_of_exemplar.assign(remaining, 0);
  for (std::size_t block = 0; block < index.blocks.size(); ++block) {
    std::array<std::int32_t, kLanes> of_block;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::int32_t before = index.exemplar_of_lane[block * kLanes + lane];
      of_block[lane] = before < 0 ? -1 : number_of[static_cast<std::size_t>(before)];
      if (of_block[lane] < 0) continue;
      index.lane_of_exemplar[static_cast<std::size_t>(of_block[lane])] =
          std::ssize(exemplar_of_lane) + static_cast<std::int64_t>(lane);
    }
    if (std::ranges::all_of(of_block, [](std::int32_t number) { return number < 0; })) continue;
    blocks.push_back(index.blocks[block]);
    exemplar_of_lane.insert(exemplar_of_lane.end(), of_block.begin(), of_block.end());
  }
  index.blocks = std::move(blocks);
  index.exemplar_of_lane = std::move(exemplar_of_lane);
}

/// Every rank; rank 0 `warns`.
void leave_out(OpenIndex& index, const std::optional<IdList>& wanted, const std::optional<IdList>& withdrawn,
               bool warns) {
  if (!wanted && !withdrawn) return;
  const IdLookup lookup(index.ids, "exemplar");
  std::vector<bool> kept(index.ids.size(), true);
  std::vector<std::string> unknown;
  if (wanted) {
    kept = named_by(*wanted, lookup, kept.size(), unknown);
    if (!unknown.empty()) throw DataError(wanted->file + ": not among the exemplars: " + some_of(unknown));
    index.choice["exemplars_list_sha256"] = wanted->sha256;
    index.choice["exemplars_listed"] = std::count(kept.begin(), kept.end(), true);
  }
  if (withdrawn) {
    const std::vector<bool> named = named_by(*withdrawn, lookup, kept.size(), unknown);
    if (warns && !unknown.empty()) {
      spdlog::warn("{}: not among the exemplars, so not left out: {}", withdrawn->file, some_of(unknown));
    }
    std::int64_t left_out = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      left_out += kept[i] && named[i];
      kept[i] = kept[i] && !named[i];
    }
    index.choice["withdrawn_sha256"] = withdrawn->sha256;
    index.choice["withdrawn"] = left_out;
  }
  if (std::find(kept.begin(), kept.end(), true) == kept.end()) {
    throw DataError((withdrawn ? withdrawn->file : wanted->file) + ": leaves no exemplar to be searched");
  }
  keep_only(index, kept);
}

}  // namespace

std::string misfit_of(const OpenIndex& other, const OpenIndex& first) {
  const nlohmann::json here = making_of(other.parameters), there = making_of(first.parameters);
  std::vector<std::string> names;
  for (const nlohmann::json* side : {&there, &here}) {
    for (const auto& [name, value] : side->items()) {
      const bool differs = !here.contains(name) || !there.contains(name) || here[name] != there[name];
      if (differs && std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  // What was chosen explains what follows from it.
  constexpr std::array kChosen = {"extractor",      "weights_convention", "weights_identity", "metric_sha256",
                                  "image_scale",    "frame_height_px",    "frame_width_px",   "border_cells",
                                  "precision_bits", "exemplar_dpi",       "mean_grey"};
  for (const char* chosen : kChosen) {
    if (std::ranges::find(names, chosen) == names.end()) continue;
    return "its " + std::string(chosen) + " is " + shown(here, chosen) + ", not " + shown(there, chosen);
  }
  if (!names.empty())
    return "its " + names.front() + " is " + shown(here, names.front()) + ", not " + shown(there, names.front());
  const match::ChannelModel &a = other.channels, &b = first.channels;
  if (!is_equal(a.white, b.white)) return "its channels answer white paper otherwise";
  if (!is_equal(a.flat_std, b.flat_std) || !is_equal(a.mean, b.mean) || !is_equal(a.deviation, b.deviation))
    return "the statistics of its channels are those of other exemplars";
  return "";
}

OpenIndex open_database(const comm::Communicator& comm, const DatabaseOptions& options, const std::string& weights_path,
                        at::Device device) {
  comm.together([&] {
    if (options.indexes.empty()) throw UsageError("`index`: at least one");
  });
  std::vector<store::Store> stores;
  for (const auto& path : options.indexes) {
    stores.push_back(store::Store::open_together(comm, path, kIndexSchema, kToldOfIndex));
  }
  const std::optional<IdList> wanted = read_id_list(comm, options.exemplars_list),
                              withdrawn = read_id_list(comm, options.withdrawn);
  std::optional<OpenIndex> index;
  comm.together([&] {
    index.emplace(open_index(std::move(stores.front()), weights_path, device));
    std::vector<OpenIndex> others;
    for (std::size_t i = 1; i < stores.size(); ++i) {
      others.push_back(read_index(std::move(stores[i])));
      require_fit(others.back(), *index);
    }
    if (!others.empty()) index.emplace(as_one(std::move(*index), std::move(others)));
    leave_out(*index, wanted, withdrawn, comm.is_root());
  });
  return std::move(*index);
}

OpenIndex open_plain_index(const comm::Communicator& comm, const std::vector<std::filesystem::path>& paths,
                           const std::string& weights_path, at::Device device) {
  OpenIndex index = open_database(comm, {paths, {}, {}}, weights_path, device);
  comm.together([&] {
    if (index.parameters.metric) {
      throw UsageError("`index` " + index.store.path().string() +
                       ": its maps are projected by a learned metric; learn from one that holds them as they are");
    }
  });
  return index;
}

}  // namespace outsole::retrieval
