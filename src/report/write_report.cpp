#include "report/write_report.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "comm/from_root.h"
#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "report/evaluation_page.h"
#include "report/list_page.h"
#include "report/mark_page.h"
#include "report/page_text.h"
#include "report/report_folder.h"
#include "store/make_store.h"

namespace outsole::report {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// The exemplars that any list shows and the store holds, ascending.
std::vector<std::int64_t> shown_exemplars(const PageInputs& inputs) {
  std::set<std::int64_t> shown;
  for (std::int64_t row = 0; row < inputs.marks(); ++row) {
    for (const ListEntry& entry : inputs.list(row)) {
      if (inputs.places[static_cast<std::size_t>(entry.exemplar)] >= 0) shown.insert(entry.exemplar);
    }
  }
  return {shown.begin(), shown.end()};
}

/// What of `units` rank 0 does not find made already. Collective.
std::vector<std::int64_t> missing_of(const comm::Communicator& comm, const std::vector<std::int64_t>& units,
                                     const std::function<fs::path(std::int64_t)>& made) {
  return comm::json_from_root(comm,
                              [&] {
                                json missing = json::array();
                                for (const std::int64_t unit : units) {
                                  if (!fs::exists(made(unit))) missing.push_back(unit);
                                }
                                return missing;
                              })
      .get<std::vector<std::int64_t>>();
}

/// Ranks take turns at the units; after each turn all agree whether to go on. Collective.
void make_each(const comm::Communicator& comm, const std::string& doing, const std::string& what,
               const std::vector<std::int64_t>& units, const std::function<void(std::int64_t)>& make) {
  const std::int64_t turns = divide_up(std::ssize(units), comm.size());
  Progress progress(doing, what, std::ssize(units), comm.is_root());
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    const std::int64_t own = turn * comm.size() + comm.rank();
    comm.together([&] {
      if (own >= std::ssize(units)) return;
      comm::now_doing(doing + " " + std::to_string(own));
      make(units[static_cast<std::size_t>(own)]);
    });
    progress.advance(std::min<std::int64_t>(comm.size(), std::ssize(units) - turn * comm.size()));
    if (turn + 1 < turns) store::leave_if_asked_to_stop(comm);
  }
}

/// SHA-256 of every file of the report, hashed by all ranks; on rank 0. Adds up their bytes. Collective.
json digests_of_files(const comm::Communicator& comm, const fs::path& folder, std::int64_t& bytes) {
  const json files = comm::json_from_root(comm, [&] { return json(files_of_report(folder)); });
  const comm::UnitRange mine = comm::units_of(std::ssize(files), comm.rank(), comm.size());
  json own = json::object();
  std::int64_t own_bytes = 0;
  comm.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const auto name = files[static_cast<std::size_t>(i)].get<std::string>();
      own[name] = sha256_of_file(folder / name);
      own_bytes += static_cast<std::int64_t>(fs::file_size(folder / name));
    }
  });
  bytes = comm.sum(own_bytes);
  json all = json::object();
  for (const std::string& part : comm.gather(own.dump())) all.update(json::parse(part));
  return all;
}

std::vector<std::int64_t> all_rows(const PageInputs& inputs) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(inputs.marks()));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  return rows;
}

}  // namespace

ReportSummary write_report(const comm::Communicator& comm, const ReportOptions& options) {
  const PageInputs inputs = open_page_inputs(comm, options);
  ReportSummary summary;
  summary.marks = inputs.marks();
  summary.is_partial = !inputs.results.is_finished();
  summary.lacks = inputs.lacks;
  std::optional<ReportFolder> folder;  // rank 0's
  const json found = comm::json_from_root(comm, [&] {
    folder.emplace(options.output, made_of(inputs));
    return json{{"finished", folder->is_finished()}, {"part", folder->part().string()}};
  });
  summary.was_finished = found.at("finished");
  if (summary.was_finished) return summary;
  const fs::path part = found.at("part").get<std::string>();

  comm.together([&] {
    if (comm.is_root()) write_evaluation_figures(inputs, part);
  });
  const std::vector<std::int64_t> exemplars = shown_exemplars(inputs);
  summary.exemplars = std::ssize(exemplars);
  const auto exemplar_file = [&](std::int64_t exemplar) { return part / "exemplars" / (page_name(exemplar) + ".png"); };
  const auto mark_file = [&](std::int64_t row) { return part / "marks" / (page_name(row + 1) + ".html"); };
  make_each(comm, "picturing", "exemplars", missing_of(comm, exemplars, exemplar_file),
            [&](std::int64_t exemplar) { write_exemplar_pictures(inputs, exemplar, part); });
  make_each(comm, "reporting", "marks", missing_of(comm, all_rows(inputs), mark_file),
            [&](std::int64_t row) { write_mark_page(inputs, row, part); });
  comm.together([&] {
    if (!comm.is_root()) return;
    write_file_atomically(part / "page.css", page_style());
    write_file_atomically(part / "page.js", page_script());
    if (!inputs.evaluation.is_null()) write_file_atomically(part / "evaluation.html", evaluation_page(inputs, part));
    write_file_atomically(part / "index.html", list_page(inputs, part));
  });
  const json files = digests_of_files(comm, part, summary.bytes);
  comm.together([&] {
    if (!comm.is_root()) return;
    write_provenance(part / "report", options.command_line, comm.size(),
                     {{"marks", summary.marks}, {"versions", options.versions}, {"lacks", inputs.lacks}});
    summary.files = std::ssize(files);
    summary.manifest_sha256 = folder->finish(files);
  });
  return summary;
}

machine::Plan report_plan(const comm::Communicator& comm, const ReportOptions& options) {
  const PageInputs inputs = open_page_inputs(comm, options);
  machine::Plan plan;
  plan.lines.push_back(
      {"marks", fmt::format("{} against {} exemplars", inputs.marks(), inputs.lists.exemplar_ids.size())});
  plan.lines.push_back({"pictures", fmt::format("of {} exemplars and {} of {} marks", shown_exemplars(inputs).size(),
                                                inputs.mark_files.size(), inputs.marks())});
  for (const std::string& lack : inputs.lacks) plan.lines.push_back({"lacks", lack});
  constexpr double kStartS = 2, kMarkS = 0.3, kExemplarS = 0.05;
  plan.work.partitions = {{"marks", std::max<std::int64_t>(1, inputs.marks())}};
  plan.work.compute_s = kStartS + kMarkS * static_cast<double>(inputs.marks()) +
                        kExemplarS * static_cast<double>(shown_exemplars(inputs).size());
  plan.basis = fmt::format("at {} s a mark and {} s an exemplar that is pictured", kMarkS, kExemplarS);
  return plan;
}

}  // namespace outsole::report
