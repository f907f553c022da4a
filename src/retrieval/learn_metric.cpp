#include "retrieval/learn_metric.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "comm/from_root.h"
#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/sha256.h"
#include "features/safetensors.h"
#include "machine/one_thread.h"
#include "match/column_ncc.h"
#include "retrieval/folds.h"
#include "retrieval/labels.h"
#include "retrieval/linear_svm.h"
#include "retrieval/open_index.h"
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

// --- What all folds learn from --------------------------------------------------------------------------------------

/// Positions of pairs.
using Positions = std::vector<std::int64_t>;

Positions pairs_where(const LearningPairs& pairs, const auto& condition) {
  Positions found;
  for (std::int64_t i = 0; i < std::ssize(pairs.pairs()); ++i) {
    if (condition(pairs.pairs()[static_cast<std::size_t>(i)])) found.push_back(i);
  }
  return found;
}

Positions training_pairs(const LearningPairs& pairs, const Folds& folds, std::int64_t fold) {
  return pairs_where(pairs,
                     [&](const LearningPairs::Pair& pair) { return folds.may_learn(fold, pair.mark, pair.exemplar); });
}

/// Of the marks of the fold.
Positions held_out_pairs(const LearningPairs& pairs, const Folds& folds, std::int64_t fold) {
  if (folds.count == 1) return {};
  return pairs_where(pairs, [&](const LearningPairs::Pair& pair) {
    return folds.of_mark[static_cast<std::size_t>(pair.mark)] == fold;
  });
}

/// The moments of the true pairs of each fold: added up over pieces that the data cut, in their order, so that they are
/// the same on any number of ranks. Collective.
std::vector<FeatureMoments> moments_of_folds(const comm::Communicator& comm, const LearningPairs& pairs,
                                             const Folds& folds) {
  constexpr int kPieces = 8;
  std::vector<FeatureMoments> moments;
  for (std::int64_t fold = 0; fold < folds.count; ++fold) {
    comm::now_doing("statistics of fold " + std::to_string(fold));
    const Positions of_fold = pairs_where(pairs, [&](const LearningPairs::Pair& pair) {
      return pair.is_true && folds.of_mark[static_cast<std::size_t>(pair.mark)] == fold;
    });
    const comm::UnitRange mine = comm::units_of(kPieces, comm.rank(), comm.size());
    std::vector<double> own;
    comm.together([&] {
      for (std::int64_t piece = mine.begin; piece < mine.end; ++piece) {
        FeatureMoments sum(pairs.channels());
        const comm::UnitRange part = comm::units_of(std::ssize(of_fold), static_cast<int>(piece), kPieces);
        for (std::int64_t i = part.begin; i < part.end; ++i) {
          const auto columns = pairs.columns(of_fold[static_cast<std::size_t>(i)]);
          sum.add_columns(columns.mark, columns.exemplar);
        }
        const std::vector<double> numbers = sum.packed();
        own.insert(own.end(), numbers.begin(), numbers.end());
      }
    });
    const std::vector<double> all = comm.all_gatherv(std::span<const double>(own)).values;
    const std::size_t length = all.size() / kPieces;
    FeatureMoments& sum = moments.emplace_back(pairs.channels());
    for (std::size_t piece = 0; piece < kPieces; ++piece) {
      sum.add(FeatureMoments::unpacked(std::span(all).subspan(piece * length, length), pairs.channels()));
    }
  }
  return moments;
}

struct Task {
  const comm::Communicator& comm;
  const LearnOptions& options;
  const OpenIndex& index;
  const LearningPairs& pairs;
  const Folds& folds;
  std::vector<FeatureMoments> moments;  // of each fold; none where no statistics are needed
  std::optional<MetricFile> init;
  std::string output_identity;  // of the metrics to be made, but for how fine-tuning goes on

  std::int64_t components() const { return options.components > 0 ? options.components : pairs.channels(); }
};

