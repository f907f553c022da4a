#include "retrieval/fuse_results.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/checked.h"
#include "core/errors.h"
#include "retrieval/evaluate_retrieval.h"
#include "retrieval/score_meaning.h"
#include "retrieval/search_results.h"
#include "store/make_store.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;

constexpr std::int64_t kMarksOfUnit = 64;

/// One of the searches, and where the marks and exemplars of the fused results stand in it.
struct Search {
  store::Store store;
  std::vector<std::int64_t> row_of_mark;
  std::vector<std::size_t> place_of_exemplar;
};

struct Fusion {
  std::vector<Search> searches;
  std::vector<double> shares;  // sum to 1
  std::vector<std::string> mark_ids, exemplar_ids;
  std::vector<std::string> left_out;
};

template <typename T>
std::vector<T> values_of(const store::Store& store, const std::string& dataset, std::int64_t row) {
  return std::get<std::vector<T>>(store.read(dataset, row, 1).values);
}

std::map<std::string, std::int64_t> places_of(const std::vector<std::string>& ids) {
  std::map<std::string, std::int64_t> places;
  for (std::size_t i = 0; i < ids.size(); ++i) places[ids[i]] = narrow<std::int64_t>(i);
  return places;
}

// --- Whether the searches fit each other ----------------------------------------------------------------------------

std::vector<std::size_t> places_of_exemplars(const store::Store& store, const std::vector<std::string>& wanted,
                                             const store::Store& first) {
  const auto places = places_of(read_ids(store, "exemplar_id"));
  std::vector<std::size_t> found;
  for (const std::string& id : wanted) {
    const auto place = places.find(id);
    if (place == places.end()) {
      throw DataError(fmt::format("{}: exemplar '{}' was not searched, but in {} it was", store.path().string(), id,
                                  first.path().string()));
    }
    found.push_back(static_cast<std::size_t>(place->second));
  }
  if (places.size() != wanted.size()) {
    throw DataError(fmt::format("{}: {} exemplars were searched, in {} {}", store.path().string(), places.size(),
                                first.path().string(), wanted.size()));
  }
  return found;
}

/// Refuses marks that are other pictures, or were seen larger or smaller, than the first search had them: poses and
/// masks of one would not be the other's.
void check_marks(const Search& search, const Search& first, const std::vector<std::string>& ids) {
  const auto refuse = [&](std::size_t mark, const std::string& what) {
    throw DataError(fmt::format("{}: mark '{}' {} in {}", search.store.path().string(), ids[mark], what,
                                first.store.path().string()));
  };
  const auto at = [](const auto& values, const Search& one, std::size_t mark) {
    return values.at(static_cast<std::size_t>(one.row_of_mark[mark]));
  };
  for (const char* digest : {"mark_sha256", "mask_sha256"}) {
    if (!search.store.has(digest) || !first.store.has(digest)) continue;
    const auto own = read_ids(search.store, digest), of_first = read_ids(first.store, digest);
    for (std::size_t mark = 0; mark < ids.size(); ++mark) {
      if (at(own, search, mark) == at(of_first, first, mark)) continue;
      refuse(mark, std::string(digest) == "mark_sha256" ? "is of another picture than" : "has another mask than");
    }
  }
  constexpr double kRounding = 1e-9;
  const auto scales_of = [](const Search& one) {
    return std::get<std::vector<double>>(one.store.read("scale").values);
  };
  const auto own = scales_of(search), of_first = scales_of(first);
  for (std::size_t mark = 0; mark < ids.size(); ++mark) {
    const double scale = at(own, search, mark), first_scale = at(of_first, first, mark);
    if (std::abs(scale - first_scale) <= kRounding * first_scale) continue;
    refuse(mark, fmt::format("was scaled by {:.6g}, but by {:.6g}", scale, first_scale));
  }
}

/// The marks that all searches hold, in the order of the first, and those that some do not.
void match_marks(Fusion& fusion) {
  std::vector<std::map<std::string, std::int64_t>> rows;
  std::map<std::string, std::size_t> holders;
  for (const Search& search : fusion.searches) {
    rows.push_back(places_of(read_ids(search.store, "mark_id")));
    for (const auto& [id, row] : rows.back()) ++holders[id];
  }
  for (const std::string& id : read_ids(fusion.searches.front().store, "mark_id")) {
    if (holders[id] < fusion.searches.size()) continue;
    fusion.mark_ids.push_back(id);
    for (std::size_t i = 0; i < rows.size(); ++i) fusion.searches[i].row_of_mark.push_back(rows[i][id]);
  }
  for (const auto& [id, count] : holders) {
    if (count < fusion.searches.size()) fusion.left_out.push_back(id);
  }
  if (fusion.mark_ids.empty()) throw DataError("no mark is in all of the `results`");
}

