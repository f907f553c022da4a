#pragma once
// The job `learn`: a metric from marks whose exemplars are known, or one a fold.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "learn/run.h"
#include "retrieval/metric_learner.h"
#include "retrieval/open_index.h"
#include "retrieval/search.h"

namespace outsole::retrieval {

/// weights: channels weighed by an SVM. pca: each side whitened by itself. cca: canonical correlations. cca+weights:
/// their components weighed by an SVM. finetune: those, then all of it by gradient descent.
enum class LearnMethod { kWeights, kPca, kCca, kCcaWeights, kFinetune };

std::string name_of(LearnMethod method);
/// Throws UsageError naming the known ones.
LearnMethod parse_learn_method(const std::string& text);
/// Throws UsageError unless a store may have the name: what lies beside it would bear the names of another output's
/// (lr0.001 and lr0.003).
void require_name_of_metric(const std::filesystem::path& output);

/// Whether it begins with the statistics of features, and so takes a ridge.
bool needs_statistics(LearnMethod method);

struct LearnOptions {
  /// Of the search that poses are taken from: index, marks, weights, protocol, memory, device, kernel.
  SearchOptions search;
  std::filesystem::path labels, groups;
  std::filesystem::path results;  // of such a search that was made already; empty: it is made here
  std::filesystem::path pairs;    // where the pairs are kept; empty: METRIC.pairs.h5 beside the output
  std::filesystem::path init;     // METRIC.h5 that fine-tuning starts from; empty: cca+weights
  std::filesystem::path output;   // METRIC.h5
  LearnMethod method = LearnMethod::kCcaWeights;
  std::int64_t components = 0;  // 0: as many as there are channels
  std::int64_t folds = 1;
  std::int64_t negatives = 8;
  std::vector<double> ridges = {1e-3};  // of several, each metric takes the one that does best in cross-validation
  FinetuneTerms terms;
  learn::RunOptions training;  // of fine-tuning; its output lies beside METRIC.h5
};

struct LearnSummary {
  std::int64_t marks = 0, pairs = 0, metrics = 0, components = 0, channels = 0;
  std::vector<double> correlations;  // the first of the metric, if it has any
  bool was_finished = false;
  std::int64_t mark_files = 0;              // image files among the marks; on rank 0, as the next; none after an import
  std::vector<NotRead> not_read;            // what lies among them besides
  double exemplar_dpi = 0;                  // 0: not known
  std::vector<MarkResolution> resolutions;  // of the marks that were searched
  MarkAccount marks_account;                // of these, too
};

/// What METRIC.h5 holds, in short. Not collective.
LearnSummary learned_summary(const std::filesystem::path& metric, const OpenIndex& index, bool was_finished);

/// Searches the marks (unless results are given), lays them over exemplars, and learns. What it makes on the way,
/// METRIC.results.h5 and METRIC.pairs.h5 beside METRIC.h5, is kept: another method with the same `pairs` takes it from
/// there. Carries on from an interrupted run. Statistics of statistics-based methods are the same bit for bit on any
/// number of ranks; fine-tuning agrees to rounding. Collective; throws on every rank: UsageError, DataError,
/// EnvironmentError, StopRequested. The summary is every rank's, but for what rank 0 alone knows.
LearnSummary learn_metric(const comm::Communicator& comm, const LearnOptions& options);

/// A metric from published tensors, for `index`: a safetensors file with `query_T` and `trace_T` [K, C] (rows are
/// components; of the mark's side and of the exemplar's), `w` [K], and where there are any `query_mean`, `trace_mean`
/// [C] and `b` [1]. Rows are scaled to the index's features, which changes no NCC. Collective.
LearnSummary import_metric(const comm::Communicator& comm, const std::filesystem::path& file,
                           const LearnOptions& options);

}  // namespace outsole::retrieval
