#include "retrieval/search.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/files.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "retrieval/search_results.h"
#include "retrieval/search_setup.h"
#include "retrieval/team_search.h"
#include "store/make_store.h"

namespace outsole::retrieval {

namespace {

/// Refuses a table that could not be written once the search is done.
void check_csv_folder(const std::filesystem::path& csv) {
  if (csv.has_parent_path() && !std::filesystem::is_directory(csv.parent_path())) {
    throw EnvironmentError(csv.string() + ": the folder does not exist; create it or choose another `csv`");
  }
}

/// Under --strict all marks are looked at before the first is searched, so that a bad one leaves nothing behind.
/// Ranks share the marks. Collective.
void check_marks(const comm::Communicator& comm, const SearchOptions& options, const SearchSetup& setup) {
  const comm::UnitRange mine = comm::units_of(std::ssize(setup.marks), comm.rank(), comm.size());
  const OpenIndex& index = setup.index;
  comm.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const auto& file = setup.marks[static_cast<std::size_t>(i)];
      const ScaledMark mark = read_scaled_mark(file, index.parameters, options.protocol);
      if (useful_flops_per_exemplar(mark, *index.extractor, index.parameters, options.protocol) == 0) {
        throw no_support_left(file);
      }
    }
  });
}

/// What decides the results, whatever marks they are of: the header of their store.
nlohmann::json header_parameters(const SearchOptions& options, const SearchSetup& setup) {
  nlohmann::json parameters = {{"index_sha256", setup.index.sha256()},
                               {"angles_deg", options.protocol.angles_deg},
                               {"stride_px", options.protocol.stride_px},
                               {"erosion_fraction", options.protocol.erosion_fraction},
                               {"similarity", match::name_of(options.protocol.similarity)},
                               {"arithmetic", setup.path.arithmetic()},
                               {"top", std::min(options.top, setup.index.parameters.exemplars)},
                               {"all_scores", options.all_scores}};
  parameters.update(setup.index.choice);
  if (!setup.metrics.sha256.empty()) parameters["metric_sha256"] = setup.metrics.sha256;
  if (options.protocol.as_they_lie) {
    parameters["as_they_lie"] = true;
    parameters["angles_deg"] = {0.0};
    for (const char* unused : {"stride_px", "erosion_fraction"}) parameters.erase(unused);
  }
  if (setup.index.parameters.exemplar_dpi > 0) parameters["exemplar_dpi"] = setup.index.parameters.exemplar_dpi;
  if (options.protocol.mark_dpi) parameters["mark_dpi"] = *options.protocol.mark_dpi;
  parameters.update(parameters_of_marks(options.protocol));
  if (options.coarse > 0) parameters["coarse"] = options.coarse;
  if (options.compute_precision != "auto" && options.compute_precision != "32") {
    parameters["compute_precision"] = options.compute_precision;
  }
  return parameters;
}

/// Every rank's findings to root, which gets the summary. Collective.
SearchSummary gather_summary(const comm::Communicator& comm, SearchSummary summary) {
  using nlohmann::json;
  const auto all = comm.gather(json(summary.skipped).dump(-1, ' ', false, json::error_handler_t::replace));
  summary.skipped.clear();
  for (const std::string& part : all) {
    for (const auto& reason : json::parse(part)) summary.skipped.push_back(reason.get<std::string>());
  }
  CoarseRecall& recall = summary.coarse_recall;
  for (std::int64_t* count : {&recall.marks, &recall.first_kept, &recall.top, &recall.top_kept}) {
    *count = comm.sum(*count);
  }
  return summary;
}

/// The marks of some units, by position.
std::vector<std::int64_t> marks_of(const SearchSetup& setup, std::span<const std::int64_t> units) {
  std::vector<std::int64_t> marks;
  for (const std::int64_t unit : units) {
    for (std::int64_t i = 0; i < std::ssize(setup.marks_of_unit(unit)); ++i) {
      marks.push_back(unit * setup.marks_per_unit + i);
    }
  }
  return marks;
}

/// Units whose marks are judged by one metric stand together: a team keeps its exemplars as that projects them.
std::vector<std::int64_t> by_metric(const SearchSetup& setup, std::span<const std::int64_t> units) {
  std::vector<std::int64_t> ordered(units.begin(), units.end());
  std::ranges::stable_sort(ordered, {}, [&](std::int64_t unit) {
    return setup.metrics.of_mark[static_cast<std::size_t>(unit * setup.marks_per_unit)];
  });
  return ordered;
}

