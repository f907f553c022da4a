#include "report/page_inputs.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <span>
#include <utility>

#include "comm/from_root.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/sha256.h"
#include "image/image.h"
#include "report/page_text.h"
#include "retrieval/database.h"
#include "retrieval/evaluate_retrieval.h"
#include "retrieval/folds.h"
#include "retrieval/search_results.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

void require_exemplars_of(const PageInputs& inputs, const retrieval::IndexParameters& index, const fs::path& path) {
  const auto& stores = inputs.exemplars.stores();
  const bool is_one_of_each = stores.size() == 1 && inputs.options.indexes.size() == 1;
  const auto is_its = [&](const ingest::ExemplarStore& store) {
    return store.store().sha256() == index.exemplars_sha256;
  };
  if (std::ranges::any_of(stores, is_its)) return;
  throw DataError((is_one_of_each
                       ? inputs.options.exemplars.front().string() + ": are not the exemplars that " + path.string()
                       : "`exemplars`: none of the stores is the one that " + path.string()) +
                  " was made of (SHA-256 differs)");
}

/// Opens the indexes and, where nothing is missing for it, what computes their features. The exemplars that were
/// searched in them, in the order of the database: of one index in its own, else in that of their ids.
std::vector<std::string> open_given_indexes(const comm::Communicator& comm, PageInputs& inputs) {
  const ReportOptions& options = inputs.options;
  std::vector<std::string> ids;
  for (const fs::path& path : options.indexes) {
    const store::Store store = store::Store::open_together(comm, path, retrieval::kIndexSchema, {"exemplar_id"});
    comm.together([&] {
      require_index_of(inputs.parameters(), store);
      inputs.indexes.push_back(retrieval::IndexParameters::from_header(store.header(), path.string()));
      inputs.index_sha256.push_back(store.sha256());
      require_exemplars_of(inputs, inputs.indexes.back(), path);
      const std::vector<std::string> own = retrieval::read_ids(store, "exemplar_id");
      ids.insert(ids.end(), own.begin(), own.end());
    });
  }
  if (inputs.indexes.empty()) return ids;
  if (inputs.indexes.size() > 1) std::ranges::sort(ids);
  inputs.index = inputs.indexes.front();
  if (inputs.index->weights_identity.empty() || !options.weights_path.empty()) {
    inputs.extractor.emplace(retrieval::open_database(comm, {options.indexes, {}, {}}, options.weights_path, at::kCPU));
  } else {
    inputs.lacks.emplace_back(
        "The compared part and the maps of what makes two images alike: they need the weights of the index "
        "(--weights).");
  }
  return ids;
}

/// Of an unfinished search the indexes alone know the exemplars' ids.
std::vector<std::string> exemplar_ids(const PageInputs& inputs, std::vector<std::string> indexed) {
  if (inputs.results.is_finished()) return retrieval::read_ids(inputs.results.store(), "exemplar_id");
  const nlohmann::json& parameters = inputs.parameters();
  const std::string unfinished = "`results` " + inputs.options.results.string() + ": the search is not finished; ";
  const nlohmann::json searched = parameters.value("index_sha256", nlohmann::json());
  if (inputs.indexes.size() < (searched.is_array() ? searched.size() : 1)) {
    throw UsageError(
        unfinished +
        (searched.is_array() && searched.size() > 1 ? "give all of its `index`, too," : "give `index`, too,") +
        " to look at what it has found so far");
  }
  for (const char* chosen : {"exemplars_list_sha256", "withdrawn_sha256"}) {
    if (!parameters.contains(chosen)) continue;
    throw UsageError(unfinished +
                     "it leaves out exemplars by a list, so that only its finished results tell which "
                     "ones it has found");
  }
  return indexed;
}

