#include "retrieval/fold_metric.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>

#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/errors.h"
#include "machine/one_thread.h"
#include "match/column_ncc.h"
#include "retrieval/linear_svm.h"
#include "retrieval/metric_learner.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// --- Pairs and what is known of them ---------------------------------------------------------------------------------

/// Positions of pairs.
using Positions = std::vector<std::int64_t>;

Positions pairs_where(const LearningPairs& pairs, const auto& condition) {
  Positions found;
  for (std::int64_t i = 0; i < std::ssize(pairs.pairs()); ++i) {
    if (condition(pairs.pairs()[static_cast<std::size_t>(i)])) found.push_back(i);
  }
  return found;
}

/// The folds that a metric learns nothing from: its own, and one more while settings are chosen.
using Apart = std::vector<std::int64_t>;

Apart own_fold(const FoldTask& task, std::int64_t fold) { return task.metrics > 1 ? Apart{fold} : Apart{}; }

Positions training_pairs(const FoldTask& task, const Apart& apart) {
  return pairs_where(task.pairs, [&](const LearningPairs::Pair& pair) {
    return std::ranges::all_of(apart,
                               [&](std::int64_t fold) { return task.folds.may_learn(fold, pair.mark, pair.exemplar); });
  });
}

/// Of the marks of the fold.
Positions pairs_of_fold(const FoldTask& task, std::int64_t fold) {
  return pairs_where(task.pairs, [&](const LearningPairs::Pair& pair) {
    return task.folds.of_mark[static_cast<std::size_t>(pair.mark)] == fold;
  });
}

/// Of all that may be learned from.
FeatureStatistics training_statistics(const FoldTask& task, const Apart& apart) {
  FeatureMoments sum(task.pairs.channels());
  for (std::int64_t fold = 0; fold < task.folds.count; ++fold) {
    if (std::ranges::count(apart, fold) == 0) sum.add(task.moments[static_cast<std::size_t>(fold)]);
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
at::Tensor ncc_of(const FoldTask& task, const Metric& metric, const Positions& positions) {
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
Metric weighed(const FoldTask& task, Metric metric, const Positions& training) {
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
Metric projected(const FoldTask& task, const Apart& apart, double ridge) {
  const machine::OneThread one_thread;
  comm::now_doing("learning projections");
  return metric_from_root(task.comm, [&] {
    const FeatureStatistics statistics = training_statistics(task, apart);
    return metric_of(task.options.method == LearnMethod::kPca
                         ? whitening_projections(statistics, task.components(), ridge)
                         : canonical_projections(statistics, task.components(), ridge));
  });
}

// --- What is chosen: the ridge ---------------------------------------------------------------------------------------

bool weighs(LearnMethod method) { return method == LearnMethod::kCcaWeights || method == LearnMethod::kFinetune; }

/// How well a metric tells the true exemplars of some marks from the wrong ones they are paired with: the sum over the
/// marks of 1 / the place of the best true one. Collective; the same on every rank.
double sum_of_reciprocal_places(const FoldTask& task, const Metric& metric, const Positions& positions) {
  const machine::OneThread one_thread;
  const at::Tensor scores = at::mv(ncc_of(task, metric, positions), metric.weight);
  struct Scores {
    double best_true = -std::numeric_limits<double>::infinity();
    std::vector<double> of_wrong;
  };
  std::map<std::int32_t, Scores> of_marks;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const LearningPairs::Pair& pair = task.pairs.pairs()[static_cast<std::size_t>(positions[i])];
    const double score = scores[static_cast<std::int64_t>(i)].item<double>();
    Scores& of_mark = of_marks[pair.mark];
    pair.is_true ? void(of_mark.best_true = std::max(of_mark.best_true, score)) : of_mark.of_wrong.push_back(score);
  }
  double sum = 0;
  for (const auto& [mark, of_mark] : of_marks) {
    const auto better =
        std::ranges::count_if(of_mark.of_wrong, [&](double wrong) { return wrong >= of_mark.best_true; });
    sum += 1 / (1 + static_cast<double>(better));
  }
  return sum;
}

/// The first of the ridges under which metrics learned from all but one more fold do best on that fold's marks, over
/// all folds that the metric may learn from. Collective.
double chosen_ridge(const FoldTask& task, const Apart& apart) {
  const std::vector<double>& ridges = task.options.ridges;
  if (ridges.size() == 1) return ridges.front();
  double best = -1, chosen = ridges.front();
  for (const double ridge : ridges) {
    double sum = 0;
    for (std::int64_t judged = 0; judged < task.folds.count; ++judged) {
      if (std::ranges::count(apart, judged) > 0) continue;
      Apart inner = apart;
      inner.push_back(judged);
      Metric metric = projected(task, inner, ridge);
      if (weighs(task.options.method)) metric = weighed(task, metric, training_pairs(task, inner));
      sum += sum_of_reciprocal_places(task, metric, pairs_of_fold(task, judged));
    }
    if (task.comm.is_root()) spdlog::info("ridge {}: sum of reciprocal places {:.3f}", ridge, sum);
    if (sum > best) {
      best = sum;
      chosen = ridge;
    }
  }
  return chosen;
}

// --- Fine-tuning -----------------------------------------------------------------------------------------------------

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

learn::Subject subject_of(const FoldTask& task, std::int64_t fold) {
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
Metric finetuned(const FoldTask& task, const Metric& start, std::int64_t fold, const Positions& training) {
  const Apart apart = own_fold(task, fold);
  learn::RunOptions run = task.options.training;
  run.output = fs::path(task.options.output).replace_extension(".training") / ("fold_" + std::to_string(fold));
  run.command_line = task.options.search.command_line;
  const auto make_learner = [&] {
    return std::make_unique<MetricLearner>(task.comm, task.pairs, training,
                                           apart.empty() ? Positions() : pairs_of_fold(task, fold), start,
                                           task.options.terms);
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
    scale_to_unit_variance(metric, training_statistics(task, apart));
    return metric;
  });
}

/// Where fine-tuning begins, if it was given.
std::optional<Metric> given_start(const FoldTask& task, std::int64_t fold) {
  if (!task.init) return {};
  const auto& metrics = task.init->metrics;
  return metrics[static_cast<std::size_t>(metrics.size() > 1 ? fold : 0)];
}

}  // namespace

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

Metric learn_fold(const FoldTask& task, std::int64_t fold) {
  const Apart apart = own_fold(task, fold);
  const Positions training = training_pairs(task, apart);
  std::optional<Metric> start = given_start(task, fold);
  if (!start && needs_statistics(task.options.method)) {
    const double ridge = chosen_ridge(task, apart);
    start = projected(task, apart, ridge);
    start->ridge = ridge;
  }
  Metric metric = start.value_or(Metric());
  switch (task.options.method) {
    case LearnMethod::kWeights:
    case LearnMethod::kCcaWeights:
      metric = weighed(task, metric, training);
      break;
    case LearnMethod::kPca:
    case LearnMethod::kCca:
      break;
    case LearnMethod::kFinetune:
      if (!task.init) metric = weighed(task, metric, training);
      metric = finetuned(task, metric, fold, training);
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

}  // namespace outsole::retrieval