std::vector<double> as_shares(const FuseOptions& options) {
  const std::size_t searches = options.results.size();
  if (searches < 2) throw UsageError("`results`: two searches at least are wanted to be made one");
  std::vector<double> shares = options.shares.empty() ? std::vector<double>(searches, 1.0) : options.shares;
  if (shares.size() != searches) {
    throw UsageError(fmt::format("`shares`: {} are given, for {} `results`", shares.size(), searches));
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) {
    if (!(share > 0) || !std::isfinite(share / sum)) throw UsageError("`shares`: each must be more than 0");
    share /= sum;
  }
  return shares;
}

Fusion open_searches(const comm::Communicator& comm, const FuseOptions& options) {
  Fusion fusion;
  comm.together([&] { fusion.shares = as_shares(options); });
  for (const auto& path : options.results) {
    fusion.searches.push_back(
        {store::Store::open_together(comm, path, kResultsSchema, {"mark_id", "exemplar_id"}), {}, {}});
  }
  comm.together([&] {
    Search& first = fusion.searches.front();
    fusion.exemplar_ids = read_ids(first.store, "exemplar_id");
    for (Search& search : fusion.searches) {
      if (!search.store.has("score")) {
        throw DataError(search.store.path().string() +
                        ": holds only each mark's best exemplars; search with `all_scores` to fuse it");
      }
      search.place_of_exemplar = places_of_exemplars(search.store, fusion.exemplar_ids, first.store);
    }
    match_marks(fusion);
    if (options.strict && !fusion.left_out.empty()) {
      throw DataError("mark '" + fusion.left_out.front() + "' is not in all of the `results`");
    }
    if (!comm.is_root()) return;
    for (const Search& search : fusion.searches) check_marks(search, first, fusion.mark_ids);
  });
  return fusion;
}

// --- A mark ---------------------------------------------------------------------------------------------------------

/// What one search found for one mark, in the order of the fused exemplars.
template <typename T>
std::vector<T> in_order(const Search& search, const char* dataset, std::size_t mark) {
  const auto found = values_of<T>(search.store, dataset, search.row_of_mark[mark]);
  std::vector<T> ordered;
  for (const std::size_t place : search.place_of_exemplar) ordered.push_back(found.at(place));
  return ordered;
}

/// Scores and poses of every exemplar of one mark.
struct FusedMark {
  std::vector<float> score;
  std::vector<double> angle_deg, y_px, x_px;
  std::vector<std::uint8_t> mirrored;
};

FusedMark fuse_mark(const Fusion& fusion, std::size_t mark, FusedBy by) try {
  std::vector<std::vector<float>> scores;
  std::vector<FusedMark> found;
  for (const Search& search : fusion.searches) {
    scores.push_back(in_order<float>(search, "score", mark));
    FusedMark poses{{},
                    in_order<double>(search, "angle_deg", mark),
                    in_order<double>(search, "y_px", mark),
                    in_order<double>(search, "x_px", mark),
                    {}};
    poses.mirrored = search.store.has("mirrored") ? in_order<std::uint8_t>(search, "mirrored", mark)
                                                  : std::vector<std::uint8_t>(poses.y_px.size(), 0);
    found.push_back(std::move(poses));
  }
  FusedMark fused;
  const std::vector<FusedScore> of_exemplars = fuse_scores(scores, fusion.shares, by);
  for (std::size_t i = 0; i < of_exemplars.size(); ++i) {
    const FusedMark& pose = found[of_exemplars[i].search];
    fused.score.push_back(static_cast<float>(of_exemplars[i].score));
    fused.angle_deg.push_back(pose.angle_deg[i]);
    fused.y_px.push_back(pose.y_px[i]);
    fused.x_px.push_back(pose.x_px[i]);
    fused.mirrored.push_back(pose.mirrored[i]);
  }
  return fused;
} catch (const DataError& error) {
  throw DataError(fmt::format("mark '{}': {}", fusion.mark_ids[mark], error.what()));
}

