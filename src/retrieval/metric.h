#pragma once
// A learned metric: score(X, Y) = sum_k W_k NCC_k(U (X - mu_x), V (Y - mu_y)).

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "match/mcncc.h"
#include "retrieval/index_parameters.h"
#include "retrieval/projections.h"
#include "store/store.h"

namespace outsole::retrieval {

inline constexpr char kMetricSchema[] = "outsole.metric";

/// Kept in 64 bit, as statistics are, so that metrics of different numbers of ranks can be told to be the same; a
/// search computes in 32.
struct Metric {
  /// Of unit variance over what it was learned from. Undefined: channels are compared as they are.
  at::Tensor mark_projection, exemplar_projection;  // U, V [K, C]
  at::Tensor mark_mean, exemplar_mean;              // [C]
  at::Tensor correlation;                           // [K]; undefined: not known
  at::Tensor weight;                                // W [K]
  double bias = 0;
  std::optional<double> ridge;  // that its projections were found with
  std::int64_t training_marks = 0, training_pairs = 0;

  bool projects() const { return mark_projection.defined(); }
  std::int64_t components() const { return weight.size(0); }
};

/// Components weigh alike, 1 / K, as channels do in plain MCNCC.
Metric metric_of(const Projections& projections);

/// A standard deviation of a component below this is none: components have a variance of about 1.
inline constexpr double kFlatComponent = 1e-5;

/// What a metric is of: the entries of its file that an index must have, too. (How large the frame is, and which
/// exemplars there are, may differ: a metric serves another database.)
nlohmann::json features_of(const IndexParameters& index);

/// METRIC.h5.
struct MetricFile {
  std::filesystem::path path;
  std::string sha256;
  nlohmann::json parameters;
  std::vector<Metric> metrics;  // one, or one a fold
  std::vector<std::string> mark_ids, mark_sha256;
  std::vector<std::int32_t> mark_folds;

  bool has_folds() const { return metrics.size() > 1; }
};

/// Reads and checks it, also against an index: DataError naming the file and what is wrong with it when it is damaged,
/// holds numbers that are not finite, or is of another extractor, of other weights or of another scale. Collective.
MetricFile read_metrics(const comm::Communicator& comm, const std::filesystem::path& path, const IndexParameters& index,
                        const std::string& index_name);
/// The same for one rank. Not collective.
MetricFile read_metrics(const std::filesystem::path& path, const IndexParameters& index, const std::string& index_name);

/// A metric as a unit of its store.
store::Columns columns_of(const Metric& metric);

}  // namespace outsole::retrieval