/// Some units, whose marks come next in the team's search; where blocks are streamed one pass over them serves all.
/// The team's root writes them. Collective over the team.
void search_turn(const comm::Communicator& team, const SearchOptions& options, const SearchSetup& setup,
                 std::span<const std::int64_t> units, TeamSearch& search, store::StoreWriter& writer) {
  comm::now_doing("searching unit " + std::to_string(units.front()));
  std::vector<MarkResult> results = search.search_next(std::ssize(marks_of(setup, units)));
  team.together([&] {
    if (!team.is_root()) return;
    for (const std::int64_t unit : units) {
      std::vector<MarkResult> of_unit;
      for (MarkResult& result : results) {
        if (result.position / setup.marks_per_unit == unit) of_unit.push_back(std::move(result));
      }
      writer.write_unit(setup.earlier.units + unit,
                        result_columns(of_unit, setup.index, std::min(options.top, setup.index.parameters.exemplars),
                                       options.all_scores, options.coarse > 0));
    }
  });
}

/// Searches the missing units and writes each. Every team takes its part of them, turn by turn, and all teams agree
/// after each turn. Collective; the summary is rank 0's.
SearchSummary search_units(const comm::Communicator& comm, const SearchOptions& options, const SearchSetup& setup,
                           std::span<const std::int64_t> missing, store::StoreWriter& writer) {
  std::vector<std::int64_t> own_missing;  // of these marks' units
  for (const std::int64_t unit : missing) own_missing.push_back(unit - setup.earlier.units);
  const std::vector<std::int64_t> pending = by_metric(setup, own_missing);
  const int teams = teams_for(setup, options, std::ssize(pending), comm.size()).count;
  const int own_team = comm::team_of(comm.rank(), teams, comm.size());
  const comm::Communicator team = comm.split(own_team);
  const comm::UnitRange mine = comm::units_of(std::ssize(pending), own_team, teams);
  const auto units =
      std::span(pending).subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size()));
  std::optional<TeamSearch> search;
  comm.together_by_teams([&] { search.emplace(team, options, setup, marks_of(setup, units)); });

  const auto at_a_time =
      static_cast<std::size_t>(std::max<std::int64_t>(1, search->marks_at_a_time() / setup.marks_per_unit));
  const std::int64_t turns = comm.max(divide_up(std::ssize(units), static_cast<std::int64_t>(at_a_time)));
  Progress progress("searching", setup.marks_per_unit == 1 ? "marks" : "units", setup.units, comm.is_root(),
                    setup.units - std::ssize(pending));
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    const std::size_t begin = std::min(static_cast<std::size_t>(turn) * at_a_time, units.size());
    const auto of_turn = units.subspan(begin, std::min(at_a_time, units.size() - begin));
    comm.together_by_teams([&] {
      if (!of_turn.empty()) search_turn(team, options, setup, of_turn, *search, writer);
    });
    progress.advance(comm.sum(team.is_root() ? std::ssize(of_turn) : 0));
    if (turn + 1 < turns) store::leave_if_asked_to_stop(comm);
  }
  return gather_summary(comm, search->summary());
}

/// Marks that an earlier run had left out are named, too. Results without any mark are no results: they are removed,
/// and DataError says why.
void add_marks_skipped_before(const store::Store& results, const std::vector<std::filesystem::path>& files,
                              SearchSummary& summary) {
  const auto ids = std::get<std::vector<std::string>>(results.read("mark_id").values);
  const auto given = std::get<std::vector<std::string>>(results.read("given_mark_id").values);
  const std::set<std::string> found(ids.begin(), ids.end()), known(given.begin(), given.end());
  for (const auto& file : files) {
    if (!known.contains(id_of(file))) {
      throw DataError(results.path().string() + ": another job has added other marks meanwhile; run the command again");
    }
    const auto names_file = [&](const std::string& reason) { return reason.starts_with(file.string() + ":"); };
    if (found.contains(id_of(file)) || std::any_of(summary.skipped.begin(), summary.skipped.end(), names_file))
      continue;
    summary.skipped.push_back(file.string() + ": left out by an earlier run of this command");
  }
  if (!ids.empty()) return;
  store::remove_store(results.path());
  throw DataError("no mark could be searched; the first: " + summary.skipped.front());
}

/// The provenance of the results that marks are being added to, the oldest first: what made each of their rows.
nlohmann::json earlier_runs(const std::filesystem::path& results) {
  const std::filesystem::path path = provenance_path(results);
  nlohmann::json runs = nlohmann::json::array();
  if (!std::filesystem::exists(path)) return runs;
  nlohmann::json last = parse_json(read_text_file(path));
  if (!last.is_object() || !last.contains("details") || !last["details"].is_object()) return runs;
  if (const auto before = last["details"].find("earlier_runs"); before != last["details"].end()) {
    if (before->is_array()) runs = *before;
    last["details"].erase(before);
  }
  runs.push_back(std::move(last));
  return runs;
}