/// Places of the best, best first.
std::vector<std::int32_t> best_of(const std::vector<float>& score, std::int64_t count) {
  std::vector<Candidate> candidates;
  for (const float of_exemplar : score) {
    candidates.push_back({narrow<std::int32_t>(std::ssize(candidates)), {of_exemplar, {}}});
  }
  keep_best(candidates, count);
  std::ranges::sort(candidates, is_better);
  std::vector<std::int32_t> places;
  for (const Candidate& candidate : candidates) places.push_back(candidate.exemplar);
  return places;
}

template <typename T>
store::Column table(std::int64_t columns, std::vector<T> values) {
  return {{std::ssize(values) / columns, columns}, std::move(values), {}};
}

/// Adds the elements of `values` at `places`, or all.
template <typename T>
void append(std::vector<T>& all, const std::vector<T>& values, const std::vector<std::int32_t>* places = nullptr) {
  if (places == nullptr)
    all.insert(all.end(), values.begin(), values.end());
  else
    for (const std::int32_t place : *places) all.push_back(values[static_cast<std::size_t>(place)]);
}

void append(FusedMark& all, const FusedMark& one, const std::vector<std::int32_t>* places = nullptr) {
  append(all.score, one.score, places);
  append(all.angle_deg, one.angle_deg, places);
  append(all.y_px, one.y_px, places);
  append(all.x_px, one.x_px, places);
  append(all.mirrored, one.mirrored, places);
}

/// What the first search tells of the marks themselves.
store::Columns columns_of_marks(const Search& first, std::size_t begin, std::size_t end) {
  store::Columns columns;
  for (const char* dataset :
       {"mark_id", "mark_sha256", "scale", "mark_dpi", "mask_sha256", "mask_png", "support_share", "support_box_px"}) {
    if (!first.store.has(dataset)) continue;
    store::Columns rows;
    for (std::size_t mark = begin; mark < end; ++mark) {
      store::Columns row = {{dataset, first.store.read(dataset, first.row_of_mark[mark], 1)}};
      if (rows.empty())
        rows = std::move(row);
      else
        append_rows(rows, std::move(row));
    }
    columns.merge(rows);
  }
  if (!columns.contains("mark_dpi")) {  // version 1 did not tell
    columns["mark_dpi"] = {{narrow<std::int64_t>(end - begin)}, std::vector<double>(end - begin, 0.0), {}};
  }
  return columns;
}

store::Columns fuse_marks(const Fusion& fusion, std::size_t begin, std::size_t end, FusedBy by, std::int64_t top) {
  FusedMark lists, all;
  std::vector<std::int32_t> exemplar;
  for (std::size_t mark = begin; mark < end; ++mark) {
    const FusedMark fused = fuse_mark(fusion, mark, by);
    const std::vector<std::int32_t> best = best_of(fused.score, top);
    append(lists, fused, &best);
    append(all, fused);
    exemplar.insert(exemplar.end(), best.begin(), best.end());
  }
  store::Columns columns = columns_of_marks(fusion.searches.front(), begin, end);
  columns["top_exemplar"] = table(top, std::move(exemplar));
  columns["top_score"] = table(top, std::move(lists.score));
  columns["top_angle_deg"] = table(top, std::move(lists.angle_deg));
  columns["top_y_px"] = table(top, std::move(lists.y_px));
  columns["top_x_px"] = table(top, std::move(lists.x_px));
  columns["top_mirrored"] = table(top, std::move(lists.mirrored));
  const std::int64_t exemplars = std::ssize(fusion.exemplar_ids);
  columns["score"] = table(exemplars, std::move(all.score));
  columns["angle_deg"] = table(exemplars, std::move(all.angle_deg));
  columns["y_px"] = table(exemplars, std::move(all.y_px));
  columns["x_px"] = table(exemplars, std::move(all.x_px));
  columns["mirrored"] = table(exemplars, std::move(all.mirrored));
  return columns;
}

// --- What the results say of themselves -----------------------------------------------------------------------------

bool all_have(const std::vector<Search>& searches, const std::string& key, const json& value) {
  return std::ranges::all_of(searches, [&](const Search& search) {
    const json& parameters = search.store.header().parameters;
    return parameters.contains(key) && parameters.at(key) == value;
  });
}

