#include "retrieval/search_metric.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

#include "comm/from_root.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "match/projection.h"

namespace outsole::retrieval {

namespace {

at::Tensor in_32_bit(const at::Tensor& values) { return values.to(at::kFloat).contiguous(); }

AppliedMetric applied(const Metric& metric, const OpenIndex& index) {
  AppliedMetric result;
  result.channels = index.channels;
  result.channels.weight = in_32_bit(metric.weight);
  if (!metric.projects()) return result;
  result.mark_projection = in_32_bit(metric.mark_projection);
  result.mark_mean = in_32_bit(metric.mark_mean);
  if (!index.parameters.metric) result.exemplar_projection = in_32_bit(metric.exemplar_projection);
  result.channels.flat_std = at::full({metric.components()}, kFlatComponent, at::kFloat);
  result.channels.white = at::Tensor();
  return result;
}

void require_same_metric(const OpenIndex& index, const MetricFile* file) {
  const std::string name = index.store.path().string();
  if (!index.parameters.metric) return;
  if (file == nullptr) {
    throw UsageError("`index` " + name + ": holds maps projected by a learned metric; give that as `metric`, too");
  }
  if (file->sha256 != index.parameters.metric->sha256) {
    throw UsageError("`metric` " + file->path.string() + ": not the one by which the maps of " + name +
                     " are projected; make the index anew, or search one without a metric");
  }
}

/// A mark is known by its bytes, whatever it is called.
std::size_t fold_of(const std::filesystem::path& mark, const MetricFile& file,
                    const std::map<std::string, std::int32_t>& folds) {
  const auto found = folds.find(sha256_of_file(mark));
  if (found != folds.end()) return static_cast<std::size_t>(found->second);
  const bool is_named = std::ranges::find(file.mark_ids, id_of(mark)) != file.mark_ids.end();
  throw DataError(mark.string() + ": " +
                  (is_named ? "another image than the mark of that name in " : "not among the marks in ") +
                  file.path.string() +
                  ", whose metrics each judge the marks of their own fold; for other marks learn one metric, without "
                  "folds");
}

/// Whether marks were learned from: their ranks are better than a new mark's would be.
void warn_of_training_marks(const std::vector<std::filesystem::path>& marks, const MetricFile& file) {
  const auto known = std::ranges::count_if(marks, [&](const std::filesystem::path& mark) {
    return std::ranges::find(file.mark_sha256, sha256_of_file(mark)) != file.mark_sha256.end();
  });
  if (known == 0) return;
  spdlog::warn("{} of the {} marks are among those that {} was learned from: their ranks say nothing of new marks",
               known, marks.size(), file.path.string());
}

}  // namespace

SearchMetrics metrics_for_search(const comm::Communicator& comm, const std::filesystem::path& path,
                                 const OpenIndex& index, const std::vector<std::filesystem::path>& marks) {
  SearchMetrics result;
  result.of_mark.assign(marks.size(), 0);
  if (path.empty()) {
    comm.together([&] { require_same_metric(index, nullptr); });
    result.metrics.push_back({{}, {}, {}, index.channels});
    return result;
  }
  const MetricFile file = read_metrics(comm, path, index.parameters, index.store.path().string());
  comm.together([&] {
    require_same_metric(index, &file);
    result.sha256 = file.sha256;
    for (const Metric& metric : file.metrics) result.metrics.push_back(applied(metric, index));
  });
  const auto folds = comm::json_from_root(comm, [&] {
    nlohmann::json list = nlohmann::json::array();
    if (!file.has_folds()) {
      warn_of_training_marks(marks, file);
      return list;
    }
    std::map<std::string, std::int32_t> by_sha256;
    for (std::size_t i = 0; i < file.mark_sha256.size(); ++i) by_sha256[file.mark_sha256[i]] = file.mark_folds[i];
    for (const auto& mark : marks) list.push_back(fold_of(mark, file, by_sha256));
    return list;
  });
  if (!folds.empty()) result.of_mark = folds.get<std::vector<std::size_t>>();
  return result;
}

std::vector<match::MarkView> projected_views(std::vector<match::MarkView> views, const AppliedMetric& metric) {
  if (!metric.mark_projection.defined()) return views;
  for (match::MarkView& view : views) {
    if (view.features.numel() == 0) {
      view.features = at::empty({metric.components(), view.support.size(0), view.support.size(1)}, at::kFloat);
    } else {
      view.features =
          match::project_channels(metric.mark_projection, view.features - metric.mark_mean.view({-1, 1, 1}));
    }
  }
  return views;
}

}  // namespace outsole::retrieval
