#include "retrieval/metric.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/errors.h"
#include "retrieval/network_json.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;

/// `tensor` with a dimension of metrics before it.
store::Column column_of(const at::Tensor& tensor) {
  const at::Tensor values = tensor.to(at::kDouble).contiguous();
  std::vector<std::int64_t> shape = values.sizes().vec();
  shape.insert(shape.begin(), 1);
  return {shape, std::vector<double>(values.data_ptr<double>(), values.data_ptr<double>() + values.numel()), {}};
}

/// A data set of one metric; undefined where the store has none. Throws DataError for numbers that are not finite.
at::Tensor read_tensor(const store::Store& store, const char* name, std::int64_t metric) {
  if (!store.has(name)) return {};
  const store::Column column = store.read(name, metric, 1);
  const at::Tensor values = at::tensor(std::get<std::vector<double>>(column.values), at::kDouble)
                                .view(at::IntArrayRef(column.shape).slice(1));
  if (!at::isfinite(values).all().item<bool>()) {
    throw DataError(store.path().string() + ": '" + name + "' of metric " + std::to_string(metric) +
                    " holds a number that is not finite");
  }
  return values;
}

std::int64_t read_count(const store::Store& store, const char* name, std::int64_t metric) {
  return std::get<std::vector<std::int32_t>>(store.read(name, metric, 1).values).front();
}

Metric read_metric(const store::Store& store, std::int64_t row) {
  const auto read = [&](const char* name) { return read_tensor(store, name, row); };
  Metric metric;
  metric.mark_projection = read("mark_projection");
  metric.exemplar_projection = read("exemplar_projection");
  metric.mark_mean = read("mark_mean");
  metric.exemplar_mean = read("exemplar_mean");
  metric.correlation = read("correlation");
  metric.weight = read("weight");
  metric.bias = read("bias").item<double>();
  metric.training_marks = read_count(store, "training_marks", row);
  metric.training_pairs = read_count(store, "training_pairs", row);
  return metric;
}

/// The two sides of a projection come together, and fit the index.
void require_shapes(const store::Store& store, const IndexParameters& index) {
  const std::string name = store.path().string();
  const char* const parts[] = {"mark_projection", "exemplar_projection", "mark_mean", "exemplar_mean"};
  const auto has = [&](const char* part) { return store.has(part); };
  if (std::ranges::any_of(parts, has) && !std::ranges::all_of(parts, has)) {
    throw DataError(name + ": holds only one side of its projections; it is broken");
  }
  const std::int64_t channels = has(parts[0]) ? store.shape("mark_projection")[2] : store.shape("weight")[1],
                     components = store.shape("weight")[1];
  if (channels != index.geometry.channels || components < 1 || components > channels) {
    throw DataError(name + ": compares " + std::to_string(channels) + " channels by " + std::to_string(components) +
                    " components, where the index has " + std::to_string(index.geometry.channels) + " channels");
  }
}

/// Names what a person would change.
void require_features(const json& parameters, const IndexParameters& index, const std::string& metric_name,
                      const std::string& index_name) {
  const json wanted = features_of(index);
  for (const auto& [name, value] : wanted.items()) {
    const json there = parameters.contains(name) ? parameters[name] : json();
    if (there == value) continue;
    if (name == "network") {
      throw DataError(metric_name + ": was learned from features of another network than that of " + index_name);
    }
    throw DataError(metric_name + ": was learned from features whose '" + name + "' is " + there.dump() + "; that of " +
                    index_name + " is " + value.dump());
  }
}

template <typename Element>
std::vector<Element> read_list(const store::Store& store, const char* name) {
  if (!store.has(name)) return {};
  return std::get<std::vector<Element>>(store.read(name).values);
}

MetricFile read_file(const store::Store& store, const IndexParameters& index, const std::string& index_name) {
  const std::string name = store.path().string();
  MetricFile file = {store.path(), store.sha256(), store.header().parameters, {}, {}, {}, {}};
  if (!file.parameters.is_object()) throw DataError(name + ": its parameters are no object");
  require_features(file.parameters, index, name, index_name);
  require_shapes(store, index);
  if (store.rows() == 0) throw DataError(name + ": holds no metric");
  for (std::int64_t row = 0; row < store.rows(); ++row) file.metrics.push_back(read_metric(store, row));
  file.mark_ids = read_list<std::string>(store, "mark_id");
  file.mark_sha256 = read_list<std::string>(store, "mark_sha256");
  file.mark_folds = read_list<std::int32_t>(store, "mark_fold");
  if (file.mark_sha256.size() != file.mark_ids.size() || file.mark_folds.size() != file.mark_ids.size()) {
    throw DataError(name + ": does not say of every mark which metric judges it");
  }
  for (const std::int32_t fold : file.mark_folds) {
    if (fold < 0 || fold >= store.rows())
      throw DataError(name + ": a mark is judged by a metric that it does not hold");
  }
  return file;
}

}  // namespace

Metric metric_of(const Projections& projections) {
  Metric metric;
  metric.mark_projection = projections.mark;
  metric.exemplar_projection = projections.exemplar;
  metric.mark_mean = projections.mark_mean;
  metric.exemplar_mean = projections.exemplar_mean;
  metric.correlation = projections.correlation;
  const std::int64_t components = projections.mark.size(0);
  metric.weight = at::full({components}, 1 / static_cast<double>(components), at::kDouble);
  return metric;
}

json features_of(const IndexParameters& index) {
  json features = {{"extractor", index.extractor_kind},
                   {"weights_convention", index.weights_convention},
                   {"weights_identity", index.weights_identity},
                   {"image_scale", index.image_scale},
                   {"channels", index.geometry.channels}};
  if (index.network) features["network"] = network_to_json(*index.network);
  return features;
}

MetricFile read_metrics(const comm::Communicator& comm, const std::filesystem::path& path, const IndexParameters& index,
                        const std::string& index_name) {
  const store::Store store = store::Store::open_together(
      comm, path, kMetricSchema, {"mark_id", "mark_sha256", "mark_fold"}, store::Origin::kForeign);
  std::optional<MetricFile> file;
  comm.together([&] { file = read_file(store, index, index_name); });
  return std::move(*file);
}

MetricFile read_metrics(const std::filesystem::path& path, const IndexParameters& index,
                        const std::string& index_name) {
  return read_file(store::Store(path, kMetricSchema, store::Origin::kForeign), index, index_name);
}

store::Columns columns_of(const Metric& metric) {
  const auto count_column = [](std::int64_t count) {
    return store::Column{{1}, std::vector<std::int32_t>{static_cast<std::int32_t>(count)}, {}};
  };
  store::Columns columns = {{"weight", column_of(metric.weight)},
                            {"bias", {{1}, std::vector<double>{metric.bias}, {}}},
                            {"training_marks", count_column(metric.training_marks)},
                            {"training_pairs", count_column(metric.training_pairs)}};
  if (metric.ridge) columns["ridge"] = {{1}, std::vector<double>{*metric.ridge}, {}};
  if (metric.correlation.defined()) columns["correlation"] = column_of(metric.correlation);
  if (!metric.projects()) return columns;
  columns["mark_projection"] = column_of(metric.mark_projection);
  columns["exemplar_projection"] = column_of(metric.exemplar_projection);
  columns["mark_mean"] = column_of(metric.mark_mean);
  columns["exemplar_mean"] = column_of(metric.exemplar_mean);
  return columns;
}

}  // namespace outsole::retrieval
