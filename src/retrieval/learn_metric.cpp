#include "retrieval/learn_metric.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>

#include "comm/from_root.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "ingest/image_sources.h"
#include "machine/one_thread.h"
#include "retrieval/database.h"
#include "retrieval/fold_metric.h"
#include "retrieval/folds.h"
#include "retrieval/learning_pairs.h"
#include "retrieval/metric.h"
#include "retrieval/open_index.h"
#include "retrieval/search_results.h"
#include "store/make_store.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct NamedMethod {
  LearnMethod method;
  const char* name;
};
constexpr NamedMethod kMethods[] = {{LearnMethod::kWeights, "weights"},
                                    {LearnMethod::kPca, "pca"},
                                    {LearnMethod::kCca, "cca"},
                                    {LearnMethod::kCcaWeights, "cca+weights"},
                                    {LearnMethod::kFinetune, "finetune"}};

fs::path beside(const fs::path& output, const char* ending) { return fs::path(output).replace_extension(ending); }

void check(const LearnOptions& options, const IndexParameters& index) {
  if (options.components < 0 || options.components > index.geometry.channels) {
    throw UsageError("`components` " + std::to_string(options.components) + ": from 1 to the " +
                     std::to_string(index.geometry.channels) + " channels of the index");
  }
  if (options.method == LearnMethod::kWeights && options.components > 0) {
    throw UsageError("`components`: weights are of the channels as they are; give another `method`");
  }
  if (options.folds < 1) throw UsageError("`folds`: at least 1");
  if (!(options.terms.alpha > 0)) throw UsageError("`alpha`: above 0");
  if (!(options.terms.beta >= 0)) throw UsageError("`beta`: at least 0");
  if (options.ridges.empty()) throw UsageError("`ridge`: at least one");
  if (options.ridges.size() > 1 && options.folds == 2) {
    throw UsageError("`ridge`: to choose one takes 3 `folds` or more, as each metric learns from all but its own");
  }
  for (const double ridge : options.ridges) {
    if (!(ridge >= 0)) throw UsageError("`ridge`: at least 0");
  }
  if (options.terms.batch < 1) throw UsageError("`batch`: at least 1 pair");
}

/// The results that poses are taken from: given, or made here. Collective.
fs::path results_of(const comm::Communicator& comm, const LearnOptions& options) {
  if (!options.results.empty()) return options.results;
  SearchOptions search_options = options.search;
  search_options.output = beside(options.output, ".results.h5");
  search_options.all_scores = true;
  search_options.protocol.similarity = {};
  search_options.top = 1;
  search(comm, search_options);
  return search_options.output;
}

/// The pairs, made or found made. Collective.
fs::path pairs_of(const comm::Communicator& comm, const LearnOptions& options, const OpenIndex& index,
                  const fs::path& results) {
  PairOptions pairs;
  pairs.results = results;
  pairs.marks = options.search.marks;
  pairs.recursive = options.search.recursive;
  pairs.labels = options.labels;
  pairs.groups = options.groups;
  pairs.output = options.pairs.empty() ? beside(options.output, ".pairs.h5") : options.pairs;
  pairs.protocol = options.search.protocol;
  pairs.negatives = options.negatives;
  pairs.memory_bytes = options.search.memory_bytes;
  pairs.device = options.search.device;
  pairs.command_line = options.search.command_line;
  make_learning_pairs(comm, pairs, index);
  return pairs.output;
}

/// What was read and what was not, and how marks were scaled, into the summary. On root.
void tell_inputs(const LearnOptions& options, const OpenIndex& index, const fs::path& results, LearnSummary& summary) {
  ingest::SourceList marks =
      ingest::list_image_sources({.inputs = options.search.marks, .recursive = options.search.recursive});
  summary.mark_files = std::ssize(marks.sources);
  summary.not_read = std::move(marks.not_read);
  summary.exemplar_dpi = index.parameters.exemplar_dpi;
  summary.resolutions = resolutions_of(store::Store(results, kResultsSchema), summary.exemplar_dpi);
  summary.marks_account = account_of_marks(store::Store(results, kResultsSchema));
}