/// What all searches have in common as they have it; under `fused` how each counts, and what is its own.
json header_parameters(const Fusion& fusion, FusedBy by, std::int64_t top) {
  json parameters = json::object(), fused = json::array(), digests = json::array();
  for (std::size_t i = 0; i < fusion.searches.size(); ++i) {
    const store::Store& store = fusion.searches[i].store;
    json own = json::object();
    for (const auto& [key, value] : store.header().parameters.items()) {
      if (key == "top" || key == "all_scores" || key == "results_sha256") continue;
      (all_have(fusion.searches, key, value) ? parameters : own)[key] = value;
    }
    own["share"] = fusion.shares[i];
    fused.push_back(std::move(own));
    digests.push_back(store.sha256());
  }
  parameters.update({{"fused", std::move(fused)},
                     {"fused_by", by == FusedBy::kLevel ? "level" : "score"},
                     {"results_sha256", std::move(digests)},
                     {"top", top},
                     {"all_scores", true}});
  return parameters;
}

}  // namespace

FusedBy fused_by_named(const std::string& name) {
  if (name == "level") return FusedBy::kLevel;
  if (name == "score") return FusedBy::kScore;
  throw UsageError("expected level or score");
}

std::vector<FusedScore> fuse_scores(std::span<const std::vector<float>> scores_of_searches,
                                    std::span<const double> shares, FusedBy by) {
  ensure(!scores_of_searches.empty() && scores_of_searches.size() == shares.size(), "each search has its share");
  std::vector<FusedScore> fused(scores_of_searches.front().size());
  std::vector<double> most(fused.size());
  for (std::size_t search = 0; search < shares.size(); ++search) {
    const std::vector<float>& scores = scores_of_searches[search];
    ensure(scores.size() == fused.size(), "all searches score the same exemplars");
    if (!std::ranges::all_of(scores, [](float score) { return std::isfinite(score); })) {
      throw DataError("a search has no score of some exemplars, as after a first pass (`coarse`)");
    }
    const ScoreLevel level = level_of(scores);
    if (by == FusedBy::kLevel && !(level.spread > 0)) {
      throw DataError("half of a search's scores are equal, so have no level: fuse them by score");
    }
    const double unit = by == FusedBy::kLevel ? level.spread : 1;
    for (std::size_t i = 0; i < fused.size(); ++i) {
      const double above = shares[search] * (scores[i] - level.median) / unit;
      fused[i].score += by == FusedBy::kLevel ? above : shares[search] * scores[i];
      if (search == 0 || above > most[i]) {
        most[i] = above;
        fused[i].search = search;
      }
    }
  }
  return fused;
}

FuseSummary fuse(const comm::Communicator& comm, const FuseOptions& options) {
  const Fusion fusion = open_searches(comm, options);
  const std::int64_t marks = std::ssize(fusion.mark_ids), exemplars = std::ssize(fusion.exemplar_ids);
  const std::int64_t top = std::min(options.top, exemplars);
  store::StoreJob job;
  job.output = options.output;
  job.header = {kResultsSchema, kResultsVersion, header_parameters(fusion, options.by, top)};
  job.units = divide_up(marks, kMarksOfUnit);
  job.doing = "fusing";
  job.command_line = options.command_line;
  job.leaves_nothing_after_bad_data = true;
  job.make = [&](std::int64_t unit, store::Columns) {
    return fuse_marks(fusion, static_cast<std::size_t>(unit * kMarksOfUnit),
                      static_cast<std::size_t>(std::min(marks, (unit + 1) * kMarksOfUnit)), options.by, top);
  };
  job.whole = [&]() -> store::Columns { return {{"exemplar_id", {{exemplars}, fusion.exemplar_ids, {}}}}; };
  job.conclude = [&](bool) {
    if (!options.csv.empty()) write_candidates_csv(options.output, options.csv);
    json details = job.header.parameters;
    details["marks"] = marks;
    details["marks_left_out"] = fusion.left_out;
    for (const auto& path : options.results) details["results"].push_back(path.string());
    return details;
  };
  const bool was_finished = store::make_store(comm, job);
  return {marks, exemplars, fusion.left_out, was_finished};
}

}  // namespace outsole::retrieval