/// Exemplars of one group of the table, or of equal pixels, show the same tread. Without either nothing is known.
std::vector<std::int64_t> treads_of(const PageInputs& inputs) {
  // Of several indexes that were searched as one, or of a part of an index, one does not tell.
  const bool are_those = inputs.extractor && inputs.extractor->ids == inputs.lists.exemplar_ids;
  const std::vector<std::int32_t> equal_to = are_those ? inputs.extractor->equal_to : std::vector<std::int32_t>();
  bool has_equals = false;
  for (std::size_t i = 0; i < equal_to.size(); ++i) has_equals |= std::cmp_not_equal(equal_to[i], i);
  if (inputs.options.groups.empty() && !has_equals) return {};
  return retrieval::joined_by_equals(retrieval::read_exemplar_groups(inputs.options.groups, inputs.lists.exemplar_ids),
                                     equal_to);
}

/// The files of the marks as rank 0 sees them. Collective.
std::map<std::int64_t, fs::path> mark_files(const comm::Communicator& comm, const PageInputs& inputs) {
  const nlohmann::json told = comm::json_from_root(comm, [&] {
    nlohmann::json files = nlohmann::json::array();
    for (const auto& [row, file] : find_files_of_marks(inputs.options.marks, inputs.lists))
      files.push_back({row, file.string()});
    return files;
  });
  std::map<std::int64_t, fs::path> files;
  for (const auto& entry : told) files.emplace(entry[0].get<std::int64_t>(), entry[1].get<std::string>());
  return files;
}

void tell_lacks(PageInputs& inputs) {
  const auto lack = [&](bool lacks, const char* words) {
    if (lacks) inputs.lacks.emplace_back(words);
  };
  lack(!inputs.results.has("score"),
       "How a score stands among all exemplars: the search kept only the candidates (search with --all-scores).");
  lack(!inputs.index,
       "The mark as searched, the compared part, and the maps of what makes two images alike: they need --index.");
  lack(inputs.index && inputs.index->metric,
       "The maps of what makes two images alike: this index holds features projected by a learned metric.");
  const auto with_files = std::ssize(inputs.mark_files);
  if (with_files < inputs.marks()) {
    inputs.lacks.push_back(fmt::format("The pictures of {} of {} marks: no file of their name among --marks.",
                                       inputs.marks() - with_files, inputs.marks()));
  }
  const auto unknown = std::ranges::count(inputs.places, -1);
  if (unknown > 0) {
    inputs.lacks.push_back(fmt::format("The pictures of {} of {} exemplars: no store of --exemplars holds them.",
                                       unknown, inputs.places.size()));
  }
  if (inputs.options.strict && (unknown > 0 || with_files < inputs.marks())) throw DataError(inputs.lacks.back());
}

/// The calibration that the evaluation holds, if these scores were made as those it was measured on.
void read_calibration(PageInputs& inputs) {
  if (!inputs.evaluation.contains("calibration")) return;
  retrieval::ScoreCalibration calibration = retrieval::read_calibration(inputs.options.evaluation);
  const auto differences = retrieval::differences(calibration, inputs.parameters());
  if (differences.empty()) {
    inputs.calibration = std::move(calibration);
  } else {
    inputs.lacks.push_back("Likelihood ratios: the calibration of --evaluation is of another search (" +
                           fmt::format("{}", fmt::join(differences, "; ")) + ").");
  }
}

std::string digest_of_file(const fs::path& file) { return file.empty() ? "" : sha256_of_file(file); }

}  // namespace

std::vector<float> PageInputs::scores(std::int64_t row) const {
  if (!results.has("score")) return {};
  return std::get<std::vector<float>>(results.read("score", row, 1).values);
}

std::vector<ListEntry> PageInputs::list(std::int64_t row) const {
  return lists.head(static_cast<std::size_t>(row), options.candidates);
}