/// What decides the metrics.
json header_parameters(const LearnOptions& options, const OpenIndex& index, const LearningPairs& pairs,
                       const Folds& folds, const std::optional<MetricFile>& init, std::int64_t components) {
  json parameters = features_of(index.parameters);
  parameters.update({{"method", name_of(options.method)},
                     {"components", components},
                     {"folds", folds.count},
                     {"negatives", options.negatives},
                     {"alpha", options.terms.alpha},
                     {"pairs_sha256", pairs.sha256()},
                     {"index_sha256", index.sha256()}});
  if (needs_statistics(options.method)) {
    parameters["ridge"] = options.ridges.size() == 1 ? json(options.ridges.front()) : json(options.ridges);
  }
  if (options.method != LearnMethod::kFinetune) return parameters;
  parameters.update({{"beta", options.terms.beta},
                     {"batch", options.terms.batch},
                     {"seed", options.terms.seed},
                     {"epochs", options.training.epochs},
                     {"training", learn::identity_of(options.training)}});
  if (options.training.minutes) parameters["minutes"] = *options.training.minutes;
  if (init) parameters["init_sha256"] = init->sha256;
  return parameters;
}

store::Columns whole_columns(const LearningPairs& pairs, const Folds& folds) {
  const std::vector<std::int64_t> marks = {std::ssize(pairs.mark_ids())};
  store::Columns columns = {{"mark_id", {marks, pairs.mark_ids(), {}}},
                            {"mark_sha256", {marks, pairs.mark_sha256(), {}}},
                            {"mark_fold", {marks, folds.of_mark, {}}}};
  if (folds.count == 1) return columns;
  const std::vector<std::int64_t> exemplars = {std::ssize(pairs.exemplar_ids())};
  columns["exemplar_id"] = {exemplars, pairs.exemplar_ids(), {}};
  columns["exemplar_fold"] = {exemplars, folds.of_exemplar, {}};
  return columns;
}

/// A start that has seen what a fold keeps apart would judge nothing. And two marks that are one image must not stand
/// in two folds.
void require_apart(const LearningPairs& pairs, const Folds& folds, const std::optional<MetricFile>& init) {
  if (folds.count == 1) return;
  std::map<std::string, std::size_t> first_of;
  for (std::size_t mark = 0; mark < pairs.mark_sha256().size(); ++mark) {
    const auto [same, is_new] = first_of.try_emplace(pairs.mark_sha256()[mark], mark);
    if (is_new || folds.of_mark[same->second] == folds.of_mark[mark]) continue;
    throw DataError("marks '" + pairs.mark_ids()[same->second] + "' and '" + pairs.mark_ids()[mark] +
                    "' are the same image, but their labels put them into different folds");
  }
  if (!init) return;
  const std::string name = "`init` " + init->path.string();
  if (!init->has_folds()) {
    const bool knows =
        std::ranges::any_of(init->mark_sha256, [&](const auto& mark) { return first_of.contains(mark); });
    if (knows) throw UsageError(name + ": was learned from marks that the folds keep apart; start from one with folds");
    return;
  }
  std::map<std::string, std::int32_t> folds_there;
  for (std::size_t i = 0; i < init->mark_sha256.size(); ++i) folds_there[init->mark_sha256[i]] = init->mark_folds[i];
  for (std::size_t mark = 0; mark < pairs.mark_sha256().size(); ++mark) {
    const auto there = folds_there.find(pairs.mark_sha256()[mark]);
    if (std::ssize(init->metrics) == folds.count && there != folds_there.end() && there->second == folds.of_mark[mark])
      continue;
    throw UsageError(name + ": its folds are not these; make it with the same marks, labels, `groups` and `folds`");
  }
}

void require_init(const MetricFile& init, std::int64_t components) {
  const std::string name = "`init` " + init.path.string();
  if (!init.metrics.front().projects()) throw UsageError(name + ": has no projections to be tuned");
  if (init.metrics.front().components() != components) {
    throw UsageError(name + ": has " + std::to_string(init.metrics.front().components()) +
                     " components; give `components` so many");
  }
}

/// The folds of the metrics; of a single one those that its ridge is chosen by, if there is a choice.
Folds folds_to_choose_by(const LearnOptions& options, const Folds& folds,
                         const std::vector<std::vector<std::int64_t>>& true_exemplars,
                         const std::vector<std::int64_t>& groups) {
  constexpr std::int64_t kToChooseBy = 5;
  return folds.count > 1 || options.ridges.size() == 1 ? folds : make_folds(kToChooseBy, true_exemplars, groups);
}

}  // namespace

void require_name_of_metric(const fs::path& output) {
  if (output.extension() != ".h5") {
    throw UsageError("`output` " + output.string() + ": the name of a store ends in .h5");
  }
}

bool needs_statistics(LearnMethod method) { return method != LearnMethod::kWeights; }

std::string name_of(LearnMethod method) { return std::ranges::find(kMethods, method, &NamedMethod::method)->name; }