/// Of what the fold's metric may learn from.
FeatureStatistics training_statistics(const Task& task, std::int64_t fold) {
  FeatureMoments sum(task.pairs.channels());
  for (std::int64_t other = 0; other < task.folds.count; ++other) {
    if (other != fold || task.folds.count == 1) sum.add(task.moments[static_cast<std::size_t>(other)]);
  }
  if (sum.columns == 0) throw DataError("there is no true pair to learn from");
  return statistics_of(sum);
}

// --- Root's numbers, known to all ------------------------------------------------------------------------------------

/// Metrics are found on rank 0 and told: ranks need not come to the same bits. Collective.
Metric metric_from_root(const comm::Communicator& comm, const std::function<Metric()>& work) {
  Metric metric;
  comm.together([&] {
    if (comm.is_root()) metric = work();
  });
  for (at::Tensor* tensor : {&metric.mark_projection, &metric.exemplar_projection, &metric.mark_mean,
                             &metric.exemplar_mean, &metric.correlation, &metric.weight}) {
    json shape;
    std::string bytes;
    if (comm.is_root() && tensor->defined()) {
      *tensor = tensor->contiguous();
      shape = tensor->sizes().vec();
      bytes.assign(static_cast<const char*>(tensor->data_ptr()), tensor->nbytes());
    }
    const json told_shape = json::parse(comm.broadcast(shape.dump()));
    bytes = comm.broadcast(bytes);
    if (comm.is_root() || told_shape.is_null()) continue;
    *tensor = at::empty(told_shape.get<std::vector<std::int64_t>>(), at::kDouble);
    std::memcpy(tensor->data_ptr(), bytes.data(), bytes.size());
  }
  const json numbers = json::parse(comm.broadcast(
      json{{"bias", metric.bias}, {"marks", metric.training_marks}, {"pairs", metric.training_pairs}}.dump()));
  metric.bias = numbers.at("bias");
  metric.training_marks = numbers.at("marks");
  metric.training_pairs = numbers.at("pairs");
  return metric;
}

// --- The methods -----------------------------------------------------------------------------------------------------

/// The NCC of each component (without projections: of each channel) of some pairs, [pairs, K]: ranks share the pairs.
/// Collective; on every rank.
at::Tensor ncc_of(const Task& task, const Metric& metric, const Positions& positions) {
  const comm::UnitRange mine = comm::units_of(std::ssize(positions), task.comm.rank(), task.comm.size());
  const at::Tensor flat = at::full({metric.projects() ? metric.components() : 0}, kFlatComponent, at::kDouble);
  std::vector<double> own;
  task.comm.together([&] {
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const std::int64_t pair = positions[static_cast<std::size_t>(i)];
      at::Tensor ncc;
      if (metric.projects()) {
        const auto columns = task.pairs.columns(pair);
        ncc = match::correlate_columns(
                  at::mm(metric.mark_projection, columns.mark.to(at::kDouble) - metric.mark_mean.unsqueeze(1)),
                  at::mm(metric.exemplar_projection,
                         columns.exemplar.to(at::kDouble) - metric.exemplar_mean.unsqueeze(1)),
                  flat)
                  .ncc.contiguous();
      } else {
        ncc = task.pairs.ncc(pair);
      }
      own.insert(own.end(), ncc.data_ptr<double>(), ncc.data_ptr<double>() + ncc.numel());
    }
  });
  const std::vector<double> all = task.comm.all_gatherv(std::span<const double>(own)).values;
  return at::tensor(all, at::kDouble).view({std::ssize(positions), -1});
}

/// Weights and bias of the metric's components by an SVM. Each rank works on one thread, so that the bits do not depend
/// on how many it has. Collective.
Metric weighed(const Task& task, Metric metric, const Positions& training) {
  const machine::OneThread one_thread;
  comm::now_doing("learning weights");
  const at::Tensor ncc = ncc_of(task, metric, training);
  return metric_from_root(task.comm, [&] {
    std::vector<bool> is_true;
    for (const std::int64_t pair : training)
      is_true.push_back(task.pairs.pairs()[static_cast<std::size_t>(pair)].is_true);
    const LinearSvm svm = train_linear_svm(ncc, is_true, 1 / task.options.terms.alpha);
    metric.weight = at::tensor(svm.weight, at::kDouble);
    metric.bias = svm.bias;
    return metric;
  });
}

