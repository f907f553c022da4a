#include "core/errors.h"
#include "core/sha256.h"
#include "features/safetensors.h"
#include "retrieval/database.h"
#include "retrieval/learn_metric.h"
#include "retrieval/metric.h"
#include "retrieval/open_index.h"
#include "store/make_store.h"

namespace outsole::retrieval {

namespace {

namespace fs = std::filesystem;

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
  comm.together([&] { require_name_of_metric(options.output); });
  const OpenIndex index =
      open_plain_index(comm, options.search.indexes, options.search.weights_path, options.search.device);
  Metric metric;
  std::string sha256;
  comm.together([&] {
    metric = read_published(file, index);
    sha256 = sha256_of_file(file);
  });
  nlohmann::json header = features_of(index.parameters);
  header.update({{"method", "import"},
                 {"components", metric.components()},
                 {"folds", 1},
                 {"import_sha256", sha256},
                 {"index_sha256", index.sha256()}});
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
  comm.together([&] { summary = learned_summary(options.output, index, was_finished); });
  return summary;
}

}  // namespace outsole::retrieval