LearnMethod parse_learn_method(const std::string& text) {
  for (const NamedMethod& known : kMethods) {
    if (text == known.name) return known.method;
  }
  throw UsageError("not one of weights, pca, cca, cca+weights, finetune");
}

LearnSummary learned_summary(const fs::path& metric, const OpenIndex& index, bool was_finished) {
  const MetricFile file = read_metrics(metric, index.parameters, index.store.path().string());
  const Metric& first = file.metrics.front();
  LearnSummary summary;
  summary.marks = std::ssize(file.mark_ids);
  summary.metrics = std::ssize(file.metrics);
  summary.components = first.components();
  summary.channels = index.parameters.geometry.channels;
  for (const Metric& one : file.metrics) summary.pairs = std::max(summary.pairs, one.training_pairs);
  if (first.correlation.defined()) {
    const at::Tensor told = first.correlation.slice(0, 0, 5).contiguous();
    summary.correlations = {told.data_ptr<double>(), told.data_ptr<double>() + told.numel()};
  }
  summary.was_finished = was_finished;
  return summary;
}

LearnSummary learn_metric(const comm::Communicator& comm, const LearnOptions& options) {
  comm.together([&] { require_name_of_metric(options.output); });
  const OpenIndex index =
      open_plain_index(comm, options.search.indexes, options.search.weights_path, options.search.device);
  const std::int64_t channels = index.parameters.geometry.channels;
  std::optional<MetricFile> init;
  comm.together([&] { check(options, index.parameters); });
  if (!options.init.empty()) {
    init = read_metrics(comm, options.init, index.parameters, index.store.path().string());
  }
  if (comm.is_root() && options.folds > 1 && index.equal_to.empty()) {
    spdlog::info("{} is of a version that does not tell exemplars of equal pixels: only --groups keep them in one fold",
                 index.store.path().string());
  }
  const fs::path results = results_of(comm, options);
  LearnSummary inputs;
  comm.together([&] {
    if (comm.is_root()) tell_inputs(options, index, results, inputs);
  });
  const fs::path pairs_path = pairs_of(comm, options, index, results);
  const LearningPairs pairs(comm, pairs_path);
  std::vector<std::int64_t> groups;
  Folds folds, folds_to_learn;
  FoldTask task = {comm, options, pairs, folds_to_learn, options.folds, {}, init, {}};
  comm.together([&] {
    groups = joined_by_equals(read_exemplar_groups(options.groups, pairs.exemplar_ids()), index.equal_to);
    folds = make_folds(options.folds, pairs.true_exemplars(), groups);
    folds_to_learn = folds_to_choose_by(options, folds, pairs.true_exemplars(), groups);
    if (init) require_init(*init, task.components());
    require_apart(pairs, folds, init);
  });
  json header = header_parameters(options, index, pairs, folds, init, task.components());
  json identity = header;
  for (const char* entry : {"epochs", "minutes", "training"}) identity.erase(entry);
  const std::string identity_text = identity.dump();
  task.output_identity = sha256_of(std::as_bytes(std::span(identity_text)));

  store::StoreJob job;
  job.output = options.output;
  job.header = {kMetricSchema, 1, header};
  job.units = folds.count;
  job.doing = "learning";
  job.command_line = options.search.command_line;
  job.make_together = [&](std::span<const std::int64_t> missing, store::StoreWriter& writer) {
    if (needs_statistics(options.method)) {
      const machine::OneThread one_thread;
      task.moments = moments_of_folds(comm, pairs, folds_to_learn);
    }
    for (const std::int64_t fold : missing) {
      store::leave_if_asked_to_stop(comm);
      const Metric metric = learn_fold(task, fold);
      comm.together([&] {
        if (comm.is_root()) writer.write_unit(fold, columns_of(metric));
      });
    }
  };
  job.whole = [&] { return whole_columns(pairs, folds); };
  job.conclude = [&](bool) {
    json details = job.header.parameters;
    details["resolutions"] = json_of(inputs.resolutions);
    details["account"] = account_of(static_cast<std::size_t>(inputs.mark_files), inputs.not_read);
    return details;
  };
  const bool was_finished = store::make_store(comm, job);
  LearnSummary summary;
  comm.together([&] { summary = learned_summary(options.output, index, was_finished); });
  summary.mark_files = inputs.mark_files;
  summary.not_read = std::move(inputs.not_read);
  summary.exemplar_dpi = inputs.exemplar_dpi;
  summary.resolutions = std::move(inputs.resolutions);
  ensure(summary.channels == channels, "a metric of the index's channels");
  return summary;
}

}  // namespace outsole::retrieval