/// What is known of a metric before its weights. Collective.
Metric projected(const Task& task, std::int64_t fold) {
  const machine::OneThread one_thread;
  comm::now_doing("learning projections");
  return metric_from_root(task.comm, [&] {
    const FeatureStatistics statistics = training_statistics(task, fold);
    return metric_of(task.options.method == LearnMethod::kPca
                         ? whitening_projections(statistics, task.components(), task.options.ridge)
                         : canonical_projections(statistics, task.components(), task.options.ridge));
  });
}

/// Rows back to unit variance, which changes no NCC.
void scale_to_unit_variance(Metric& metric, const FeatureStatistics& statistics) {
  const auto scaled = [](const at::Tensor& rows, const at::Tensor& covariance) {
    return rows * (at::mm(rows, covariance) * rows).sum(1, true).clamp_min(1e-300).rsqrt();
  };
  metric.mark_projection = scaled(metric.mark_projection, statistics.mark_covariance);
  metric.exemplar_projection = scaled(metric.exemplar_projection, statistics.exemplar_covariance);
  metric.correlation =
      (at::mm(metric.mark_projection, statistics.across) * metric.exemplar_projection).sum(1).contiguous();
}

learn::Subject subject_of(const Task& task, std::int64_t fold) {
  json identity = learn::identity_of(task.options.training);
  identity.update({{"metric", task.output_identity},
                   {"fold", fold},
                   {"alpha", task.options.terms.alpha},
                   {"beta", task.options.terms.beta},
                   {"batch", task.options.terms.batch},
                   {"seed", task.options.terms.seed},
                   {"components", task.components()}});
  return {.identity = identity,
          .changed_by = {{"metric", "the pairs, folds, ridge or start of the metric"}},
          .structure = {{"metric", {{"components", task.components()}, {"channels", task.pairs.channels()}}}},
          .model_schema = "outsole.metric_model",
          .model_version = 1,
          .examples = "pairs",
          .to_save_memory = "use more ranks or a smaller `batch`"};
}

/// `start` after gradient descent, in a run folder of its own for each fold. Collective.
Metric finetuned(const Task& task, const Metric& start, std::int64_t fold, const Positions& training) {
  learn::RunOptions run = task.options.training;
  run.output = beside(task.options.output, ".training") / ("fold_" + std::to_string(fold));
  run.command_line = task.options.search.command_line;
  const auto make_learner = [&] {
    return std::make_unique<MetricLearner>(task.comm, task.pairs, training,
                                           held_out_pairs(task.pairs, task.folds, fold), start, task.options.terms);
  };
  learn::run(subject_of(task, fold), make_learner, run, task.comm);
  return metric_from_root(task.comm, [&] {
    const store::Store model(run.output / "model.h5", "outsole.metric_model");
    const MetricTensors like = MetricTensors::of(start, at::kFloat);
    const auto tensors = learn::read_tensors(model, {{"mark_projection", like.mark},
                                                     {"exemplar_projection", like.exemplar},
                                                     {"weight", like.weight},
                                                     {"bias", like.bias}});
    Metric metric = start;
    metric.mark_projection = tensors[0].to(at::kDouble);
    metric.exemplar_projection = tensors[1].to(at::kDouble);
    metric.weight = tensors[2].to(at::kDouble);
    metric.bias = tensors[3].item<double>();
    scale_to_unit_variance(metric, training_statistics(task, fold));
    return metric;
  });
}

/// Where fine-tuning begins. Collective.
Metric start_of_finetuning(const Task& task, std::int64_t fold, const Positions& training) {
  if (!task.init) return weighed(task, projected(task, fold), training);
  const auto& metrics = task.init->metrics;
  return metrics[static_cast<std::size_t>(metrics.size() > 1 ? fold : 0)];
}