PageInputs open_page_inputs(const comm::Communicator& comm, const ReportOptions& options) {
  SearchRows results = SearchRows::open_together(comm, options.results);
  PageInputs inputs{.options = options,
                    .results = std::move(results),
                    .lists = {},
                    .exemplars = ExemplarStores::open_together(comm, options.exemplars),
                    .places = {},
                    .mark_files = {},
                    .index = {},
                    .indexes = {},
                    .index_sha256 = {},
                    .extractor = {},
                    .truth = {},
                    .treads = {},
                    .evaluation = {},
                    .lacks = {},
                    .calibration = {}};
  std::vector<std::string> indexed = open_given_indexes(comm, inputs);
  comm.together([&] {
    inputs.lists = ResultLists(inputs.results, exemplar_ids(inputs, std::move(indexed)));
    inputs.places = inputs.exemplars.places_of(inputs.lists.exemplar_ids);
    if (!options.labels.empty()) {
      inputs.truth = retrieval::resolve_labels(retrieval::read_labels(options.labels), inputs.lists.mark_ids,
                                               inputs.lists.exemplar_ids);
    }
    inputs.treads = treads_of(inputs);
    if (!options.evaluation.empty()) {
      inputs.evaluation = parse_json(read_text_file(options.evaluation));
      if (!inputs.evaluation.is_object() || !inputs.evaluation.contains("top_k"))
        throw DataError(options.evaluation.string() + ": is not an evaluation of `outsole evaluate retrieval`");
      read_calibration(inputs);
    }
  });
  inputs.mark_files = mark_files(comm, inputs);
  comm.together([&] { tell_lacks(inputs); });
  return inputs;
}

nlohmann::json made_of(const PageInputs& inputs) {
  const ReportOptions& options = inputs.options;
  const auto input = [](const fs::path& path, const std::string& sha256) {
    return nlohmann::json{{"path", path.empty() ? "" : fs::absolute(path).lexically_normal().string()},
                          {"sha256", sha256}};
  };
  const auto inputs_of = [&](const std::vector<fs::path>& paths, const std::vector<std::string>& sha256) {
    if (paths.size() == 1) return input(paths[0], sha256[0]);
    nlohmann::json all = nlohmann::json::array();
    for (std::size_t i = 0; i < paths.size(); ++i) all.push_back(input(paths[i], sha256[i]));
    return all;
  };
  std::vector<std::string> exemplars_sha256;
  for (const ingest::ExemplarStore& store : inputs.exemplars.stores())
    exemplars_sha256.push_back(store.store().sha256());
  nlohmann::json marks = nlohmann::json::array();
  Sha256 stamps;
  for (std::int64_t row = 0; row < inputs.marks(); ++row) {
    const auto found = inputs.mark_files.find(row);
    const fs::path file = found == inputs.mark_files.end() ? fs::path() : found->second;
    nlohmann::json mark = input(file, inputs.lists.mark_sha256[static_cast<std::size_t>(row)]);
    mark["id"] = inputs.lists.mark_ids[static_cast<std::size_t>(row)];
    marks.push_back(std::move(mark));
    for (const fs::path& stamped : {file, file.empty() ? fs::path() : image::mask_path_of(file)}) {
      const std::string stamp = file_stamp(stamped) + "\n";
      stamps.update(std::as_bytes(std::span(stamp)));
    }
  }
  nlohmann::json made = {{"pages", page_version()},
                         {"versions", options.versions},
                         {"results", input(options.results, inputs.results.sha256())},
                         {"results_digests", inputs.results.digests()},
                         {"exemplars", inputs_of(options.exemplars, exemplars_sha256)},
                         {"marks", std::move(marks)},
                         {"mark_stamps", stamps.hex()},
                         {"title", options.title},
                         {"candidates", options.candidates},
                         {"relevance", options.relevance},
                         {"picture_px", options.picture_px},
                         {"command_line", options.command_line}};
  if (inputs.index) made["index"] = inputs_of(options.indexes, inputs.index_sha256);
  if (!options.weights_path.empty()) made["weights"] = input(options.weights_path, "");
  for (const auto& [name, path] : {std::pair{"labels", options.labels}, std::pair{"groups", options.groups},
                                   std::pair{"evaluation", options.evaluation}}) {
    if (!path.empty()) made[name] = input(path, digest_of_file(path));
  }
  return made;
}

std::string page_name(std::int64_t number) { return fmt::format("{:05}", number); }

}  // namespace outsole::report