/// The indexes and lists by name, for provenance.
nlohmann::json database_of(const SearchOptions& options, const OpenIndex& index) {
  nlohmann::json database = {{"indexes", nlohmann::json::array()}, {"exemplars", index.parameters.exemplars}};
  for (std::size_t i = 0; i < options.indexes.size(); ++i) {
    const store::Store& store = index.store_of({narrow<std::int32_t>(i), 0});
    database["indexes"].push_back({{"file", store.path().string()}, {"sha256", store.sha256()}});
  }
  if (!options.exemplars_list.empty()) database["exemplars_list"] = options.exemplars_list.string();
  if (!options.withdrawn.empty()) database["withdrawn_list"] = options.withdrawn.string();
  return database;
}

/// The details of the provenance of finished results, and their table. Rank 0 only.
nlohmann::json conclude(const SearchOptions& options, const SearchSetup& setup, const nlohmann::json& parameters,
                        SearchSummary& summary) {
  const store::Store results(options.output, kResultsSchema);
  summary.marks = results.rows();
  summary.files = std::ssize(setup.earlier.files);
  summary.marks_before = setup.earlier.units == 0 ? 0 : summary.files - std::ssize(setup.marks);
  summary.not_read = setup.not_read;
  add_marks_skipped_before(results, setup.earlier.files, summary);
  summary.exemplar_dpi = setup.index.parameters.exemplar_dpi;
  summary.resolutions = resolutions_of(results, summary.exemplar_dpi);
  summary.marks_account = account_of_marks(results);
  if (!options.csv.empty()) write_candidates_csv(options.output, options.csv);
  nlohmann::json details = parameters;
  details["database"] = database_of(options, setup.index);
  details["marks"] = summary.marks;
  if (setup.earlier.units > 0 && !summary.was_finished) {
    details["marks_added"] = setup.marks.size();
    details["earlier_runs"] = earlier_runs(options.output);
  }
  if (!summary.was_finished) details["searched_by"] = setup.path.description();
  details["resolutions"] = json_of(summary.resolutions);
  details["masks"] = summary.marks_account.masks;
  details["skipped"] = summary.skipped;
  details["account"] = account_of(setup.earlier.files.size(), setup.not_read);
  return details;
}

}  // namespace

std::vector<MarkResolution> resolutions_of(const store::Store& results, double exemplar_dpi) {
  if (!results.has("mark_dpi")) return {};
  const auto dpi_of_marks = std::get<std::vector<double>>(results.read("mark_dpi").values);
  std::map<double, std::int64_t> marks_of_dpi;
  for (const double dpi : dpi_of_marks) ++marks_of_dpi[dpi];
  std::vector<MarkResolution> resolutions;
  for (const auto& [dpi, marks] : marks_of_dpi) {
    resolutions.push_back({dpi, factor_to_exemplars(dpi, exemplar_dpi), marks});
  }
  return resolutions;
}

nlohmann::json json_of(const std::vector<MarkResolution>& resolutions) {
  nlohmann::json all = nlohmann::json::array();
  for (const MarkResolution& one : resolutions) {
    all.push_back({{"mark_dpi", one.dpi}, {"factor", one.factor}, {"marks", one.marks}});
  }
  return all;
}

SearchSummary search(const comm::Communicator& comm, const SearchOptions& options) {
  const SearchSetup setup = set_up_search(comm, options);
  comm.together([&] { check_csv_folder(options.csv); });
  if (options.strict) check_marks(comm, options, setup);
  SearchSummary summary;

  store::StoreJob job;
  job.output = options.output;
  job.header = {kResultsSchema, kResultsVersion, header_parameters(options, setup)};
  job.units = setup.earlier.units + setup.units;
  job.adds_units = true;
  job.stamps = stamps_of(setup.earlier, setup.marks, setup.marks_per_unit);
  job.doing = "searching";
  job.command_line = options.command_line;
  job.make_together = [&](std::span<const std::int64_t> missing, store::StoreWriter& writer) {
    summary = search_units(comm, options, setup, missing, writer);
  };
  job.whole = [&]() -> store::Columns {
    const GivenMarks& given = setup.earlier.given;
    return {{"exemplar_id", {{setup.index.parameters.exemplars}, setup.index.ids, {}}},
            {"given_mark_id", {{std::ssize(given.id)}, given.id, {}}},
            {"given_mark_sha256", {{std::ssize(given.id)}, given.sha256, {}}}};
  };
  job.conclude = [&](bool was_finished) {
    summary.was_finished = was_finished;
    return conclude(options, setup, job.header.parameters, summary);
  };
  summary.was_finished = store::make_store(comm, job);
  summary.exemplars = setup.index.parameters.exemplars;
  return summary;
}

}  // namespace outsole::retrieval