/// Collective.
Metric learn_fold(const Task& task, std::int64_t fold) {
  const Positions training = training_pairs(task.pairs, task.folds, fold);
  Metric metric;
  switch (task.options.method) {
    case LearnMethod::kWeights:
      metric = weighed(task, Metric(), training);
      break;
    case LearnMethod::kPca:
    case LearnMethod::kCca:
      metric = projected(task, fold);
      break;
    case LearnMethod::kCcaWeights:
      metric = weighed(task, projected(task, fold), training);
      break;
    case LearnMethod::kFinetune:
      metric = finetuned(task, start_of_finetuning(task, fold, training), fold, training);
      break;
  }
  const bool takes_true_pairs_alone =
      task.options.method == LearnMethod::kPca || task.options.method == LearnMethod::kCca;
  std::set<std::int32_t> marks;
  metric.training_pairs = 0;
  for (const std::int64_t position : training) {
    const LearningPairs::Pair& pair = task.pairs.pairs()[static_cast<std::size_t>(position)];
    if (takes_true_pairs_alone && !pair.is_true) continue;
    marks.insert(pair.mark);
    ++metric.training_pairs;
  }
  metric.training_marks = std::ssize(marks);
  return metric;
}

// --- Before and after -----------------------------------------------------------------------------------------------

bool needs_statistics(LearnMethod method) { return method != LearnMethod::kWeights; }

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
  if (!(options.ridge >= 0)) throw UsageError("`ridge`: at least 0");
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
fs::path pairs_of(const comm::Communicator& comm, const LearnOptions& options, const OpenIndex& index) {
  PairOptions pairs;
  pairs.results = results_of(comm, options);
  pairs.marks = options.search.marks;
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
                     {"index_sha256", index.store.sha256()}});
  if (needs_statistics(options.method)) parameters["ridge"] = options.ridge;
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

std::vector<double> first_correlations(const Metric& metric) {
  if (!metric.correlation.defined()) return {};
  const at::Tensor first = metric.correlation.slice(0, 0, 5).contiguous();
  return {first.data_ptr<double>(), first.data_ptr<double>() + first.numel()};
}

LearnSummary summary_of(const fs::path& output, const OpenIndex& index, bool was_finished) {
  const MetricFile file = read_metrics(output, index.parameters, index.store.path().string());
  LearnSummary summary;
  summary.marks = std::ssize(file.mark_ids);
  summary.metrics = std::ssize(file.metrics);
  summary.components = file.metrics.front().components();
  summary.channels = index.parameters.geometry.channels;
  for (const Metric& metric : file.metrics) summary.pairs = std::max(summary.pairs, metric.training_pairs);
  summary.correlations = first_correlations(file.metrics.front());
  summary.was_finished = was_finished;
  return summary;
}

OpenIndex open_plain_index(const comm::Communicator& comm, const LearnOptions& options) {
  comm.together([&] {
    // The results and pairs beside it would bear the names of those of another output: lr0.001 and lr0.003.
    if (options.output.extension() == ".h5") return;
    throw UsageError("`output` " + options.output.string() + ": the name of a store ends in .h5");
  });
  store::Store store = store::Store::open_together(comm, options.search.index, kIndexSchema, kToldOfIndex);
  std::optional<OpenIndex> index;
  comm.together([&] {
    index.emplace(open_index(std::move(store), options.search.weights_path, options.search.device));
    if (index->parameters.metric) {
      throw UsageError("`index` " + options.search.index.string() +
                       ": its maps are projected by a learned metric; learn from one that holds them as they are");
    }
  });
  return std::move(*index);
}

}  // namespace

std::string name_of(LearnMethod method) { return std::ranges::find(kMethods, method, &NamedMethod::method)->name; }

LearnMethod parse_learn_method(const std::string& text) {
  for (const NamedMethod& known : kMethods) {
    if (text == known.name) return known.method;
  }
  throw UsageError("not one of weights, pca, cca, cca+weights, finetune");
}

LearnSummary learn_metric(const comm::Communicator& comm, const LearnOptions& options) {
  const OpenIndex index = open_plain_index(comm, options);
  const std::int64_t channels = index.parameters.geometry.channels;
  std::optional<MetricFile> init;
  comm.together([&] { check(options, index.parameters); });
  if (!options.init.empty()) {
    init = read_metrics(comm, options.init, index.parameters, index.store.path().string());
  }
  const fs::path pairs_path = pairs_of(comm, options, index);
  const LearningPairs pairs(comm, pairs_path);
  std::vector<std::int64_t> groups;
  Folds folds;
  Task task = {comm, options, index, pairs, folds, {}, init, {}};
  comm.together([&] {
    groups = read_exemplar_groups(options.groups, pairs.exemplar_ids());
    folds = make_folds(options.folds, pairs.true_exemplars(), groups);
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
      task.moments = moments_of_folds(comm, pairs, folds);
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
  job.conclude = [&](bool) { return job.header.parameters; };
  const bool was_finished = store::make_store(comm, job);
  LearnSummary summary;
  comm.together([&] { summary = summary_of(options.output, index, was_finished); });
  ensure(summary.channels == channels, "a metric of the index's channels");
  return summary;
}

namespace {

/// Rows for features of about unit variance by what the index says of each channel alone; an NCC does not see it.
at::Tensor scaled_rows(const at::Tensor& rows, const at::Tensor& square_mean) {
  return rows * at::mm(rows.square(), square_mean.unsqueeze(1)).clamp_min(1e-300).rsqrt();
}

Metric read_published(const fs::path& path, const OpenIndex& index) {
  const features::SafetensorsFile file(path);
  const std::int64_t channels = index.parameters.geometry.channels;
  const std::vector<std::int64_t> shape = file.shape("query_T");
  if (shape.size() != 2 || shape[1] != channels || shape[0] < 1 || shape[0] > channels) {
    throw DataError(path.string() + ": tensor 'query_T' is not of up to " + std::to_string(channels) + " rows of the " +
                    std::to_string(channels) + " channels of the index");
  }
  const std::int64_t components = shape[0];
  const auto read = [&](const char* name, at::IntArrayRef wanted) { return file.read(name, wanted).to(at::kDouble); };
  const auto mean = [&](const char* name) {
    return file.has(name) ? read(name, {channels}) : at::zeros({channels}, at::kDouble);
  };
  // A channel is flat below 1e-5 of its root mean square (plain_channel_model).
  const at::Tensor square_mean = (index.channels.flat_std.to(at::kDouble) * 1e5).square();
  Metric metric;
  metric.mark_projection = scaled_rows(read("query_T", {components, channels}), square_mean);
  metric.exemplar_projection = scaled_rows(read("trace_T", {components, channels}), square_mean);
  metric.mark_mean = mean("query_mean");
  metric.exemplar_mean = mean("trace_mean");
  metric.weight = read("w", {components});
  if (file.has("b")) metric.bias = read("b", {1}).item<double>();
  return metric;
}

}  // namespace

LearnSummary import_metric(const comm::Communicator& comm, const fs::path& file, const LearnOptions& options) {
  const OpenIndex index = open_plain_index(comm, options);
  Metric metric;
  std::string sha256;
  comm.together([&] {
    metric = read_published(file, index);
    sha256 = sha256_of_file(file);
  });
  json header = features_of(index.parameters);
  header.update({{"method", "import"},
                 {"components", metric.components()},
                 {"folds", 1},
                 {"import_sha256", sha256},
                 {"index_sha256", index.store.sha256()}});
  store::StoreJob job;
  job.output = options.output;
  job.header = {kMetricSchema, 1, header};
  job.units = 1;
  job.doing = "importing";
  job.command_line = options.search.command_line;
  job.make = [&](std::int64_t, store::Columns) { return columns_of(metric); };
  job.conclude = [&](bool) { return job.header.parameters; };
  const bool was_finished = store::make_store(comm, job);
  LearnSummary summary;
  comm.together([&] { summary = summary_of(options.output, index, was_finished); });
  return summary;
}

}  // namespace outsole::retrieval
